"""Starts a supervisor as a process of its own, tied to the daemon by nothing that the daemon's death could break."""

import asyncio
import fcntl
import os
import sys
from pathlib import Path
from typing import Final

from marathond.attempt.job import Confidential, Job
from marathond.attempt.processes import ATTEMPT_MARKER, JOB_MARKER
from marathond.attempt.records import LOG_FILE

_SUPERVISOR: Final = str(Path(__file__).with_name("supervisor") / "__main__.py")


def spawn_supervisor(directory: Path, job: Job, confidential: Confidential) -> int:
    """Starts the supervisor; returns a descriptor that becomes readable when it has started or ended.

    One byte can be read from it after the start record was written, none when the supervisor ended without. The environment and the
    secrets go into an anonymous file in memory (memfd_create(2)) that the supervisor inherits. Raises OSError.
    """
    ready, ready_end = os.pipe()
    memory = os.memfd_create("marathon")
    try:
        with os.fdopen(os.dup(memory), "wb") as file:
            file.write(confidential.encode())
        os.lseek(memory, 0, os.SEEK_SET)
        # Above the numbers that the child gets them under, so that neither overwrites the other.
        memory_high, ready_high = (fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 10) for fd in (memory, ready_end))
        try:
            pid = os.posix_spawn(
                sys.executable,
                [sys.executable, "-I", "-S", _SUPERVISOR, str(directory), job.launch, "3", "4"],
                _supervisor_environment(job),
                file_actions=[
                    (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
                    (os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0),
                    (os.POSIX_SPAWN_OPEN, 2, str(directory / LOG_FILE), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600),
                    (os.POSIX_SPAWN_DUP2, memory_high, 3),
                    (os.POSIX_SPAWN_DUP2, ready_high, 4),
                ],
                setsid=True,
                setsigmask=(),
            )
        finally:
            os.close(memory_high)
            os.close(ready_high)
    except BaseException:
        os.close(ready)
        raise
    finally:
        os.close(memory)
        os.close(ready_end)
    _reap_when_over(pid)
    return ready


def _supervisor_environment(job: Job) -> dict[str, str]:
    """The marker, and what a Python that is linked to shared libraries of its own needs to start."""
    env = {ATTEMPT_MARKER: job.attempt_id, JOB_MARKER: job.id}
    return {**env, **{name: os.environ[name] for name in ("LD_LIBRARY_PATH",) if name in os.environ}}


def _reap_when_over(pid: int) -> None:
    """Collects our child when it ends, whoever waits for its job."""
    loop = asyncio.get_running_loop()
    pidfd = os.pidfd_open(pid)

    def reap() -> None:
        loop.remove_reader(pidfd)
        os.close(pidfd)
        os.waitpid(pid, os.WNOHANG)

    loop.add_reader(pidfd, reap)
