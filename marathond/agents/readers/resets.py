"""When a limit ends: epoch numbers, and the several ways in which agents write a time of day.

A text is only a fallback: minutes are rounded, the year is often missing and the zone sometimes, so a little slack is added.
"""

import re
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Any, Final
from zoneinfo import ZoneInfo

SLACK: Final = timedelta(seconds=60)
"""Added to times read from text, whose minutes are rounded."""

JUST_PASSED: Final = timedelta(minutes=5)
"""A time of day that passed less long ago than this is over, not tomorrow's."""

RESET_DAYS_MAX: Final = 366
"""A reset further away than this is taken for unknown."""

_US: Final = timedelta(microseconds=1)
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_CLOCK: Final = re.compile(r"(\d{1,2})(?::(\d{2}))?\s*([ap]\.?m\.?)?", re.IGNORECASE)
_DATE: Final = re.compile(r"([A-Za-z]{3,9})\.?\s+(\d{1,2})(?:st|nd|rd|th)?(?:,?\s+(\d{4}))?(?:,|\s+at)?\s+(.+)")
_MONTHS: Final = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")


def from_number(value: Any, now_us: int) -> int | None:
    """An epoch in seconds, milliseconds or microseconds as microseconds, not before now; None when it is none."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 10**8 <= value < 10**17:
        return None
    us = int(value * (1_000_000 if value < 10**11 else 1000 if value < 10**14 else 1))
    return _sane(us, now_us)


def from_text(when: str, zone: str | None, now_us: int, local: tzinfo | None) -> int | None:
    """A written time as microseconds since the epoch, not before now; None when it cannot be understood.

    `local` is the zone of texts that name none (default: this machine's).
    """
    when = when.strip()
    if re.fullmatch(r"\d{9,13}", when):
        return from_number(int(when), now_us)
    place = _zone(zone) or local
    now = (_EPOCH + now_us * _US).astimezone(place)
    moment = _moment(when, now, place)
    if moment is None:
        return None
    return _sane((moment + SLACK - _EPOCH) // _US, now_us)


def _sane(us: int, now_us: int) -> int | None:
    return None if us > now_us + RESET_DAYS_MAX * 86_400_000_000 else max(us, now_us)


def _zone(name: str | None) -> tzinfo | None:
    if not name:
        return None
    try:
        return ZoneInfo(name.strip())
    except (ValueError, OSError, LookupError):
        return None  # an abbreviation or a slip of the agent's: the local zone is the better guess


def _moment(when: str, now: datetime, place: tzinfo | None) -> datetime | None:
    date = _DATE.fullmatch(when)
    clock = _clock(date[4] if date else when)
    if clock is None:
        return None
    try:
        if date is None:
            return _next_time(clock, now, place)
        if date[1][:3].lower() not in _MONTHS:
            return None
        month = _MONTHS.index(date[1][:3].lower()) + 1
        return _dated(month, int(date[2]), int(date[3]) if date[3] else None, clock, now, place)
    except (ValueError, OverflowError):
        return None  # no such day


def _clock(text: str) -> tuple[int, int] | None:
    match = _CLOCK.fullmatch(text.strip())
    if match is None:
        return None
    hour, minute, half = int(match[1]), int(match[2] or 0), (match[3] or "").lower().replace(".", "")
    if half:
        if not 1 <= hour <= 12:
            return None
        hour = hour % 12 + (12 if half == "pm" else 0)
    elif match[2] is None:
        return None
    return (hour, minute) if hour < 24 and minute < 60 else None


def _next_time(clock: tuple[int, int], now: datetime, place: tzinfo | None) -> datetime:
    today = _at(now.year, now.month, now.day, clock, place)
    if today > now - JUST_PASSED:
        yesterday = today - timedelta(days=1)
        return yesterday if yesterday > now - JUST_PASSED else today
    tomorrow = now.date() + timedelta(days=1)
    return _at(tomorrow.year, tomorrow.month, tomorrow.day, clock, place)


def _dated(
    month: int, day: int, year: int | None, clock: tuple[int, int], now: datetime, place: tzinfo | None
) -> datetime:
    if year is not None:
        return _at(year, month, day, clock, place)
    this_year = _at(now.year, month, day, clock, place)
    return this_year if this_year > now - timedelta(days=1) else _at(now.year + 1, month, day, clock, place)


def _at(year: int, month: int, day: int, clock: tuple[int, int], place: tzinfo | None) -> datetime:
    moment = datetime(year, month, day, *clock)  # noqa: DTZ001 - the zone follows; None means this machine's
    return moment.replace(tzinfo=place) if place is not None else moment.astimezone()
