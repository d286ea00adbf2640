"""One alarm for all timers: it sleeps in the kernel until an instant of the wall clock, and notices when that clock is set.

Linux `timerfd` with `TFD_TIMER_CANCEL_ON_SET` (timerfd_create(2)): an absolute CLOCK_REALTIME timer that is due across
suspend, and whose read fails with ECANCELED when somebody steps the clock. So nothing polls, and a step is never missed.
`os.timerfd_create` exists from Python 3.13; before it, the same calls go through ctypes.
"""

import ctypes
import errno
import os
import time
from typing import Final, Literal, Protocol

import anyio

from marathond.domain.clock import Clock

_CLOCK_REALTIME: Final = 0
_TFD_NONBLOCK: Final = os.O_NONBLOCK
_TFD_CLOEXEC: Final = os.O_CLOEXEC
_TFD_TIMER_ABSTIME: Final = 1
_TFD_TIMER_CANCEL_ON_SET: Final = 2
_FAR_FUTURE_US: Final = 4_102_444_800_000_000  # 2100-01-01: armed even without a timer, to notice clock steps

Rang = Literal["due", "stepped", "set"]


class Alarm(Protocol):
    """Sleeps until an instant, for one waiter."""

    def set(self, due: int | None) -> None:
        """Sets the instant (microseconds since the epoch); None for no instant. Wakes the waiter to look again."""

    async def wait(self) -> Rang:
        """Returns why it woke: the instant came, the clock was stepped, or the instant was changed."""

    def close(self) -> None:
        """Frees the descriptor."""


class _Timespec(ctypes.Structure):
    _fields_ = (("sec", ctypes.c_long), ("nsec", ctypes.c_long))


class _Itimerspec(ctypes.Structure):
    _fields_ = (("interval", _Timespec), ("value", _Timespec))


class WallAlarm:
    """The real alarm."""

    def __init__(self) -> None:
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._fd = self._libc.timerfd_create(_CLOCK_REALTIME, _TFD_NONBLOCK | _TFD_CLOEXEC)
        if self._fd < 0:
            raise OSError(ctypes.get_errno(), "timerfd_create failed")
        self._due: int | None = None
        self._changed = anyio.Event()
        self._arm()

    def set(self, due: int | None) -> None:
        """See `Alarm.set`."""
        if due != self._due:
            self._due = due
            self._arm()
            self._changed.set()

    def _arm(self) -> None:
        due = max(1, _FAR_FUTURE_US if self._due is None else self._due)
        spec = _Itimerspec(value=_Timespec(due // 1_000_000, due % 1_000_000 * 1000))
        flags = _TFD_TIMER_ABSTIME | _TFD_TIMER_CANCEL_ON_SET
        if self._libc.timerfd_settime(self._fd, flags, ctypes.byref(spec), None) < 0:
            raise OSError(ctypes.get_errno(), "timerfd_settime failed")

    async def wait(self) -> Rang:
        """See `Alarm.wait`."""
        rang: Rang = "set"

        async def readable() -> None:
            nonlocal rang
            await anyio.wait_readable(self._fd)
            rang = "due"
            tasks.cancel_scope.cancel()

        async def changed() -> None:
            await self._changed.wait()
            tasks.cancel_scope.cancel()

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(readable)
            tasks.start_soon(changed)
        self._changed = anyio.Event()
        return self._read() if rang == "due" else rang

    def _read(self) -> Rang:
        try:
            os.read(self._fd, 8)
        except OSError as error:
            if error.errno == errno.ECANCELED:
                self._arm()
                return "stepped"
            if error.errno == errno.EAGAIN:
                return "set"
            raise
        self._due = None
        self._arm()
        return "due"

    def close(self) -> None:
        """See `Alarm.close`."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


class SystemClock:
    """The machine's clocks. CLOCK_MONOTONIC does not run while the machine is suspended."""

    def wall(self) -> int:
        """See `Clock.wall`."""
        return time.time_ns() // 1000

    def monotonic_ms(self) -> int:
        """See `Clock.monotonic_ms`."""
        return time.monotonic_ns() // 1_000_000


def clock_steps_ms(clock: Clock, wall_before: int, monotonic_before_ms: int) -> int:
    """By how many milliseconds the wall clock moved against the monotonic one since the two readings."""
    return (clock.wall() - wall_before) // 1000 - (clock.monotonic_ms() - monotonic_before_ms)
