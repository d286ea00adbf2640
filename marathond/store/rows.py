"""Rows as they are stored, and the entries they hold."""

from typing import Final, NamedTuple

import msgspec

from marathond.domain import canonical
from marathond.domain.entries import Entry, Record, decode_body
from marathond.domain.instants import parse_instant

WITH_STREAMS: Final = """
    WITH RECURSIVE streams(name) AS (
        SELECT min(stream) FROM ledger
        UNION ALL
        SELECT (SELECT min(stream) FROM ledger WHERE stream > name) FROM streams WHERE name IS NOT NULL
    )"""
"""SQL that names every stream. It hops through the index, so it costs the number of streams, not of entries; it ends in a NULL."""


class LedgerRow(NamedTuple):
    """A row of the ledger as it travels: `record` is the exact text that `hash` is over."""

    seq: int
    stream: str
    hash: str
    link: str
    link_prev: str
    record: bytes


class ContractRow(NamedTuple):
    """A frozen contract: `record` is its canonical JSON and `hash` the SHA-256 over it. Revisions count from 1."""

    session_id: str
    revision: int
    record: bytes
    hash: str


class EntryUnreadableError(Exception):
    """A stored record cannot be decoded: it is damaged, or of a kind that this version does not know."""

    def __init__(self, row: LedgerRow, reason: str) -> None:
        self.seq = row.seq
        self.stream = row.stream
        super().__init__(f"entry {row.seq} ({row.stream}) cannot be read: {reason}")


def to_entry(row: LedgerRow) -> Entry:
    """Decodes a row. It is not verified: see `marathond.store.proofs`. Raises EntryUnreadableError."""
    try:
        record = msgspec.json.decode(row.record, type=Record)
        return Entry(
            seq=row.seq,
            hash=row.hash,
            link=row.link,
            link_prev=row.link_prev,
            record=row.record,
            stream=record.stream,
            n=record.n,
            at=parse_instant(record.at),
            wall=parse_instant(record.wall),
            kind=record.kind,
            body=decode_body(record.kind, record.v, record.body),
            prev=record.prev,
        )
    except KeyError as error:
        raise EntryUnreadableError(row, f"unknown kind {error}") from error
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise EntryUnreadableError(row, str(error)) from error


def intact(row: LedgerRow) -> bool:
    """Whether a row's record is the text that was hashed."""
    return canonical.entry_hash(row.record) == row.hash


def to_row(entry: Entry) -> LedgerRow:
    """The row that an entry is stored as."""
    return LedgerRow(entry.seq, entry.stream, entry.hash, entry.link, entry.link_prev, entry.record)
