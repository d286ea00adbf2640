"""Real supervised jobs for tests: shell scripts in a temporary folder."""

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from marathond.attempt.job import Job
from marathond.attempt.lifecycle import Ended, launch, sweep, wait
from marathond.attempt.processes import ATTEMPT_MARKER, identify, marked

_T = TypeVar("_T")
ENV = {"PATH": os.environ["PATH"], "HOME": "/nonexistent"}


def shell_job(tmp_path: Path, script: str, **changes: Any) -> Job:
    """A job that runs a shell script in `tmp_path`, with an id that no other test has."""
    fields: dict[str, Any] = {
        "id": f"s{os.getpid()}/{tmp_path.name[:40]}/1",
        "argv": ("sh", "-c", script),
        "cwd": str(tmp_path),
        "timeout_ms": 20_000,
        "grace_ms": 300,
    }
    return Job(**{**fields, **changes})


async def run(folder: Path, job: Job, **launch_with: Any) -> Ended:
    """Launches a job and waits for its result."""
    started = await launch(folder, job, **{"env": ENV, **launch_with})
    state = await wait(folder, started)
    assert isinstance(state, Ended), state
    return state


def living(job: Job) -> list[int]:
    """The pids of all processes of the job's attempt, its supervisor included."""
    return [process.pid for process in marked(ATTEMPT_MARKER, value=job.attempt_id)]


@contextmanager
def swept(job: Job) -> Iterator[None]:
    """Leaves no process of the job behind, however the test ends."""
    try:
        yield
    finally:
        sweep(job.attempt_id)


def until(look: Callable[[], _T], seconds: float = 10.0) -> _T:
    """Waits, with a bound, for something that another process does: until `look()` gives something true."""
    end = time.monotonic() + seconds
    while not (found := look()):
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.005)
    return found


def read_pid(path: Path) -> int:
    """The pid that a script writes to a file, once it is there."""
    return int(until(lambda: path.exists() and path.read_text().strip()))


def is_alive(pid: int) -> bool:
    """Whether a process runs (a zombie does not)."""
    return identify(pid) is not None
