"""Looking for damage: unfinished sessions right after the start, everything else at low priority within the hour.

A scrub only reads. What it finds is logged and shown by `daemon/info`; the sessions concerned meet it again at their gate.
"""

import logging
import os
import threading

import anyio
import anyio.to_thread

from marathond.domain.instants import format_instant
from marathond.domain.limits import SCRUB_SECONDS_MAX
from marathond.engine.engine import Engine
from marathond.store.artifacts import inspect_session
from marathond.store.verify import Report, verify

log = logging.getLogger(__name__)

_PROBLEMS_SHOWN = 20
_LOWEST_PRIORITY = 19


async def scrub(engine: Engine) -> None:
    """One pass over the unfinished sessions now, one over everything later."""
    found = [problem for session in engine.kernel.unfinished() for problem in await _unsound(engine, session.id)]
    _tell(engine, found, len(engine.kernel.unfinished()))
    # somewhere within the hour, the same for one daemon and different for the next: boxes that boot together do not scrub together
    await anyio.sleep(60 + (os.getpid() * 7919) % int(SCRUB_SECONDS_MAX - 120))
    try:
        report = await anyio.to_thread.run_sync(_verify_gently, engine, abandon_on_cancel=True)
    except Exception as error:  # noqa: BLE001 - a look for damage must not be what takes the daemon down
        _tell(engine, [f"the scrub could not be finished: {error}"], 0)
    else:
        _tell(engine, [_sentence(p.seq, p.what) for p in report.problems], report.sessions)


async def _unsound(engine: Engine, session_id: str) -> list[str]:
    artifacts = await anyio.to_thread.run_sync(inspect_session, engine.places, session_id)
    chain = [_sentence(problem.seq, problem.what) for problem in artifacts.chain]
    return [f"session {session_id}: {what}" for what in (*artifacts.absent, *chain, *artifacts.contracts_changed)]


def _sentence(seq: int | None, what: str) -> str:
    return what if seq is None else f"entry {seq}: {what}"


def _verify_gently(engine: Engine) -> Report:
    """In a thread of its own, since on Linux niceness belongs to a thread and an ordinary user cannot take it back."""
    out: list[Report] = []

    def work() -> None:
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _LOWEST_PRIORITY)
        out.append(verify(engine.places))

    worker = threading.Thread(target=work, name="scrub", daemon=True)
    worker.start()
    worker.join()
    if not out:
        raise RuntimeError("the scrub did not end well; its thread's traceback is in the log")
    return out[0]


def _tell(engine: Engine, problems: list[str], sessions: int) -> None:
    for problem in problems[:_PROBLEMS_SHOWN]:
        log.error("damage: %s", problem)
    engine.scrubbed = {
        "at": format_instant(engine.clock.wall()),
        "sessions": sessions,
        "problems": problems[:_PROBLEMS_SHOWN],
    }
