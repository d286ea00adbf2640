"""Readers of single values: each takes what was written, says what is wrong with it, and returns it in its frozen form.

A reader returns None for a value it refuses; the problem is recorded and reading goes on.
"""

import datetime
import re
from collections.abc import Callable, Collection
from typing import Any, TypeVar

from marathond.domain.instants import format_duration, parse_duration, parse_instant
from marathond.domain.limits import INTEGER_MAX, TEXT_CHARS_MAX
from marathond.planning.problems import KeyPath, Problems

T = TypeVar("T")
Reader = Callable[[Problems, KeyPath, object], T | None]

_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_TASK_ID = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")
_ENVIRONMENT_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def describe(value: object) -> str:
    """What kind of value this is, in a user's words."""
    match value:
        case bool():
            return "true or false"
        case int():
            return "an integer"
        case float():
            return "a decimal number"
        case str():
            return "text"
        case list() | tuple():
            return "an array"
        case dict():
            return "a table"
        case None:
            return "null"
        case datetime.datetime() | datetime.date() | datetime.time():
            return "a date or time"
        case _:
            return "something else"


def text(*, chars_max: int = TEXT_CHARS_MAX, empty: bool = False) -> Reader[str]:
    """Text of at most `chars_max` characters, as it is written; `empty` says whether blank text will do."""

    def read(problems: Problems, path: KeyPath, value: object) -> str | None:
        if not isinstance(value, str):
            short = isinstance(value, int) and not isinstance(value, bool) and abs(value) <= INTEGER_MAX
            problems.add(path, f"must be text, not {describe(value)}", f'"{value}"' if short else None)
        elif fault := _fault(value, chars_max, empty):
            problems.add(path, fault)
        else:
            return value
        return None

    return read


def _fault(value: str, chars_max: int, empty: bool) -> str | None:
    if not empty and not value.strip():
        return "must not be empty"
    if len(value) > chars_max:
        return f"has {len(value):,} characters; {chars_max:,} are allowed"
    if "\0" in value:
        return "contains a NUL character, which no command line can hold"
    if not value.isascii() and any("\ud800" <= c <= "\udfff" for c in value):
        return "contains half of a surrogate pair, which is not Unicode text"
    return None


def line(*, chars_max: int = TEXT_CHARS_MAX, empty: bool = False) -> Reader[str]:
    """Text without line breaks and other control characters."""
    plain = text(chars_max=chars_max, empty=empty)

    def read(problems: Problems, path: KeyPath, value: object) -> str | None:
        found = plain(problems, path, value)
        if found is not None and _CONTROL.search(found):
            problems.add(path, "must be one line without control characters")
            return None
        return found

    return read


def argument(what: str) -> Reader[str]:
    """A line that a program is given as an argument, so it may not look like an option."""
    plain = line(chars_max=256)

    def read(problems: Problems, path: KeyPath, value: object) -> str | None:
        found = plain(problems, path, value)
        if found is not None and found.startswith("-"):
            problems.add(path, f"{what} does not begin with -")
            return None
        return found

    return read


def integer(low: int, high: int) -> Reader[int]:
    """An integer from `low` to `high`; true and false are none."""

    def read(problems: Problems, path: KeyPath, value: object) -> int | None:
        if isinstance(value, bool) or not isinstance(value, int):
            number = value.strip() if isinstance(value, str) else ""
            meant = number if re.fullmatch(r"\d{1,9}", number) else None
            problems.add(path, f"must be an integer, not {describe(value)}", meant)
        elif not low <= value <= high:
            problems.add(path, f"must be from {low} to {high}", str(min(max(value, low), high)))
        else:
            return value
        return None

    return read


def boolean(problems: Problems, path: KeyPath, value: object) -> bool | None:
    """`true` or `false`."""
    if isinstance(value, bool):
        return value
    word = value.strip().lower() if isinstance(value, str) else ""
    problems.add(path, f"must be true or false, not {describe(value)}", word if word in ("true", "false") else None)
    return None


def choice(options: Collection[str]) -> Reader[str]:
    """One of a few words."""

    def read(problems: Problems, path: KeyPath, value: object) -> str | None:
        if isinstance(value, str) and value in options:
            return value
        found = "not that word" if isinstance(value, str) else f"not {describe(value)}"
        problems.add(path, f"must be one of {', '.join(sorted(options))}, {found}", problems.nearest(value, options))
        return None

    return read


def duration(problems: Problems, path: KeyPath, value: object) -> int | None:
    """A duration such as `1h30m`, as milliseconds."""
    if not isinstance(value, str):
        meant = None
        if isinstance(value, int) and not isinstance(value, bool) and 0 < value < 10**6:
            meant = f'"{format_duration(value * 1000)}"'
        problems.add(path, f'must be a duration such as "40m", not {describe(value)}', meant)
        return None
    try:
        return parse_duration(value)
    except ValueError as error:
        squeezed = re.sub(r"\s+", "", value.lower())
        problems.add(path, str(error), f'"{squeezed}"' if _is_duration(squeezed) else None)
        return None


def _is_duration(value: str) -> bool:
    try:
        return parse_duration(value) > 0
    except ValueError:
        return False


def instant(problems: Problems, path: KeyPath, value: object) -> int | None:
    """A point in time with its zone, as text or as a TOML date-time; microseconds since the epoch."""
    written = value.isoformat() if isinstance(value, datetime.datetime) else value
    if not isinstance(written, str):
        problems.add(path, f'must be a time such as "2026-12-01T08:00:00Z", not {describe(value)}')
        return None
    try:
        found = parse_instant(written)
    except (ValueError, OverflowError) as error:
        missing_zone = "time zone" in str(error)
        reason = str(error) if missing_zone else 'must be a time such as "2026-12-01T08:00:00Z"'
        problems.add(path, reason, f'"{written}Z"' if missing_zone else None)
        return None
    if not 0 <= found <= INTEGER_MAX:
        problems.add(path, "must be between the years 1970 and 2255")
        return None
    return found


def task_id(problems: Problems, path: KeyPath, value: object) -> str | None:
    """An id such as `add-export_2`."""
    if not isinstance(value, str):
        problems.add(path, f"must be the id of a task, not {describe(value)}")
    elif not _TASK_ID.fullmatch(value):
        meant = re.sub(r"[^a-z0-9_-]+", "-", value.lower()).strip("-_")[:64]
        problems.add(
            path,
            "is not an id: 1 to 64 of a–z, 0–9, - and _, beginning with a letter or digit",
            meant if _TASK_ID.fullmatch(meant) else None,
        )
    else:
        return value
    return None


def environment_name(problems: Problems, path: KeyPath, value: object) -> str | None:
    """The name of an environment variable that attempts may see."""
    if not isinstance(value, str):
        problems.add(path, f"must be the name of an environment variable, not {describe(value)}")
    elif "=" in value:
        name = value.partition("=")[0]
        meant = f'"{name}"' if _ENVIRONMENT_NAME.fullmatch(name) else None
        problems.add(path, "is a name only; the value comes from the environment of the client", meant)
    elif not _ENVIRONMENT_NAME.fullmatch(value) or len(value) > 256:
        problems.add(path, "is not the name of an environment variable")
    elif value in ("MARATHON_ATTEMPT", "MARATHON_SOCKET"):
        problems.add(path, "is set by Marathon itself")
    else:
        return value
    return None


def array(element: Reader[T], *, count_max: int, repeats: bool = True) -> Reader[tuple[T, ...]]:
    """An array of such elements. Elements that are refused are left out of what is returned."""

    def read(problems: Problems, path: KeyPath, value: object) -> tuple[T, ...] | None:
        if not isinstance(value, (list, tuple)):
            meant = '["…"]' if isinstance(value, str) else None
            problems.add(path, f"must be an array, not {describe(value)}", meant)
            return None
        if len(value) > count_max:
            problems.add(path, f"has {len(value):,} elements; {count_max:,} are allowed")
            return None
        found = [element(problems, (*path, index), each) for index, each in enumerate(value)]
        if not repeats:
            _refuse_repeats(problems, path, found)
        return tuple(each for each in found if each is not None)

    return read


def _refuse_repeats(problems: Problems, path: KeyPath, found: list[Any]) -> None:
    seen = set()
    for index, each in enumerate(found):
        if each is not None and each in seen:
            problems.add((*path, index), f"{each!r} stands here twice")
        seen.add(each)
