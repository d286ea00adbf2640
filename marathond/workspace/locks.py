"""Locks between everybody who works on one repository or checkout: flock on files in the state folder.

They live there and not in the user's `.git`, and the kernel drops them when their holder dies.
"""

import fcntl
import hashlib
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import anyio.to_thread


def lock_path(state: Path, kind: str, subject: Path) -> Path:
    """The file to lock for `subject`, a resolved path; `kind` keeps locks of different meaning apart."""
    return state / "locks" / f"{kind}-{hashlib.sha256(os.fsencode(subject)).hexdigest()[:24]}.lock"


def _open(path: Path) -> int:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)


def _try_lock(fd: int) -> bool:
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


@asynccontextmanager
async def locked(path: Path) -> AsyncIterator[None]:
    """Holds the lock `path`, waiting for it if need be.

    A waiter gets a thread outside the shared pool: the holder needs that pool to make progress.
    """
    fd = _open(path)
    try:
        if not _try_lock(fd):
            await anyio.to_thread.run_sync(fcntl.flock, fd, fcntl.LOCK_EX, limiter=anyio.CapacityLimiter(1))
        yield
    finally:
        os.close(fd)


class Lease:
    """A lock held until `release()` or the end of this process; `owner` is written into the file for people."""

    def __init__(self, fd: int) -> None:
        self._fd: int | None = fd

    @classmethod
    def take(cls, path: Path, owner: str) -> "Lease | None":
        """The lease on `path`, or None when somebody holds it."""
        fd = _open(path)
        if not _try_lock(fd):
            os.close(fd)
            return None
        os.ftruncate(fd, 0)
        os.pwrite(fd, f"{owner}\n".encode(), 0)
        return cls(fd)

    @staticmethod
    def owner(path: Path) -> str:
        """Who took the lease last; empty when nobody ever did."""
        try:
            return path.read_text(encoding="utf-8").strip()
        except FileNotFoundError:
            return ""

    def release(self) -> None:
        """Gives the lease back; more than once is harmless."""
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None
