"""Processes as Linux shows them in /proc: who they are, whose children they are, which attempt they belong to.

Standard library only and light: the supervisor imports it before it starts anything.

A pid alone names nobody, because the kernel gives it away again. A process is named by its pid together with the clock
tick at which it started (field 22 of `/proc/PID/stat`, proc(5)), within one boot.

Plain calls instead of pathlib: a scan reads two small files per process of the machine, and is done while something waits.
"""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final, NamedTuple

ATTEMPT_MARKER: Final = "MARATHON_ATTEMPT"
"""In the environment of every process of an attempt and of its checks: `<session>/<task>/<attempt>`."""

JOB_MARKER: Final = "MARATHON_JOB"
"""In the environment of every process of one job, so that ending a check does not end its neighbours: the job's id."""

_BOOT_ID_FILE: Final = "/proc/sys/kernel/random/boot_id"


class Process(NamedTuple):
    """A process, named so that a reused pid is not taken for it. `start_ticks` counts clock ticks since boot."""

    pid: int
    start_ticks: int


class _Stat(NamedTuple):
    parent: int
    zombie: bool
    start_ticks: int


def boot_id() -> str:
    """The random id that the kernel gave to this boot."""
    with open(_BOOT_ID_FILE, encoding="ascii") as file:  # noqa: PTH123 - see the module
        return file.read().strip()


def identify(pid: int) -> Process | None:
    """The process that has this pid now, None when there is none (a zombie has ended: there is none)."""
    stat = _stat(pid)
    return None if stat is None or stat.zombie else Process(pid, stat.start_ticks)


def descendants(root: int) -> list[Process]:
    """The living children of `root`, their children and so on. A subreaper finds its `setsid` orphans here too."""
    children: dict[int, list[int]] = {}
    stats: dict[int, _Stat] = {}
    for pid in _pids():
        stat = _stat(pid)
        if stat is not None:
            stats[pid] = stat
            children.setdefault(stat.parent, []).append(pid)
    found: list[Process] = []
    unseen = list(children.get(root, ()))
    while unseen:
        pid = unseen.pop()
        unseen += children.get(pid, ())
        if not stats[pid].zombie:
            found.append(Process(pid, stats[pid].start_ticks))
    return found


def marked(*names: str, value: str) -> list[Process]:
    """The living processes that were started with one of the environment variables `names` set to `value`."""
    wanted = [f"\0{name}={value}\0".encode() for name in names]
    found = []
    for pid in _pids():
        process = identify(pid)
        if process is not None and any(mark in _environ(pid) for mark in wanted):
            found.append(process)
    return found


def send(process: Process, signum: int) -> bool:
    """Signals exactly this process; False when it is gone. Never another one that got its pid in the meantime."""
    with open_pidfd(process) as pidfd:
        if pidfd is None:
            return False
        try:
            signal.pidfd_send_signal(pidfd, signum)
        except (ProcessLookupError, PermissionError):  # ended meanwhile; or it changed its user and is out of reach
            return False
        return True


@contextmanager
def open_pidfd(process: Process) -> Iterator[int | None]:
    """A descriptor of exactly this process, closed afterwards; None when it is gone.

    The pidfd is opened first and the start tick compared after, so that the pid cannot change hands in between.
    """
    try:
        pidfd = os.pidfd_open(process.pid)
    except ProcessLookupError:
        yield None
        return
    try:
        stat = _stat(process.pid)
        yield pidfd if stat is not None and stat.start_ticks == process.start_ticks else None
    finally:
        os.close(pidfd)


def _pids() -> list[int]:
    return [int(name) for name in os.listdir("/proc") if name.isdecimal()]  # noqa: PTH208 - see the module


def _stat(pid: int) -> _Stat | None:
    content = _read(f"/proc/{pid}/stat")
    # The command name stands in parentheses and may hold anything, also ")": fields count from the last one.
    fields = content.rpartition(b")")[2].split()
    if len(fields) < 20:
        return None
    return _Stat(parent=int(fields[1]), zombie=fields[0] in b"ZX", start_ticks=int(fields[19]))


def _environ(pid: int) -> bytes:
    return b"\0" + _read(f"/proc/{pid}/environ")


def _read(path: str) -> bytes:
    try:
        with open(path, "rb", buffering=0) as file:  # noqa: PTH123 - see the module
            return file.read()
    except OSError:  # the process has ended, or belongs to another user
        return b""
