"""What is given back when a session rests or ends: the lease on a checkout, stored environment values, clean worktrees."""

import logging

import anyio.to_thread

from marathond.domain.errors import MarathonError
from marathond.domain.session import Session
from marathond.engine.engine import Engine
from marathond.workspace.git import GitError

log = logging.getLogger(__name__)


async def tidy(engine: Engine, session: Session) -> None:
    """Called when nothing of a session runs any more. Doing it twice is harmless."""
    if session.end is not None:
        await anyio.to_thread.run_sync(engine.environments.remove, session.id)
        await _remove_worktrees(engine, session)
    engine.rooms.release(session.id)


async def _remove_worktrees(engine: Engine, session: Session) -> None:
    """Worktrees that hold nothing unsaved go; the others stay, for a retry or for a person to look at."""
    if not (engine.places.workspaces / session.id).is_dir():
        return
    for task_id, task in session.tasks.items():
        if not task.begun:
            continue
        try:
            workspace = await engine.rooms.workspace(session, task_id)
            await workspace.remove(None, engine.clock.wall())
        except (MarathonError, GitError, OSError) as error:
            log.warning("session %s: the workspace of %s stays: %s", session.id, task_id, error)
