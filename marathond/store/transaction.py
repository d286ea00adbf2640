"""One group commit: the rows of a batch become durable together or not at all, and a failure is looked into.

After an error on COMMIT the outcome is unknown (https://sqlite.org/atomiccommit.html, 9.0 gives the ways a commit can
half-fail below us). So the connection is closed and opened again, and the ledger's own end tells what happened.
"""

import re
import sqlite3
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

import aiosqlite
import immutables

from marathond.domain.entries import Entry
from marathond.domain.instants import parse_instant
from marathond.store.chain import GENESIS, Chain, Head, Tip
from marathond.store.rows import WITH_STREAMS, ContractRow

INSERT_ENTRY: Final = "INSERT INTO ledger (seq, record, hash, link_prev, link) VALUES (?, ?, ?, ?, ?)"
INSERT_CONTRACT: Final = "INSERT INTO contracts (session_id, revision, record, hash) VALUES (?, ?, ?, ?)"
_TIPS: Final = f"""{WITH_STREAMS}
    SELECT name, n, hash FROM streams
    JOIN ledger ON stream = name AND n = (SELECT max(n) FROM ledger WHERE stream = name)
"""  # noqa: S608 - a constant of ours

Connect = Callable[[Path], sqlite3.Connection]


def load_chain(connection: sqlite3.Connection) -> Chain:
    """Where the ledger ends. Raises sqlite3.Error.

    A logical time that cannot be read counts as 0: the time trigger then still keeps the order.
    """
    last = connection.execute("SELECT seq, link, at FROM ledger ORDER BY seq DESC LIMIT 1").fetchone()
    if last is None:
        return GENESIS
    seq, link, at = last
    tips = {stream: Tip(n, hash_) for stream, n, hash_ in connection.execute(_TIPS)}
    return Chain(Head(seq, str(link)), _instant(str(at)), immutables.Map(tips))


def entry_values(entry: Entry) -> tuple[int, str, str, str, str]:
    """The values of INSERT_ENTRY."""
    return entry.seq, entry.record.decode(), entry.hash, entry.link_prev, entry.link


def contract_values(row: ContractRow) -> tuple[str, int, str, str]:
    """The values of INSERT_CONTRACT."""
    return row.session_id, row.revision, row.record.decode(), row.hash


class Appender:
    """The ledger's read-write connection, on its own thread."""

    def __init__(self, path: Path, connect: Connect) -> None:
        self._path = path
        self._connect = connect
        self._connection: aiosqlite.Connection | None = None

    async def open(self) -> Chain:
        """Opens the connection (anew, if it is open) and reads where the ledger ends. Raises sqlite3.Error."""
        await self.close()
        chains: list[Chain] = []

        def connect() -> sqlite3.Connection:
            connection = self._connect(self._path)
            try:
                chains.append(load_chain(connection))
            except BaseException:
                connection.close()
                raise
            return connection

        self._connection = await aiosqlite.Connection(connect, iter_chunk_size=64)
        return chains[0]

    async def append(self, entries: Sequence[Entry], contracts: Sequence[ContractRow]) -> None:
        """Commits all rows in one transaction. After sqlite3.Error the outcome is unknown until `open` is called again."""
        if self._connection is None:
            raise sqlite3.OperationalError("the ledger is not open")
        await self._connection.execute("BEGIN IMMEDIATE")
        await self._connection.executemany(INSERT_ENTRY, [entry_values(entry) for entry in entries])
        if contracts:
            await self._connection.executemany(INSERT_CONTRACT, [contract_values(row) for row in contracts])
        await self._connection.commit()

    async def checkpoint(self) -> None:
        """Moves the WAL into the database, as far as no reader is in the way. Raises sqlite3.Error."""
        if self._connection is not None:
            await self._connection.execute_fetchall("PRAGMA wal_checkpoint(PASSIVE)")

    async def close(self) -> None:
        """Closes the connection and ends its thread; an open transaction is rolled back."""
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.close()


def _instant(text: str) -> int:
    if not re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", text):
        return 0
    try:
        return parse_instant(text)
    except ValueError:
        return 0
