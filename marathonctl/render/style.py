"""Colours and signs: used on a terminal that wants them, plain everywhere else."""

import os
import sys
from collections.abc import Mapping
from typing import NamedTuple, TextIO

_CODES = {"bold": "1", "dim": "2", "red": "31", "green": "32", "yellow": "33", "blue": "34", "cyan": "36"}

_SIGNS = {
    "pending": ("○", "."),
    "ready": ("○", "."),
    "dispatched": ("●", "*"),
    "running": ("●", "*"),
    "waiting": ("◷", "~"),
    "retrying": ("↻", "~"),
    "held": ("?", "?"),
    "halted": ("‖", "="),
    "done": ("✓", "+"),
    "failed": ("✗", "x"),
    "skipped": ("–", "-"),
    "cancelled": ("–", "-"),
    "aborted": ("–", "-"),
    "quarantined": ("✗", "x"),
    "pass": ("✓", "+"),
    "fail": ("✗", "x"),
    "not_evaluated": ("–", "-"),
}
_COLOURS = {
    "dispatched": "cyan",
    "running": "cyan",
    "waiting": "yellow",
    "retrying": "yellow",
    "held": "yellow",
    "halted": "yellow",
    "done": "green",
    "failed": "red",
    "quarantined": "red",
    "skipped": "dim",
    "cancelled": "dim",
    "aborted": "dim",
    "pending": "dim",
    "ready": "dim",
    "pass": "green",
    "fail": "red",
    "not_evaluated": "dim",
}


class Style(NamedTuple):
    """How to write to one stream: with colour or without, with Unicode signs or ASCII ones."""

    colour: bool
    unicode: bool

    def paint(self, text: str, *names: str) -> str:
        """`text` in the named colours; unchanged where there are none."""
        if not self.colour or not text or not names:
            return text
        return f"\x1b[{';'.join(_CODES[name] for name in names)}m{text}\x1b[0m"

    def sign(self, state: str) -> str:
        """The one-column sign of a state or verdict, in its colour."""
        fancy, plain = _SIGNS.get(state, ("·", "-"))
        return self.state(state, fancy if self.unicode else plain)

    def state(self, state: str, text: str | None = None) -> str:
        """`text` (default: the state's name) in the colour of a state."""
        return self.paint(state if text is None else text, *filter(None, [_COLOURS.get(state)]))

    def dot(self) -> str:
        """What stands between the parts of a line."""
        return " · " if self.unicode else " - "


def is_plain(stream: TextIO, environ: Mapping[str, str] = os.environ) -> bool:
    """Whether a stream is no terminal that could show colours or a live view."""
    return not stream.isatty() or environ.get("TERM", "") in ("", "dumb")


def style_for(stream: TextIO, environ: Mapping[str, str] = os.environ) -> Style:
    """The style for a stream. `NO_COLOR` (no-color.org), `TERM=dumb` and pipes get no colour."""
    colour = not is_plain(stream, environ) and not environ.get("NO_COLOR")
    return Style(colour=colour, unicode=(stream.encoding or "").lower().replace("-", "") == "utf8")


UNBOUNDED = sys.maxsize
"""The width of what is no terminal: nothing is cut there."""


def columns(stream: TextIO | None = None, default: int = 80) -> int:
    """The width of the terminal behind a stream; `$COLUMNS` or `default` where there is none."""
    return size(stream, default)[0]


def size(stream: TextIO | None = None, default: int = 80) -> tuple[int, int]:
    """Columns and rows of the terminal behind a stream (default: standard output)."""
    try:
        found = os.get_terminal_size((stream or sys.stdout).fileno())
    except (OSError, ValueError):  # no terminal, or a stream without a descriptor
        text = os.environ.get("COLUMNS", "")
        return (int(text) if text.isdigit() and int(text) > 0 else default), 24
    return found.columns or 80, found.lines or 24
