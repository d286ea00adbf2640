"""What a killed daemon's git still does is over before the next daemon looks.

kill -9 ends the daemon, not the git commands it has started: on a large repository one may go on for seconds, and put files into a
workspace that the next daemon has given to an agent meanwhile. So every git command inherits a locked file, and the next daemon waits
until nobody has it open any more.
"""

import fcntl
import logging
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import anyio

from marathond.domain.limits import GIT_ORPHANS_SECONDS_MAX
from marathond.workspace.call import inherited

log = logging.getLogger(__name__)

_PACE_SECONDS: Final = 0.02


@asynccontextmanager
async def leash(state: Path) -> AsyncIterator[None]:
    """Waits for the git commands of the daemon before, for a bounded time, and holds our own while the block is open. Raises OSError."""
    path = state / "locks" / "git.lock"
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        with anyio.move_on_after(GIT_ORPHANS_SECONDS_MAX) as patience:
            while not _taken(lock):  # noqa: ASYNC110 - another process lets go of it, and tells nobody
                await anyio.sleep(_PACE_SECONDS)
        if patience.cancelled_caught:  # a program that git has left in the background, such as a credential cache
            log.warning("a git command of an earlier daemon still has %s open; going on", path)
        with inherited(lock):
            yield
    finally:
        os.close(lock)


def _taken(lock: int) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
