"""One daemon per state folder."""

import fcntl
import os
from pathlib import Path
from types import TracebackType
from typing import Self

from marathond.domain.errors import DAEMON_RUNNING, MarathonError
from marathond.store.files import make_folder


class DaemonLock:
    """An flock on `marathond.lock`, held as long as the object is not released.

    The file's text is the owner's pid, for people; the lock is what counts. The file stays when the lock goes: unlinking
    it would let two daemons lock two files of the same name.
    """

    def __init__(self, fd: int) -> None:
        self._fd = fd

    @classmethod
    def acquire(cls, path: Path) -> Self:
        """Takes the lock without waiting. Raises DAEMON_RUNNING when another process has it, OSError when there is no place for it."""
        make_folder(path.parent)
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.ftruncate(fd, 0)
            os.pwrite(fd, f"{os.getpid()}\n".encode(), 0)
        except BlockingIOError as error:
            pid = os.pread(fd, 32, 0).decode("ascii", "replace").strip() or "unknown"
            os.close(fd)
            raise MarathonError(DAEMON_RUNNING, path=path.parent, pid=pid) from error
        except BaseException:
            os.close(fd)
            raise
        return cls(fd)

    def release(self) -> None:
        """Gives the lock back. Doing it twice is harmless."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()
