"""Errors of the command line itself."""

from argparse import ArgumentTypeError
from collections.abc import Callable, Iterable

from marathond.domain.errors import USAGE, MarathonError


def usage(reason: str, prog: str = "marathonctl", hint: str = "") -> MarathonError:
    """The error (exit 64) for a command line that cannot be understood."""
    sentence = reason[:1].upper() + reason[1:].rstrip(".")
    return MarathonError(USAGE, reason=sentence, hint=hint or f"See `{prog} --help`.")


def did_you_mean(word: str, right: Iterable[str]) -> str:
    """A hint that names the nearest right word, one that begins with `word` before all; empty when none is near."""
    from difflib import get_close_matches

    known = list(right)
    begun = [name for name in known if len(word) > 1 and name.startswith(word)]
    near = begun or get_close_matches(word, known, n=1)
    return f"Did you mean {' or '.join(f'`{name}`' for name in near)}?" if near else ""


def whole(least: int, most: int | None = None) -> Callable[[str], int]:
    """An argument's type for argparse: a whole number from `least` on, up to `most`."""

    def read(text: str) -> int:
        number = int(text) if text.removeprefix("-").isdecimal() and len(text) <= 16 else None
        if number is None or number < least or (most is not None and number > most):
            raise ArgumentTypeError(f"{text!r} is not a whole number from {least} {f'to {most}' if most else 'on'}")
        return number

    return read
