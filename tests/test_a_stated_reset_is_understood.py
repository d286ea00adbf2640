"""Reset times: epochs, and the ways in which agents write a time of day."""

from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from marathond.agents.readers.resets import from_number, from_text
from marathond.domain.instants import format_instant, parse_instant

BERLIN = ZoneInfo("Europe/Berlin")
NOW = parse_instant("2026-11-20T23:50:00Z")


def text(when: str, zone: str | None = None, now: int = NOW) -> str | None:
    found = from_text(when, zone, now, BERLIN)
    return None if found is None else format_instant(found)[:16]


@pytest.mark.parametrize(
    ("when", "zone", "expected"),
    [
        ("12:04am", "UTC", "2026-11-21T00:05"),
        ("11pm", "UTC", "2026-11-21T23:01"),
        ("11:52 PM", "UTC", "2026-11-20T23:53"),
        ("Nov 23, 6:41am", "UTC", "2026-11-23T06:42"),
        ("Nov 23 at 6:41am", "UTC", "2026-11-23T06:42"),
        ("Jan 2, 9am", "UTC", "2027-01-02T09:01"),
        ("Nov 21st, 2026 12:10 AM", "UTC", "2026-11-21T00:11"),
        ("9am", "America/Chicago", "2026-11-21T15:01"),
        ("2am", None, "2026-11-21T01:01"),
        ("02:30", None, "2026-11-21T01:31"),
        ("2am", "Nowhere/Atlantis", "2026-11-21T01:01"),
        ("2am", "../etc", "2026-11-21T01:01"),
        ("1795003600", None, "2026-11-18T12:06"),
    ],
)
def test_written_times_are_understood(when: str, zone: str | None, expected: str) -> None:
    """Every wording gives its instant plus the slack of its rounding; without a zone it is the local one's."""
    now = parse_instant("2026-11-18T00:00:00Z") if when.isdigit() else NOW
    assert text(when, zone, now) == expected


@pytest.mark.parametrize(
    "when", ["", "soon", "25:00", "13pm", "0am", "Nov 31, 6am", "Foo 3, 6am", "7", "Nov 23", "9" * 400]
)
def test_what_is_no_time_is_unknown(when: str) -> None:
    """A text that is no time gives none, so that the wait falls back to polling."""
    assert text(when) is None


def test_a_reset_that_passed_means_now() -> None:
    """A reset in the past, also one rounded down to a minute just over, is never tomorrow and never before now."""
    assert from_number(1_700_000_000, NOW) == NOW
    assert text("Nov 19th, 2026 12:10 AM", "UTC") == "2026-11-20T23:50"
    assert text("11:49pm", "UTC") == "2026-11-20T23:50"
    just_after_midnight = parse_instant("2026-11-21T00:01:30Z")
    assert text("11:59pm", "UTC", just_after_midnight) == "2026-11-21T00:01"


def test_numbers_may_be_seconds_milliseconds_or_microseconds() -> None:
    """An epoch is understood in each of the units in use; nonsense and what is years away is unknown."""
    wanted = NOW + 3_600_000_000
    assert (
        from_number(wanted // 1_000_000, NOW) == from_number(wanted // 1000, NOW) == from_number(wanted, NOW) == wanted
    )
    for nonsense in (None, True, "1795003600", -5, 7, float("nan"), float("inf"), NOW + 400 * 86_400_000_000, 10**30):
        assert from_number(nonsense, NOW) is None


@given(st.datetimes(datetime(2026, 1, 1), datetime(2027, 12, 31)), st.integers(1, 23 * 60))  # noqa: DTZ001
def test_any_time_within_a_day_is_found_again(start: datetime, minutes: int) -> None:
    """Whatever the hour, day and season: a reset within the day, written as a clock time, comes out as itself plus slack."""
    now = start.replace(tzinfo=ZoneInfo("UTC"))
    reset = (now + timedelta(minutes=minutes)).replace(second=0, microsecond=0)
    now_us = int(now.timestamp()) * 1_000_000
    found = from_text(f"{reset:%I:%M%p}".lower(), "UTC", now_us, None)
    assert found is not None
    assert found == max(now_us, (int(reset.timestamp()) + 60) * 1_000_000)
