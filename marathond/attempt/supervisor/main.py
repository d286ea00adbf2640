"""The life of a supervisor: lock, start record, setup, program, end of the tree, exit record.

The lock is the authority on who works in a job's folder. It is held from before the start record until the process is gone, by
this process alone: the descriptor is closed in everything it executes. Whoever cannot take it, or finds that the folder has
been used or that the job stored in it belongs to another launch, leaves without having done anything.
"""

import fcntl
import os
import sys
import time
import traceback
from pathlib import Path
from typing import Final

from marathond.attempt import processes
from marathond.attempt.job import Confidential, Job, read_job
from marathond.attempt.records import LOCK_FILE, LOG_FILE, ExitSlot, Started, is_used, write_start
from marathond.attempt.supervisor import kernel
from marathond.attempt.supervisor.cgroup import Cgroup
from marathond.attempt.supervisor.signals import Signals
from marathond.attempt.supervisor.tree import Tree
from marathond.domain.limits import SUPERVISOR_PROTOCOL

DONE: Final = 0
NOT_MINE: Final = 3
"""Exit status of a supervisor that came too late: another one works, or has worked, in this folder."""
CRASHED: Final = 70

_LOCK_SECONDS_MAX: Final = 2.0


def main(folder: str, launch: str, confidential_fd: int, ready_fd: int) -> int:
    """Runs the job in `folder`. Reads environment and secrets from one descriptor; writes a byte to the other once started."""
    directory = Path(folder)
    tree: Tree | None = None
    try:
        _close_all_but(confidential_fd, ready_fd)
        signals = Signals()
        kernel.adopt_orphans()
        if not _take(directory):
            return NOT_MINE
        with os.fdopen(confidential_fd, "rb") as file:
            confidential = Confidential.decode(file.read())
        job = _mine(directory, launch)
        if job is None:
            return NOT_MINE
        cgroup = Cgroup.make(job.id.replace("/", "-"))
        tree = Tree(job.id, cgroup)
        slot = ExitSlot(directory)
        write_start(directory, _started(job, cgroup))
        _tell_ready(ready_fd)
        from marathond.attempt.supervisor.run import run_job  # its imports would delay the start record

        slot.fill(run_job(directory, job, confidential, signals, tree, cgroup))
        if cgroup is not None:
            cgroup.remove()
        _drop_empty_log(directory)
    except BaseException:  # noqa: BLE001 - whatever it is: end the job, say why, and leave no exit record
        traceback.print_exc(file=sys.stderr)
        if tree is not None:
            tree.kill()
        return CRASHED
    return DONE


def _close_all_but(*wanted: int) -> None:
    """Closes what the daemon itself was started with by mistake: it would live on in us and in the agent."""
    for entry in list(Path("/proc/self/fd").iterdir()):
        descriptor = int(entry.name)
        if descriptor > 2 and descriptor not in wanted:
            try:
                os.close(descriptor)
            except OSError:
                pass  # the descriptor that listed them


def _take(directory: Path) -> bool:
    """Takes the folder's lock for good. Somebody who looks into the folder holds it for a moment, hence the second tries."""
    lock = os.open(directory / LOCK_FILE, os.O_RDWR | os.O_CREAT, 0o600)
    give_up = time.monotonic() + _LOCK_SECONDS_MAX
    while not is_used(directory):
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= give_up:
                return False
            time.sleep(0.005)
        else:
            return not is_used(directory)
    return False


def _mine(directory: Path, launch: str) -> Job | None:
    """The stored job, unless a daemon that recovered has withdrawn our launch meanwhile. The lock is held."""
    try:
        job = read_job(directory)
    except FileNotFoundError:
        return None
    return job if job.launch == launch else None


def _started(job: Job, cgroup: Cgroup | None) -> Started:
    me = processes.identify(os.getpid())
    assert me is not None
    return Started(
        protocol=SUPERVISOR_PROTOCOL,
        boot_id=processes.boot_id(),
        pid=me.pid,
        start_ticks=me.start_ticks,
        attempt=job.attempt_id,
        job=job.id,
        started_wall_us=time.time_ns() // 1000,
        cgroup=None if cgroup is None else str(cgroup.path),
    )


def _tell_ready(ready_fd: int) -> None:
    try:
        os.write(ready_fd, b"1")
    except BrokenPipeError:
        pass  # the daemon is gone; the next one finds the start record
    os.close(ready_fd)


def _drop_empty_log(directory: Path) -> None:
    log = directory / LOG_FILE
    if log.exists() and log.stat().st_size == 0:
        log.unlink()
