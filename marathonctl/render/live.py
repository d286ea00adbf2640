"""Views of a session that is being followed: a live table on a terminal, one line per event elsewhere, or nothing."""

import json
import sys
import time
from collections.abc import Callable
from typing import Any, Protocol, TextIO

from marathonctl.render.entries import sentence
from marathonctl.render.progress import Progress
from marathonctl.render.style import Style, size
from marathonctl.render.text import clock, width

QUIET_KINDS = frozenset(
    {"attempt.started", "candidate.made", "delivery.intended", "gate.passed", "run.started", "run.ended", "timer.fired"}
)
"""Entries that a person who follows a session need not read; `tail` shows them all."""


class View(Protocol):
    """What a follower tells while it follows."""

    tick_seconds: float | None
    wants_contract: bool

    def contract(self, shown: dict[str, Any]) -> None:
        """The result of `contract/show`, for views that want it."""

    def status(self, status: dict[str, Any]) -> None:
        """The session as it is now."""

    def entry(self, row: dict[str, Any]) -> None:
        """An entry was committed."""

    def note(self, text: str) -> None:
        """A remark about the following itself."""

    def close(self) -> None:
        """Nothing more comes; leaves the terminal as it was found."""


class SilentView:
    """For `--json`: the one object at the end says it all; remarks go to `note`."""

    tick_seconds: float | None = None
    wants_contract = False

    def __init__(self, note: Callable[[str], None]) -> None:
        self._tell = note

    def contract(self, shown: dict[str, Any]) -> None:
        """Not shown."""

    def status(self, status: dict[str, Any]) -> None:
        """Not shown."""

    def entry(self, row: dict[str, Any]) -> None:
        """Not shown."""

    def note(self, text: str) -> None:
        """Passed on."""
        self._tell(text)

    def close(self) -> None:
        """Nothing to put back."""


class PlainView:
    """One line per event, for pipes, logs and dumb terminals."""

    tick_seconds: float | None = None
    wants_contract = False

    def __init__(self, style: Style) -> None:
        self._style = style

    def contract(self, shown: dict[str, Any]) -> None:
        """Not shown."""

    def status(self, status: dict[str, Any]) -> None:
        """Not shown: the events tell it."""

    def entry(self, row: dict[str, Any]) -> None:
        """The event's time and sentence."""
        record = json.loads(row["record"])
        if record["kind"] not in QUIET_KINDS:
            at = self._style.paint(clock(record["at"]), "dim")
            sys.stdout.write(f"{at}  {sentence(record['kind'], record['body'])}\n")
            sys.stdout.flush()

    def note(self, text: str) -> None:
        """On standard error."""
        sys.stderr.write(text + "\n")
        sys.stderr.flush()

    def close(self) -> None:
        """Nothing to put back."""


class LiveView:
    """A table of the tasks that is redrawn in place each second and at each event."""

    tick_seconds: float | None = 1.0
    wants_contract = True

    def __init__(self, style: Style, stream: TextIO, now: Callable[[], float] = time.time) -> None:
        self._style = style
        self._stream = stream
        self._now = now
        self._progress = Progress()
        self._note = ""
        self._last: dict[str, Any] | None = None
        self._drawn: list[int] = []
        self._stream.write("\x1b[?25l")  # no cursor while we draw

    def contract(self, shown: dict[str, Any]) -> None:
        """Learns how many attempts each task has."""
        self._progress.learn(shown["record"])

    def status(self, status: dict[str, Any]) -> None:
        """Redraws."""
        self._last = status
        columns, rows = size(self._stream)
        self._draw(self._progress.lines(status, self._style, columns - 1, rows - 1, self._now(), self._note), columns)

    def entry(self, row: dict[str, Any]) -> None:
        """Counts the time that attempts took; a sign of life ends a remark."""
        self._progress.absorb(json.loads(row["record"]))
        self._note = ""

    def note(self, text: str) -> None:
        """Shown in the footer until the next event."""
        self._note = text
        if self._last is not None:
            self.status(self._last)

    def close(self) -> None:
        """Leaves the last drawing on the screen and gives the cursor back."""
        self._stream.write("\x1b[?25h")
        self._stream.flush()

    def _draw(self, lines: list[tuple[str, str]], columns: int) -> None:
        """Writes over the last drawing. Each line comes as (text to measure, text to write).

        After a resize the terminal has wrapped the old lines anew: they are counted by the width of now.
        """
        up = sum(max(1, -(-wide // columns)) for wide in self._drawn)
        drawn = [width(plain) for plain, _ in lines]
        back = f"\x1b[{up}A\r" if up else "\r"
        try:
            self._stream.write(back + "\x1b[J" + "".join(f"{painted}\n" for _, painted in lines))
            self._stream.flush()
        finally:  # an interrupt that answers the drawing comes before `write` has returned: what is seen is counted
            self._drawn = drawn
