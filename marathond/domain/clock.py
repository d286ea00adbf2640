"""The clock as an argument: whoever needs the time is given one of these.

Nothing in `domain` calls it; the layers above pass what it says.
"""

from typing import Protocol


class Clock(Protocol):
    """Wall time in microseconds since the epoch, and monotonic time in milliseconds (which does not run while suspended)."""

    def wall(self) -> int:
        """Microseconds since the epoch, UTC; may step."""

    def monotonic_ms(self) -> int:
        """Milliseconds that only ever rise."""
