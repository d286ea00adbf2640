"""Runs programs and watches over them: their output, their bounds, their end and the end of whatever they left behind."""

import os
import select
import signal
import time
from collections.abc import Mapping
from typing import Final, NamedTuple

from marathond.attempt.records import Cause
from marathond.attempt.supervisor.capture import Capture
from marathond.attempt.supervisor.cgroup import Cgroup
from marathond.attempt.supervisor.signals import Signals
from marathond.attempt.supervisor.spawn import spawn
from marathond.attempt.supervisor.tree import Tree

_READ_BYTES: Final = 64 * 1024
_LAST_READS_MAX: Final = 256
"""As many as a full pipe can need: it holds at most 1 MiB (/proc/sys/fs/pipe-max-size) in pages of 4 KiB."""
_KILL_PACE_MS: Final = 20
_KILL_MS_MAX: Final = 10_000
"""How long a killed process may take to go (it may hang in the kernel, on a dead network mount) before it is left behind."""


class End(NamedTuple):
    """How a program ended: its wait status (os.waitpid), what ended it, and its time in milliseconds."""

    status: int
    cause: Cause
    elapsed_ms: int


class Supervision:
    """Runs a job's programs one after the other, and at the end sees to it that none of its processes is left.

    All times are monotonic, which on Linux stands still while the machine is suspended.
    """

    def __init__(
        self, signals: Signals, tree: Tree, cgroup: Cgroup | None, stop_signals: tuple[str, ...], grace_ms: int
    ) -> None:
        self._signals = signals
        self._tree = tree
        self._cgroup = cgroup
        self._stop_signals = [signal.Signals[f"SIG{name}"] for name in stop_signals]
        self._grace_ms = grace_ms
        self._captures: dict[int, Capture] = {}
        self._statuses: dict[int, int] = {}
        self._last_word_ms = 0
        self._poll = select.poll()
        self._poll.register(signals.wakeup, select.POLLIN)

    def run(
        self,
        argv: tuple[str, ...] | list[str],
        *,
        env: Mapping[str, str],
        cwd: str,
        stdin: str,
        output: Capture | None,
        errors: Capture,
        timeout_ms: int | None,
        idle_ms: int | None,
    ) -> End:
        """Runs one program until it has ended, by itself or because a bound was reached or a stop was asked for.

        Without `output` both its streams go to `errors`. Raises SpawnFailedError. Processes that it left behind live on until `finish`.
        """
        started = self._last_word_ms = _now_ms()
        program = spawn(argv, env=env, cwd=cwd, stdin=stdin, merge=output is None, cgroup=self._cgroup)
        self._follow(program.output, output or errors)
        self._follow(program.errors, errors)
        cause: Cause = "exit"
        while program.pid not in self._statuses:
            due = [self._last_word_ms + idle_ms] if idle_ms is not None else []
            due += [started + timeout_ms] if timeout_ms is not None else []
            if (reached := self._bound_reached(started, timeout_ms, idle_ms)) is not None:
                cause = reached
                self._end_all()
                break
            self._turn(min(due) - _now_ms() if due else None)
        elapsed = _now_ms() - started
        return End(self._statuses.pop(program.pid, signal.SIGKILL), cause, elapsed)

    def finish(self) -> bool:
        """Ends whatever is left and takes in the last output. False when something could not be killed."""
        gone = self._end_all()
        for descriptor in list(self._captures):
            # A process outside the tree may have been handed the pipe and write for ever: what is in it now is taken in, no more.
            for _ in range(_LAST_READS_MAX):
                if not self._pump(descriptor):
                    break
            if descriptor in self._captures:
                self._unfollow(descriptor)
        return gone

    def _bound_reached(self, started: int, timeout_ms: int | None, idle_ms: int | None) -> Cause | None:
        now = _now_ms()
        if self._signals.stop_requested:
            return "stopped"
        if timeout_ms is not None and now >= started + timeout_ms:
            return "timeout"
        if idle_ms is not None and now >= self._last_word_ms + idle_ms:
            return "idle"
        return None

    def _end_all(self) -> bool:
        """Asks everybody, signal by signal, each with its grace, then kills until nobody is left; output is taken in meanwhile."""
        for number in self._stop_signals:
            if self._tree.members():
                self._tree.ask(number)
                self._wait_until_empty(self._grace_ms)
        gone = self._wait_until_empty(_KILL_MS_MAX, kill=True)
        self._reap()
        return gone

    def _wait_until_empty(self, patience_ms: int, *, kill: bool = False) -> bool:
        """Whether nobody is left before the time is up."""
        end = _now_ms() + patience_ms
        while self._tree.members():
            if _now_ms() >= end:
                return False
            if kill:
                self._tree.kill()
            self._turn(_KILL_PACE_MS)
        return True

    def _turn(self, wait_ms: int | None) -> None:
        """Waits for output, a child's end, a stop or the time given, and takes in what there is."""
        for descriptor, _ in self._poll.poll(None if wait_ms is None else max(wait_ms, 0)):
            if descriptor == self._signals.wakeup:
                self._signals.clear()
            else:
                self._pump(descriptor)
        self._reap()

    def _reap(self) -> None:
        """Collects every child that has ended, adopted orphans included."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            self._statuses[pid] = status

    def _follow(self, descriptor: int, capture: Capture) -> None:
        os.set_blocking(descriptor, False)
        self._captures[descriptor] = capture
        self._poll.register(descriptor, select.POLLIN)

    def _unfollow(self, descriptor: int) -> None:
        self._poll.unregister(descriptor)
        del self._captures[descriptor]
        os.close(descriptor)

    def _pump(self, descriptor: int) -> bool:
        """Takes in one chunk; False when there is none now or ever."""
        try:
            data = os.read(descriptor, _READ_BYTES)
        except BlockingIOError:
            return False
        if not data:
            self._unfollow(descriptor)
            return False
        self._captures[descriptor].write(data)
        self._last_word_ms = _now_ms()
        return True


def _now_ms() -> int:
    return time.monotonic_ns() // 1_000_000
