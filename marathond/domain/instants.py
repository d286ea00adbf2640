"""Points in time and lengths of time, as integers.

An instant is microseconds since the Unix epoch (UTC); a duration is milliseconds. Text forms: an instant is
`2026-11-25T15:54:13.123456Z`, always with six digits; a duration is `90s`, `40m`, `1h30m`, `0.5s`, `2d`.
"""

import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from marathond.domain.limits import DURATION_MAX_MS

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_UNITS_MS = {"ms": 1, "s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
_NUMBER = r"(\d{1,9}(?:\.\d{1,3})?)"
_DURATION = re.compile(rf"(?:{_NUMBER}d)?(?:{_NUMBER}h)?(?:{_NUMBER}m(?!s))?(?:{_NUMBER}s)?(?:{_NUMBER}ms)?")


def format_instant(us: int) -> str:
    """An instant as UTC ISO-8601 with microseconds and Z (RFC 3339)."""
    return (_EPOCH + timedelta(microseconds=us)).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def parse_instant(text: str) -> int:
    """An RFC 3339 timestamp with a zone, as microseconds. Raises ValueError."""
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError("the time zone is missing; write Z or +02:00")
    return (moment - _EPOCH) // timedelta(microseconds=1)


def parse_duration(text: str) -> int:
    """A duration such as `1h30m`, as milliseconds. Raises ValueError with what is wrong."""
    match = _DURATION.fullmatch(text.strip())
    if not text.strip() or match is None:
        raise ValueError(f"{text!r} is not a duration; write one like 90s, 40m, 1h30m or 2d")
    units = _UNITS_MS["d"], _UNITS_MS["h"], _UNITS_MS["m"], _UNITS_MS["s"], _UNITS_MS["ms"]
    total = int(sum(Decimal(n) * unit for n, unit in zip(match.groups(), units, strict=True) if n))
    if not 0 < total <= DURATION_MAX_MS:
        raise ValueError(f"{text!r} is out of range; a duration is more than 0 and at most 366d")
    return total


def format_duration(ms: int) -> str:
    """The shortest text that `parse_duration` reads back to the same number: `90000` gives `1m30s`."""
    parts = []
    for unit in ("d", "h", "m", "s", "ms"):
        count, ms = divmod(ms, _UNITS_MS[unit])
        if count:
            parts.append(f"{count}{unit}")
    return "".join(parts) or "0s"
