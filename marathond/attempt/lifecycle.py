"""The daemon's side of supervised jobs: start one, look at it, wait for it, stop it, and find it again after a restart.

The authority on whether a job lives is the lock in its folder, never a pid. Waiting works on processes that are not our children,
so a restarted daemon follows what its predecessor started. Functions that are not `async` block for milliseconds; call
them in a thread.
"""

import fcntl
import os
import signal
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import anyio
from anyio import to_thread

from marathond.attempt.detach import spawn_supervisor
from marathond.attempt.job import JOB_FILE, Confidential, Job, read_job, write_job
from marathond.attempt.processes import ATTEMPT_MARKER, JOB_MARKER, boot_id, marked, open_pidfd, send
from marathond.attempt.records import (
    LOCK_FILE,
    LOG_FILE,
    Exit,
    Started,
    is_used,
    read_exit,
    read_start,
    sync_folder,
    write_durably,
)
from marathond.attempt.supervisor.cgroup import Cgroup
from marathond.domain.limits import START_TIMEOUT_SECONDS, STOP_GRACE_MS
from marathond.store.files import make_folder

INPUT_FILE: Final = "input"

_USED: Final = "another supervisor works, or has worked, in this folder"
_STOP_MARGIN_SECONDS: Final = 1.5
_SWEEP_SECONDS_MAX: Final = 5.0
_PACE_SECONDS: Final = 0.01
_LOG_CHARS_MAX: Final = 2000


class LaunchFailed(Exception):  # noqa: N818 - reads as what happened
    """No program was started in the job's folder; the text says why."""


@dataclass(frozen=True)
class Absent:
    """Nothing was ever executed in this folder."""


@dataclass(frozen=True)
class Alive:
    """A supervisor holds the folder's lock."""

    started: Started


@dataclass(frozen=True)
class Ended:
    """The job is over and its result is stored."""

    started: Started
    exit: Exit


@dataclass(frozen=True)
class Lost:
    """The supervisor is gone and left no result."""

    started: Started
    why: str


State = Absent | Alive | Ended | Lost
"""What the folder of a job can show."""


async def launch(
    directory: Path,
    job: Job,
    *,
    env: Mapping[str, str],
    secrets: Mapping[str, str] | Iterable[str] = (),
    stdin: bytes | None = None,
) -> Started:
    """Starts a job in its own folder, detached from this process; returns when its start record is durable.

    `env` is the whole environment of the job; `secrets` (by variable name, or just values) are kept out of its output. Both reach the
    supervisor in memory only. `stdin` is stored beside the job as its input. Raises LaunchFailed when nothing was started (also when
    this folder was used before) and OSError when the folder cannot be written.
    """
    job = job._replace(launch=os.urandom(8).hex(), stdin=INPUT_FILE if stdin is not None else job.stdin)
    await to_thread.run_sync(_prepare, directory, job, stdin)
    named = secrets if isinstance(secrets, Mapping) else {f"secret-{n}": value for n, value in enumerate(secrets, 1)}
    ready = spawn_supervisor(directory, job, Confidential(env, named))
    try:
        with anyio.move_on_after(START_TIMEOUT_SECONDS):
            await anyio.wait_readable(ready)
            if os.read(ready, 1):
                started = await to_thread.run_sync(read_start, directory)
                if started is not None:
                    return started
            raise LaunchFailed(await to_thread.run_sync(_why_not_started, directory, job.launch))
    finally:
        os.close(ready)
    await to_thread.run_sync(sweep, job.id)
    raise LaunchFailed(f"the supervisor did not start within {START_TIMEOUT_SECONDS:.0f} s")


def inspect(directory: Path) -> State:
    """What the folder of a job shows, changing nothing. Raises ValueError for a damaged start record.

    `Absent` may still change while a supervisor that was spawned is on its way: before concluding anything from it, `recover`.
    """
    return _look(directory, fcntl.LOCK_SH, _conclude)


async def recover(directory: Path) -> State:
    """What a restarted daemon may rely on about a job that it did not start.

    After `Absent` the job may be launched: a supervisor that was spawned before and comes late will start nothing. After
    `Lost` no process of the job is left. Raises ValueError for a damaged start record.
    """
    state = await to_thread.run_sync(_look, directory, fcntl.LOCK_EX, _conclude_and_withdraw)
    if isinstance(state, Lost):
        await to_thread.run_sync(sweep, state.started.job, state.started.cgroup)
    return state


async def wait(directory: Path, started: Started) -> Ended | Lost:
    """Returns when the job is over. After `Lost` no process of it is left."""
    with open_pidfd(started.process) as pidfd:
        if pidfd is not None:
            await anyio.wait_readable(pidfd)
    state = await to_thread.run_sync(inspect, directory)
    while isinstance(state, Alive):
        # A program that was being forked when the supervisor died holds the lock until it is executed, or dies too.
        await anyio.sleep(_PACE_SECONDS)
        state = await to_thread.run_sync(inspect, directory)
    if isinstance(state, Ended):
        return state
    await to_thread.run_sync(sweep, started.job, started.cgroup)
    return state if isinstance(state, Lost) else Lost(started, "the start record is gone")


async def stop(directory: Path, started: Started, grace_ms: int) -> Ended | Lost:
    """Ends the job with all its processes: TERM, grace, KILL by its supervisor, and by us if that does not do it.

    `grace_ms` is the job's own grace. Stopping what is over already gives its result.
    """
    send(started.process, signal.SIGTERM)
    with anyio.move_on_after(grace_ms / 1000 + _STOP_MARGIN_SECONDS):
        return await wait(directory, started)
    await to_thread.run_sync(sweep, started.job, started.cgroup)
    return await wait(directory, started)


def patience_ms(directory: Path) -> int:
    """How long a job may take to end when it is asked to: each of its signals has its grace, as it was started with."""
    try:
        return read_job(directory).patience_ms
    except (OSError, ValueError):
        return STOP_GRACE_MS


def sweep(marker: str, cgroup: str | None = None) -> int:
    """Kills every process of an attempt (`<session>/<task>/<attempt>`, its checks included) or of one job (its id).

    For when a supervisor is gone or deaf; it would be killed too. Returns how many processes were killed.
    """
    group = Cgroup.recall(cgroup) if cgroup is not None else None
    killed = set()
    give_up = time.monotonic() + _SWEEP_SECONDS_MAX
    while time.monotonic() < give_up:
        members = marked(ATTEMPT_MARKER, JOB_MARKER, value=marker)
        found = {process for process in members if process.pid != os.getpid()}
        if not found and (group is None or not group.members()):
            break
        if group is not None:
            group.kill()
        killed |= {process for process in found if send(process, signal.SIGKILL)}
        time.sleep(_PACE_SECONDS)
    if group is not None:
        group.remove()
    return len(killed)


def _prepare(directory: Path, job: Job, stdin: bytes | None) -> None:
    if is_used(directory):
        raise LaunchFailed(_USED)
    make_folder(directory)
    if stdin is not None:
        write_durably(directory / INPUT_FILE, stdin)
    write_job(directory, job)


def _why_not_started(directory: Path, mine: str) -> str:
    if is_used(directory) or mine.encode() not in (directory / JOB_FILE).read_bytes():
        return _USED
    return _log(directory) or "the supervisor ended without a word"


def _log(directory: Path) -> str:
    """The end of what a supervisor said about its own failure; usually nothing."""
    try:
        log = (directory / LOG_FILE).read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return ""
    return log.strip()[-_LOG_CHARS_MAX:]


def _look(directory: Path, how: int, conclude: Callable[[Path], Absent | Ended | Lost]) -> State:
    """Concludes while holding the lock; `Alive` when it is taken."""
    try:
        lock = os.open(directory / LOCK_FILE, os.O_RDWR | os.O_CREAT, 0o600)
    except FileNotFoundError:
        return Absent()  # not even the folder is there, so no supervisor can take its lock
    try:
        give_up = time.monotonic() + START_TIMEOUT_SECONDS
        while True:
            try:
                fcntl.flock(lock, how | fcntl.LOCK_NB)
            except BlockingIOError:
                started = read_start(directory)
                if started is not None:
                    return Alive(started) if started.boot_id == boot_id() else conclude(directory)
                if time.monotonic() >= give_up:
                    raise TimeoutError(f"{directory} stays locked without a start record") from None
                time.sleep(_PACE_SECONDS)  # between its lock and its start record: a matter of milliseconds
            else:
                return conclude(directory)
    finally:
        os.close(lock)


def _conclude(directory: Path) -> Absent | Ended | Lost:
    started = read_start(directory)
    if started is None:
        return Absent()
    try:
        exit_ = read_exit(directory)
    except ValueError as damaged:
        return Lost(started, f"its result cannot be read: {damaged}")
    if exit_ is not None:
        return Ended(started, exit_)
    if started.boot_id != boot_id():
        return Lost(started, "the machine was restarted")
    words = _log(directory).splitlines()
    return Lost(started, f"its supervisor failed: {words[-1]}" if words else "its supervisor is gone")


def _conclude_and_withdraw(directory: Path) -> Absent | Ended | Lost:
    """Without the stored job, a supervisor that waits for the lock that we hold has nothing to run."""
    state = _conclude(directory)
    if isinstance(state, Absent):
        (directory / JOB_FILE).unlink(missing_ok=True)
        sync_folder(directory)
    return state
