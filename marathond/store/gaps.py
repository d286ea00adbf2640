"""Numbers that are missing in the ledger, and which of them a prune accounts for."""

import sqlite3
from typing import NamedTuple

from marathond.domain.entries import SYSTEM
from marathond.store.proofs import Stored, read_rows


class Gap(NamedTuple):
    """Missing numbers, first and last."""

    first: int
    last: int


def unexplained_gaps(connection: sqlite3.Connection) -> list[Gap]:
    """The missing numbers that no `session.pruned` entry names. Raises sqlite3.Error."""
    count, last = connection.execute("SELECT count(*), coalesce(max(seq), 0) FROM ledger").fetchone()
    if count == last:
        return []
    gaps = _gaps(connection)
    for first, end in _pruned(connection):
        gaps = [rest for gap in gaps for rest in _without(gap, first, end)]
    return gaps


def _gaps(connection: sqlite3.Connection) -> list[Gap]:
    rows = connection.execute(
        "SELECT seq, (SELECT max(seq) FROM ledger earlier WHERE earlier.seq < l.seq) FROM ledger l"
        " WHERE seq > 1 AND NOT EXISTS (SELECT 1 FROM ledger before WHERE before.seq = l.seq - 1) ORDER BY seq"
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
