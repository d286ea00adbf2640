"""Numbers that are missing in the ledger, and which of them a prune accounts for."""

import sqlite3
from typing import Final, NamedTuple

from marathond.domain.entries import SYSTEM
from marathond.store.proofs import Stored, read_rows

_COUNTED_ONE_BY_ONE: Final = 10_000
"""Rows that are counted in about the time in which a million are counted all together."""


class Gap(NamedTuple):
    """Missing numbers, first and last."""

    first: int
    last: int


def unexplained_gaps(connection: sqlite3.Connection, after: int = 0) -> list[Gap]:
    """The missing numbers above `after`, the number of an entry, that no `session.pruned` entry names. Raises sqlite3.Error.

    Costs what is above it, or, where that is much, a count of the whole ledger, which SQLite makes without looking at rows.
    """
    if _complete(connection, after):
        return []
    gaps = _gaps(connection, after)
    for first, end in _pruned(connection):
        gaps = [rest for gap in gaps for rest in _without(gap, first, end)]
    return gaps


def _complete(connection: sqlite3.Connection, after: int) -> bool:
    (last,) = connection.execute("SELECT coalesce(max(seq), 0) FROM ledger").fetchone()
    if last - after <= _COUNTED_ONE_BY_ONE:
        query = "SELECT count(*), coalesce(max(seq), ?1) - ?1 FROM ledger WHERE seq > ?1"
        count, wanted = connection.execute(query, (after,)).fetchone()
    else:  # apart: beside max(seq), count(*) would read the whole index
        query = "SELECT (SELECT count(*) FROM ledger), (SELECT max(seq) FROM ledger)"
        count, wanted = connection.execute(query).fetchone()
    return bool(count == wanted)


def _gaps(connection: sqlite3.Connection, after: int) -> list[Gap]:
    rows = connection.execute(
        "SELECT seq, (SELECT max(seq) FROM ledger earlier WHERE earlier.seq < l.seq) FROM ledger l"
        " WHERE seq > max(?, 1) AND NOT EXISTS (SELECT 1 FROM ledger before WHERE before.seq = l.seq - 1) ORDER BY seq",
        (after,),
    )
    return [Gap((before or 0) + 1, seq - 1) for seq, before in rows]


def _pruned(connection: sqlite3.Connection) -> list[Gap]:
    rows = read_rows(connection, "WHERE l.stream = ? AND l.kind = 'session.pruned'", SYSTEM)
    return [Gap(*span) for row in rows if row.intact for span in _spans(row)]


def _spans(row: Stored) -> list[tuple[int, int]]:
    spans = row.body().get("seqs")
    return [
        (span[0], span[1])
        for span in (spans if isinstance(spans, list) else [])
        if isinstance(span, list) and len(span) == 2 and all(isinstance(seq, int) for seq in span)
    ]


def _without(gap: Gap, first: int, last: int) -> list[Gap]:
    if last < gap.first or first > gap.last:
        return [gap]
    parts = (Gap(gap.first, first - 1), Gap(last + 1, gap.last))
    return [part for part in parts if part.first <= part.last]
