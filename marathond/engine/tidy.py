"""What is given back when a session rests or ends: the lease on a checkout, stored environment values, worktrees.

A daemon that is killed right after a session's end has not got round to that; the next one does it at its start.
"""

import logging
from collections.abc import Mapping
from pathlib import Path

import anyio.to_thread

from marathond.attempt.redact import Redactor
from marathond.domain.errors import MarathonError
from marathond.domain.session import Done, Session
from marathond.engine.engine import Engine
from marathond.engine.environment import all_secrets, forbidding, stored
from marathond.engine.sessions import find, known
from marathond.workspace.git import GitError
from marathond.workspace.isolation import Removed
from marathond.workspace.refs import rescue_ref

log = logging.getLogger(__name__)


async def tidy(engine: Engine, session: Session) -> None:
    """Called when nothing of a session runs any more. Doing it twice is harmless, and so is a user who lets it go on meanwhile."""
    async with engine.rooms.tidying(session.id):
        try:
            if session.end is not None and _rests(engine, session):
                secrets = await _secrets(engine, session)
                await anyio.to_thread.run_sync(engine.environments.remove, session.id)
                await _remove_worktrees(engine, session, secrets)
        except OSError as error:
            log.warning("session %s: not all could be given back: %s", session.id, error)  # the next start tries again
        if _rests(engine, session):
            engine.rooms.release(session.id)


def _rests(engine: Engine, session: Session) -> bool:
    """Whether the session is still as it was when it came to rest: no run has been opened, and nobody is about to open one."""
    now = engine.kernel.sessions.get(session.id, session)
    return now.run is None and now.runs == session.runs and session.id not in engine.at_gate


async def _secrets(engine: Engine, session: Session) -> Mapping[str, str] | None:
    """What the session's tasks were handed; None where nobody knows any more."""
    try:
        return await all_secrets(engine, session) if await stored(engine, session) else None
    except MarathonError as error:
        log.warning("session %s: %s", session.id, error.message)
        return None


async def _remove_worktrees(engine: Engine, session: Session, secrets: Mapping[str, str] | None) -> None:
    """Those of tasks that are done go; what they hold beside their checkpoint is kept under a ref. The others go when they
    hold nothing unsaved, and stay otherwise, for a retry or for a person to look at.
    """
    if not (engine.places.workspaces / session.id).is_dir():
        return
    forbidden = forbidding(secrets or {})
    for task_id, task in session.tasks.items():
        if not task.begun:
            continue
        if not _rests(engine, session):
            return
        # where nobody knows what may not be kept, what is unsaved goes under no ref and the worktree stays
        done = secrets is not None and isinstance(task.phase, Done)
        kept = rescue_ref(session.id, task_id, task.begun + 1) if done else None
        try:
            workspace = await engine.rooms.workspace(session, task_id)
            removed = await workspace.remove(kept, engine.clock.wall(), forbidden)
            if isinstance(removed, Removed):
                if removed.rescued is not None and removed.rescued.withheld:
                    log.warning(
                        "session %s: %d files of %s went unsaved with a secret in them",
                        session.id, len(removed.rescued.withheld), task_id,
                    )  # fmt: skip
                await anyio.to_thread.run_sync(_forget, engine.places.workspaces / session.id, task_id)
        except (MarathonError, GitError, OSError) as error:
            log.warning(
                "session %s: the workspace of %s stays: %s",
                session.id,
                task_id,
                Redactor(secrets or {}).redact_text(str(error)),
            )


def _forget(folder: Path, task_id: str) -> None:
    """What is remembered of a workspace goes with it, and with the last one the session's folder."""
    (folder / f"{task_id}.setup").unlink(missing_ok=True)
    if not any(folder.iterdir()):
        folder.rmdir()


async def forget_ended(engine: Engine) -> None:
    """Removes the stored values of sessions that have ended. Called before clients are served."""
    if engine.writer.read_only:
        return  # what the ledger lost may say otherwise
    unfinished = frozenset(await engine.readers.unfinished_sessions())
    await anyio.to_thread.run_sync(engine.environments.keep_only, unfinished)


async def tidy_ended(engine: Engine) -> None:
    """Removes the worktrees that sessions which have ended left behind."""
    if engine.writer.read_only:
        return
    folders = await anyio.to_thread.run_sync(_folders, engine.places.workspaces)
    for session_id in [i for i in await known(engine) if i in folders]:
        session = await find(engine, session_id)
        if isinstance(session, Session) and session.end is not None:
            await tidy(engine, session)


def _folders(root: Path) -> frozenset[str]:
    """The sessions that have a folder with something in it."""
    return frozenset(p.name for p in root.glob("*") if p.is_dir() and any(p.iterdir()))
