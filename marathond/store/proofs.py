"""Is a stored row what was written? Checks over single rows and their neighbours.

They hold on garbage: whatever a damaged file gives back, the answer is a list of faults, never an exception.
"""

import sqlite3
from collections.abc import Iterator
from typing import Any, Final, NamedTuple

import msgspec

from marathond.domain import canonical
from marathond.domain.canonical import ZERO_HASH
from marathond.domain.entries import SYSTEM, session_of
from marathond.store.chain import HASH_FORM

COLUMNS: Final = ("v", "stream", "n", "at", "wall", "kind", "prev")
_STORED: Final = """
    SELECT l.seq, CAST(l.record AS BLOB), l.hash, l.link_prev, l.link, l.v, l.stream, l.n, l.at, l.wall, l.kind, l.prev, l.key,
           before.link, before.at
    FROM ledger l LEFT JOIN ledger before ON before.seq = l.seq - 1
"""


class Problem(NamedTuple):
    """Something that is not as it was written. What is not about one entry has no `seq`; `n` is the place in the stream."""

    seq: int | None
    stream: str | None
    n: int | None
    what: str


class Stored(NamedTuple):
    """A row as the file gives it back, unchecked. `link_before` and `at_before` are of the row before, None after a gap."""

    seq: int
    record: Any
    hash: Any
    link_prev: Any
    link: Any
    v: Any
    stream: Any
    n: Any
    at: Any
    wall: Any
    kind: Any
    prev: Any
    key: Any
    link_before: Any
    at_before: Any

    @property
    def intact(self) -> bool:
        """Whether the record is the text that was hashed."""
        return isinstance(self.record, bytes) and canonical.entry_hash(self.record) == self.hash

    def fields(self) -> dict[str, Any]:
        """The record, decoded; empty when it is no JSON object."""
        try:
            decoded = msgspec.json.decode(self.record)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, TypeError):
            return {}
        return decoded if isinstance(decoded, dict) else {}

    def body(self) -> dict[str, Any]:
        """The record's body; empty when it has none."""
        body = self.fields().get("body")
        return body if isinstance(body, dict) else {}

    def problem(self, what: str) -> Problem:
        """A problem of this row."""
        stream = self.stream if isinstance(self.stream, str) else None
        return Problem(self.seq, stream, self.n if isinstance(self.n, int) else None, what)


class Place(NamedTuple):
    """Where a stream has got to: its last entry's number, hash and logical time."""

    n: int
    hash: Any
    at: Any


START: Final = Place(0, ZERO_HASH, "")


def read_rows(connection: sqlite3.Connection, where: str = "", *values: object) -> Iterator[Stored]:
    """All rows in order of `seq`, or those that a WHERE clause of ours selects. Raises sqlite3.Error."""
    for row in connection.execute(f"{_STORED} {where} ORDER BY l.seq", values):
        yield Stored(*row)


def faults(row: Stored, before: Place) -> list[str]:
    """What is wrong with a row after the entry `before` of its stream, each fault once."""
    return list(dict.fromkeys(row_faults(row) + stream_faults(row, before)))


def row_faults(row: Stored) -> list[str]:
    """What is wrong with a row by itself and with its link to the row before."""
    if not row.intact:
        return ["the record is not the text that was hashed", *_link_faults(row)]
    fields = row.fields()
    if not fields:
        return ["the record is not a JSON object", *_link_faults(row)]
    key = row.body().get("key") if fields.get("kind") == "session.created" else None
    wrong = [name for name in COLUMNS if getattr(row, name) != fields.get(name)] + (["key"] if row.key != key else [])
    faults = [f"the column {name} differs from the record" for name in wrong]
    if row.stream != SYSTEM and not (isinstance(row.stream, str) and session_of(row.stream)):
        faults.append("the stream has a name that no stream has")
    return faults + _link_faults(row)


def stream_faults(row: Stored, before: Place) -> list[str]:
    """What is wrong with a row's place after the entry `before` of its stream."""
    faults = []
    if row.n != before.n + 1:
        faults.append(
            f"entry {before.n + 1} of the stream is missing" if _later(row.n, before.n) else "n does not follow"
        )
    elif row.prev != before.hash:
        faults.append("prev is not the hash of the entry before in the stream")
    if not _rises(before.at, row.at):
        faults.append("at does not rise")
    return faults


def place_after(row: Stored, before: Place) -> Place:
    """Where the stream is after a row; a row without a usable number is passed over, so that one fault stays one."""
    return Place(row.n if isinstance(row.n, int) else before.n + 1, row.hash, row.at)


def _link_faults(row: Stored) -> list[str]:
    if not all(isinstance(text, str) and HASH_FORM.fullmatch(text) for text in (row.hash, row.link_prev, row.link)):
        return ["a hash or link is not 64 hexadecimal digits"]
    faults = []
    if row.link != canonical.link_hash(row.link_prev, row.hash):
        faults.append("the link does not follow from the hash and the link before")
    if row.link_prev != (ZERO_HASH if row.seq == 1 else row.link_before or row.link_prev):
        faults.append("link_prev is not the link of the entry before")
    if row.at_before is not None and not _rises(row.at_before, row.at):
        faults.append("at does not rise")
    return faults


def _later(n: object, than: int) -> bool:
    return isinstance(n, int) and n > than + 1


def _rises(before: object, at: object) -> bool:
    return isinstance(before, str) and isinstance(at, str) and before < at
