"""Words for people: durations, times, counts, and text that fits and cannot play tricks on a terminal."""

import re
import time
from typing import Any

_CONTROL = (
    r"\x1b\[[0-?]*[ -/]*[@-~]"  # control sequences: colours, cursor, screen
    r"|\x1b[\]PX^_].*?(?:\x1b\\|\x07|$)"  # titles, links, device strings
    r"|\x1b."
    r"|[\x00-\x08\x0b-\x1f\x7f-\x9f]"
    r"|[\u200e\u200f\u202a-\u202e\u2066-\u2069]"  # marks that turn the direction of text around
)
_COLOUR = r"\x1b\[[0-9;]*m"


def clean(text: str) -> str:
    """`text` on one line, without anything that a terminal would obey."""
    if text.isascii() and text.isprintable():
        return text
    return " ".join(re.sub(_CONTROL, "", text, flags=re.DOTALL).split())


def clean_lines(text: str, *, colours: bool) -> str:
    """`text` with its lines and tabs, without what would move the cursor; colour sequences stay where `colours`."""

    def keep(match: re.Match[str]) -> str:
        return match[0] if colours and re.fullmatch(_COLOUR, match[0]) else ""

    return re.sub(_CONTROL, keep, text.replace("\r\n", "\n"), flags=re.DOTALL)


def width(text: str) -> int:
    """The columns that `text` takes in a terminal: wide characters take two, combining ones none."""
    if text.isascii():
        return len(text)
    import unicodedata

    return sum(_columns(character, unicodedata) for character in text)


def fit(text: str, columns: int) -> str:
    """`text` cut to at most `columns`, with an ellipsis where something was cut."""
    if width(text) <= columns:
        return text
    if columns <= 0:
        return ""
    import unicodedata

    kept, used = [], 0
    for character in text:
        used += _columns(character, unicodedata)
        if used > columns - 1:
            break
        kept.append(character)
    return "".join(kept).rstrip() + "…"


def pad(text: str, columns: int) -> str:
    """`text` filled with spaces to `columns`."""
    return text + " " * (columns - width(text))


def _columns(character: str, unicodedata: Any) -> int:
    if unicodedata.combining(character) or unicodedata.category(character) in ("Mn", "Me", "Cf"):
        return 0
    return 2 if unicodedata.east_asian_width(character) in ("W", "F") else 1


def duration(ms: float) -> str:
    """A length of time in at most two units: `850ms` is `0.9s`, an hour and two minutes `1h02m`."""
    seconds = max(0.0, ms / 1000)
    if seconds < 9.95:
        return f"{seconds:.1f}s".replace(".0s", "s")
    whole = round(seconds)
    minutes, whole = divmod(whole, 60)
    if minutes == 0:
        return f"{whole}s"
    hours, minutes = divmod(minutes, 60)
    if hours == 0:
        return f"{minutes}m{whole:02}s"
    days, hours = divmod(hours, 24)
    return f"{days}d{hours:02}h" if days else f"{hours}h{minutes:02}m"


def epoch(iso: str) -> float:
    """Seconds since the epoch of a UTC timestamp as the daemon writes them: `2026-11-25T15:54:13.123456Z`.

    By hand, because importing datetime costs more than the rest of a status page. The days are counted as in Howard
    Hinnant's `days_from_civil`. Raises ValueError for anything else.
    """
    date, _, clock_time = iso.removesuffix("Z").partition("T")
    year, month, day = (int(part) for part in date.split("-"))
    hour, minute, second = clock_time.split(":")
    year -= month <= 2
    day_of_year = (153 * ((month + 9) % 12) + 2) // 5 + day - 1  # counted from 1 March
    days = 365 * year + year // 4 - year // 100 + year // 400 + day_of_year - 719_468
    return days * 86_400 + int(hour) * 3600 + int(minute) * 60 + float(second)


def clock(iso: str, now: float | None = None) -> str:
    """A timestamp in local time: `14:05:09` today, with the date on any other day."""
    return _local(epoch(iso), time.time() if now is None else now, "%H:%M:%S")


def due(iso: str, now: float | None = None) -> str:
    """When something will happen: `14:05 (in 42m)`."""
    current = time.time() if now is None else now
    left = epoch(iso) - current
    shown = _local(epoch(iso), current, "%H:%M")
    return f"{shown} (in {duration(left * 1000)})" if left > 0 else f"{shown} (now)"


def instant(us: int) -> str:
    """An instant in microseconds since the epoch, as `clock` shows a timestamp."""
    return _local(us / 1_000_000, time.time(), "%H:%M:%S")


def _local(moment: float, now: float, form: str) -> str:
    """A moment in local time, with its date unless that is today's."""
    then, today = time.localtime(moment), time.localtime(now)
    same_day = (then.tm_year, then.tm_yday) == (today.tm_year, today.tm_yday)
    return time.strftime(form if same_day else f"%Y-%m-%d {form}", then)


def since(iso: str, now: float | None = None) -> str:
    """How long ago a timestamp was, as a duration."""
    return duration(((time.time() if now is None else now) - epoch(iso)) * 1000)


def plural(count: int, noun: str) -> str:
    """`1 task`, `3 tasks`, `2 entries`."""
    if count == 1:
        return f"1 {noun}"
    return f"{count} {noun[:-1]}ies" if noun.endswith("ry") else f"{count} {noun}s"


def short(digest: str | None) -> str:
    """A hash or commit as people write it."""
    return (digest or "")[:10]


def home(path: str) -> str:
    """A path with the user's home folder as `~`."""
    import os

    own = os.environ.get("HOME", "")
    return "~" + path.removeprefix(own) if own and (path == own or path.startswith(own + "/")) else path
