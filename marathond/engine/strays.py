"""What still runs of a session whose state nobody knows: found by the locks in its attempts' folders, and ended.

For a session that cannot be folded, or that the ledger takes no entry of, there is no state to decide from. Whoever asks
for its end wants its processes gone all the same, and the locks tell of them.
"""

import logging
from pathlib import Path

import anyio
import anyio.to_thread

from marathond.attempt import lifecycle
from marathond.attempt.lifecycle import Alive
from marathond.attempt.records import LOCK_FILE
from marathond.domain.errors import MarathonError
from marathond.engine.engine import Engine

log = logging.getLogger(__name__)


def is_out_of_reach(engine: Engine, session_id: str) -> bool:
    """Whether no request of a user can become an entry of the session, so that its end cannot be decided."""
    return session_id in engine.kernel.broken or engine.writer.read_only is not None


async def end_anyway(engine: Engine, session_id: str, refusal: MarathonError) -> MarathonError:
    """Ends every job of the session, all at once, each with its grace. Returns the refusal, which then says so."""
    folders = await anyio.to_thread.run_sync(_folders, engine.places.attempts / session_id)
    ended: list[Path] = []
    async with anyio.create_task_group() as tasks:
        for folder in folders:
            tasks.start_soon(_end, folder, ended)
    what = f"{len(ended)} of its jobs still ran and were ended" if ended else "Nothing of it was running"
    refusal.hint = f"{what}; that it was asked for is not on record. {refusal.hint}".rstrip()
    return refusal


def _folders(session: Path) -> list[Path]:
    """The folders of a session's attempts and of their checks, where a supervisor was ever started."""
    return sorted(lock.parent for lock in session.glob(f"**/{LOCK_FILE}"))


async def _end(folder: Path, ended: list[Path]) -> None:
    """Ends one job. A supervisor that is on its way starts nothing any more, and what a dead one left is swept."""
    try:
        found = await lifecycle.recover(folder)
        if isinstance(found, Alive):
            patience_ms = await anyio.to_thread.run_sync(lifecycle.patience_ms, folder)
            await lifecycle.stop(folder, found.started, patience_ms)
            ended.append(folder)
    except (OSError, ValueError) as error:  # of one folder alone: the others are ended all the same
        log.error("%s cannot be looked into: %s", folder, error)
