"""Errors of the command line itself."""

from collections.abc import Iterable

from marathond.domain.errors import USAGE, MarathonError


def usage(reason: str, prog: str = "marathonctl", hint: str = "") -> MarathonError:
    """The error (exit 64) for a command line that cannot be understood."""
    sentence = reason[:1].upper() + reason[1:].rstrip(".")
    return MarathonError(USAGE, reason=sentence, hint=hint or f"See `{prog} --help`.")


def did_you_mean(word: str, right: Iterable[str]) -> str:
    """A hint that names the nearest right word; empty when none is near."""
    from difflib import get_close_matches

    near = get_close_matches(word, list(right), n=1)
    return f"Did you mean `{near[0]}`?" if near else ""
