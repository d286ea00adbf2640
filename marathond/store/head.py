"""The head outside the database: without it a chain shows every change but not a missing end.

The file holds one line of fixed size, overwritten in place and synced with fdatasync: a write that is cut off by a power
failure is within one sector. It may lag behind the ledger, since it is written after the commit; it never leads it.
"""

import hashlib
import os
import re
import sqlite3
from collections.abc import Callable, Sequence
from enum import StrEnum
from pathlib import Path
from typing import Final, NamedTuple

from marathond.domain.canonical import ZERO_HASH
from marathond.domain.entries import Entry
from marathond.domain.errors import HEAD_AHEAD, HEAD_UNSOUND, MarathonError
from marathond.domain.limits import HEAD_INTERVAL_SECONDS
from marathond.store.chain import Head
from marathond.store.files import write_durably

_LINE: Final = re.compile(rb"(marathon\.head\.v1 (\d{20}) ([0-9a-f]{64})) ([0-9a-f]{64})\n")

REST_KINDS: Final = frozenset(
    {
        "checkpoint.committed",
        "run.ended",
        "session.halted",
        "session.completed",
        "session.failed",
        "session.aborted",
        "session.pruned",
        "head.accepted",
        "daemon.stopped",
    }
)
"""Entries after which the work rests: the head is written before they are acknowledged."""


class HeadStatus(StrEnum):
    """How the head outside compares with the ledger."""

    EQUAL = "equal"
    LAGS = "lags"
    LEADS = "leads"
    DISAGREES = "disagrees"
    MISSING = "missing"
    DAMAGED = "damaged"


class HeadFinding(NamedTuple):
    """A comparison: `outside` is what the file says (None when missing or damaged), `found` is the ledger's own head."""

    status: HeadStatus
    outside: Head | None
    found: Head

    @property
    def sound(self) -> bool:
        """Whether the ledger may be appended to."""
        return self.status in (HeadStatus.EQUAL, HeadStatus.LAGS)

    @property
    def reason(self) -> str:
        """What was found, as a sentence without its period."""
        seq = self.outside.seq if self.outside else 0
        return {
            HeadStatus.EQUAL: f"the head names entry {seq}, the last one",
            HeadStatus.LAGS: f"the head names entry {seq}, the ledger goes on to {self.found.seq}",
            HeadStatus.LEADS: f"the head names entry {seq}, but the ledger ends at {self.found.seq}: entries are missing",
            HeadStatus.DISAGREES: f"the head names another entry {seq} than the ledger holds",
            HeadStatus.MISSING: f"the head file is missing, but the ledger has entries up to {self.found.seq}",
            HeadStatus.DAMAGED: "the head file is damaged",
        }[self.status]

    def error(self) -> MarathonError:
        """The refusal to append that an unsound finding means."""
        if self.status is HeadStatus.LEADS and self.outside:
            return MarathonError(HEAD_AHEAD, head=self.outside.seq, found=self.found.seq)
        return MarathonError(HEAD_UNSOUND, reason=self.reason)


class HeadDamagedError(Exception):
    """The head file does not hold a head."""


def create(path: Path, head: Head) -> None:
    """Makes or replaces the file, durably. Raises OSError."""
    write_durably(path, _encode(head))


def write(path: Path, head: Head) -> None:
    """Overwrites the existing file's line in place and syncs it. Raises OSError."""
    fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.pwrite(fd, _encode(head), 0)
        os.fdatasync(fd)
    finally:
        os.close(fd)


def read(path: Path) -> Head | None:
    """What the file says; None when there is no file. Raises HeadDamagedError, or OSError if it cannot be read."""
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return None
    match = _LINE.fullmatch(data)
    if match is None or _checksum(match[1]) != match[4]:
        raise HeadDamagedError
    return Head(int(match[2]), match[3].decode())


def compare(path: Path, connection: sqlite3.Connection) -> HeadFinding:
    """Compares the file with the ledger behind `connection`. Raises sqlite3.Error.

    The file is read first: while a writer appends, the ledger may then only be further on.
    """
    damaged, outside = False, None
    try:
        outside = read(path)
    except (HeadDamagedError, OSError):
        damaged = True
    last = connection.execute("SELECT seq, link FROM ledger ORDER BY seq DESC LIMIT 1").fetchone()
    found = Head(*last) if last else Head(0, ZERO_HASH)
    if damaged:
        return HeadFinding(HeadStatus.DAMAGED, None, found)
    if outside is None:
        return HeadFinding(HeadStatus.MISSING if found.seq else HeadStatus.EQUAL, None, found)
    return HeadFinding(_status(outside, found, connection), outside, found)


class HeadKeeper:
    """When the head is due to be written, and writing it. `monotonic_ms` is a clock that only rises.

    `failed` tells that the last try to write did not succeed.
    """

    def __init__(self, path: Path, monotonic_ms: Callable[[], int]) -> None:
        self._path = path
        self._monotonic_ms = monotonic_ms
        self._pending: Head | None = None
        self._written_ms = monotonic_ms()
        self.failed = False

    @property
    def pending(self) -> bool:
        """Whether the ledger is further on than the file."""
        return self._pending is not None

    def note(self, head: Head) -> None:
        """The ledger's head has moved."""
        self._pending = head

    def due(self, entries: Sequence[Entry] = ()) -> bool:
        """Whether the file must be written now, `entries` having just been committed."""
        return self.pending and (self.wait_seconds() <= 0 or any(entry.kind in REST_KINDS for entry in entries))

    def wait_seconds(self) -> float:
        """How long a pending head may still wait."""
        return HEAD_INTERVAL_SECONDS - (self._monotonic_ms() - self._written_ms) / 1000

    def write(self) -> None:
        """Writes what is pending; blocks for a disk sync. Raises OSError, and then it is still pending, and `failed` is set."""
        if self._pending is None:
            return
        self.failed, self._written_ms = True, self._monotonic_ms()
        if self._path.exists():
            write(self._path, self._pending)
        else:
            create(self._path, self._pending)
        self.failed, self._pending = False, None


def _status(outside: Head, found: Head, connection: sqlite3.Connection) -> HeadStatus:
    if outside.seq > found.seq:
        return HeadStatus.LEADS
    if outside.seq == found.seq:
        return HeadStatus.EQUAL if outside.link == found.link else HeadStatus.DISAGREES
    # The link before is also in the row after, so the head still compares where a pruned session left a gap.
    (known,) = connection.execute(
        "SELECT ? = 0 OR EXISTS (SELECT 1 FROM ledger WHERE seq = ? AND link = ?)"
        " OR EXISTS (SELECT 1 FROM ledger WHERE seq = ? AND link_prev = ?)",
        (outside.seq, outside.seq, outside.link, outside.seq + 1, outside.link),
    ).fetchone()
    return HeadStatus.LAGS if known else HeadStatus.DISAGREES


def _encode(head: Head) -> bytes:
    text = f"marathon.head.v1 {head.seq:020d} {head.link}".encode()
    return text + b" " + _checksum(text) + b"\n"


def _checksum(text: bytes) -> bytes:
    return hashlib.sha256(text).hexdigest().encode()
