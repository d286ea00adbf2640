"""Reading while the writer writes: a read-only connection with its own thread.

Every read fetches all its rows in one call, so no read transaction stays open across a wait: one that did would keep the
WAL from being reset.
"""

import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Any, Final, NamedTuple

import aiosqlite

from marathond.domain.entries import session_of
from marathond.domain.limits import INTEGER_MAX
from marathond.places import Places
from marathond.store.chain import Head
from marathond.store.database import connect_reader
from marathond.store.rows import WITH_STREAMS, ContractRow, LedgerRow

_ROW: Final = "SELECT seq, stream, hash, link, link_prev, CAST(record AS BLOB) FROM ledger"
_CONTRACT: Final = "SELECT session_id, revision, CAST(record AS BLOB), hash FROM contracts"
_STREAMS: Final = f"""{WITH_STREAMS}
    SELECT name, (SELECT min(seq) FROM ledger WHERE stream = name), (SELECT max(seq) FROM ledger WHERE stream = name)
    FROM streams WHERE name IS NOT NULL
"""  # noqa: S608 - a constant of ours

_UNFINISHED: Final = f"""{WITH_STREAMS}
    SELECT name FROM streams JOIN ledger created ON created.seq = (SELECT min(seq) FROM ledger WHERE stream = name)
    WHERE CASE created.kind WHEN 'session.created' THEN coalesce(
        (SELECT turn.kind FROM ledger turn WHERE turn.stream = name
         AND turn.kind IN ('session.completed', 'session.failed', 'session.aborted', 'session.reopened')
         ORDER BY turn.seq DESC LIMIT 1), 'session.reopened') END = 'session.reopened'
    ORDER BY created.seq
"""  # noqa: S608 - a constant of ours


class StreamSpan(NamedTuple):
    """A stream and the numbers of its first and last entry."""

    stream: str
    first_seq: int
    last_seq: int


class SessionSpan(NamedTuple):
    """A session that has a stream, and the numbers of its first and last entry."""

    session: str
    first_seq: int
    last_seq: int


@asynccontextmanager
async def open_readers(places: Places) -> AsyncIterator["Readers"]:
    """The reading side of a prepared ledger, closed at the end. Raises sqlite3.Error, as do all its methods."""
    connection = await aiosqlite.Connection(partial(connect_reader, places.ledger), iter_chunk_size=64)
    try:
        yield Readers(connection)
    finally:
        await connection.close()


class Readers:
    """Committed rows. Use `open_readers`."""

    def __init__(self, connection: aiosqlite.Connection) -> None:
        self._connection = connection

    async def rows(self, after: int = 0, limit: int = 200, stream: str | None = None) -> list[LedgerRow]:
        """At most `limit` rows with a `seq` above `after`, in order, of one stream or of all."""
        if stream is None:
            found = await self._all(f"{_ROW} WHERE seq > ? ORDER BY seq LIMIT ?", after, limit)
        else:
            query = f"{_ROW} WHERE stream = ? AND seq > ? ORDER BY seq LIMIT ?"
            found = await self._all(query, stream, after, limit)
        return [LedgerRow(*row) for row in found]

    async def last(self, stream: str | None = None) -> LedgerRow | None:
        """The last row, of one stream or of all; None when there is none."""
        if stream is None:
            found = await self._all(f"{_ROW} ORDER BY seq DESC LIMIT 1")
        else:
            found = await self._all(f"{_ROW} WHERE stream = ? ORDER BY n DESC LIMIT 1", stream)
        return LedgerRow(*found[0]) if found else None

    async def latest(self, stream: str, kind: str, before: int = INTEGER_MAX) -> LedgerRow | None:
        """The last row of a kind in a stream whose `seq` is below `before`; None when there is none. Costs what lies after it."""
        query = f"{_ROW} WHERE stream = ? AND kind = ? AND seq < ? ORDER BY seq DESC LIMIT 1"
        found = await self._all(query, stream, kind, before)
        return LedgerRow(*found[0]) if found else None

    async def head(self) -> Head | None:
        """The ledger's head; None when it is empty."""
        found = await self._all("SELECT seq, link FROM ledger ORDER BY seq DESC LIMIT 1")
        return Head(*found[0]) if found else None

    async def streams(self) -> list[StreamSpan]:
        """All streams, by name."""
        return [StreamSpan(*row) for row in await self._all(_STREAMS)]

    async def sessions(self) -> list[SessionSpan]:
        """All sessions, in the order in which they were created."""
        spans = [SessionSpan(id_, *span) for name, *span in await self.streams() if (id_ := session_of(name))]
        return sorted(spans, key=lambda span: span.first_seq)

    async def session_by_key(self, key: str) -> str | None:
        """The session that was started under an idempotency key; None for a key that was never used."""
        found = await self._all("SELECT stream FROM ledger WHERE key = ?", key)
        return session_of(found[0][0]) if found else None

    async def keys(self) -> dict[str, str]:
        """All idempotency keys, with the sessions that were started under them."""
        found = await self._all("SELECT key, stream FROM ledger WHERE key IS NOT NULL")
        return {key: session for key, stream in found if (session := session_of(stream))}

    async def unfinished_sessions(self) -> list[str]:
        """The sessions whose last turn was no end, in the order in which they were created. Costs the number of sessions."""
        found = await self._all(_UNFINISHED)
        return [session for (stream,) in found if (session := session_of(stream))]

    async def contracts(self, session: str) -> list[ContractRow]:
        """The frozen contracts of a session, by revision."""
        found = await self._all(f"{_CONTRACT} WHERE session_id = ? ORDER BY revision", session)
        return [ContractRow(*row) for row in found]

    async def contract(self, session: str, revision: int) -> ContractRow | None:
        """One revision of a session's contract; None when it is not there."""
        found = await self._all(f"{_CONTRACT} WHERE session_id = ? AND revision = ?", session, revision)
        return ContractRow(*found[0]) if found else None

    async def _all(self, query: str, *values: object) -> list[Any]:
        rows: list[sqlite3.Row] = list(await self._connection.execute_fetchall(query, values))
        return rows
