"""A row that was written is never changed or removed, by our connection or by another program's plain SQL."""

import sqlite3
from contextlib import closing
from pathlib import Path

import anyio
import pytest

from marathond.domain.limits import SCHEMA_VERSION
from marathond.places import Places
from marathond.store import database, schema
from marathond.store.chain import Head, seal
from marathond.store.transaction import INSERT_ENTRY, entry_values, load_chain
from tests.support.ledgers import NOON, fill, make_places, note

REWRITES = [
    "UPDATE ledger SET hash = hash",
    "DELETE FROM ledger WHERE seq = 2",
    "INSERT OR REPLACE INTO ledger (seq, record, hash, link_prev, link) SELECT seq, record, hash, link_prev, link FROM ledger WHERE seq = 2",
    "REPLACE INTO ledger (seq, record, hash, link_prev, link) SELECT max(seq) + 1, record, hash, link_prev, link FROM ledger",
    "UPDATE contracts SET hash = hash",
    "DELETE FROM contracts",
    "INSERT OR REPLACE INTO contracts SELECT session_id, revision, '{}', hash FROM contracts",
]
UNDERMINING = [
    "DROP TRIGGER ledger_refuses_update",
    "DROP TABLE ledger",
    "ALTER TABLE ledger RENAME TO other",
    "ATTACH ':memory:' AS other",
    "CREATE TEMP TABLE ledger (seq)",
    "PRAGMA writable_schema = ON",
    "PRAGMA recursive_triggers = OFF",
    "PRAGMA synchronous = OFF",
]


@pytest.fixture
def places(tmp_path: Path) -> Places:
    places = make_places(tmp_path)
    anyio.run(fill, places)
    return places


def _rows(places: Places) -> list[object]:
    with closing(database.connect_reader(places.ledger)) as connection:
        return (
            connection.execute("SELECT * FROM ledger").fetchall()
            + connection.execute("SELECT * FROM contracts").fetchall()
        )


@pytest.mark.parametrize("statement", REWRITES + UNDERMINING)
def test_our_own_connection_can_only_append(places: Places, statement: str) -> None:
    """The writer's connection refuses to rewrite rows and to take away what refuses it."""
    before = _rows(places)
    with closing(database.connect_writer(places.ledger)) as connection, pytest.raises(sqlite3.DatabaseError):
        connection.execute(statement)
    assert _rows(places) == before


@pytest.mark.parametrize("statement", REWRITES)
def test_the_triggers_stop_other_programs_too(places: Places, statement: str) -> None:
    """Plain SQLite with recursive triggers cannot change or remove a row; the gap trigger stops REPLACE even without them."""
    before = _rows(places)
    with closing(sqlite3.connect(places.ledger, isolation_level=None)) as connection:
        connection.execute(f"PRAGMA recursive_triggers = {int('REPLACE' not in statement)}")
        with pytest.raises(sqlite3.IntegrityError):
            connection.execute(statement)
    assert _rows(places) == before


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"seq": 1}, "seq does not follow"),
        ({"seq": -1}, "link_prev|seq does not follow"),
        ({"n": 1}, "n does not follow"),
        ({"prev": "0" * 64}, "prev is not"),
        ({"link": "0" * 64}, "link_prev is not"),
        ({"at": -1}, "at does not rise"),
    ],
)
def test_an_entry_that_does_not_follow_is_refused(places: Places, changes: dict[str, int | str], message: str) -> None:
    """A gap, a repeated number, a wrong prev or link, a time that does not rise: refused by the database itself."""
    with closing(database.connect_writer(places.ledger)) as connection:
        chain = load_chain(connection)
        tip = chain.tip("session:s1")
        seq = chain.head.seq + changes.get("seq", 0)
        chain = chain._replace(
            head=Head(seq, changes.get("link", chain.head.link)),
            at=chain.at + changes.get("at", 0) - (changes.get("at", 0) and 10),
            tips=chain.tips.set(
                "session:s1", tip._replace(n=tip.n + changes.get("n", 0), hash=changes.get("prev", tip.hash))
            ),
        )
        _, entry = seal(chain, note("s1"), NOON - 10**12)
        with pytest.raises(sqlite3.IntegrityError, match=message):
            connection.execute(INSERT_ENTRY, entry_values(entry))


def test_every_acknowledged_commit_is_synced(places: Places) -> None:
    """The writer's connection reads WAL and synchronous FULL; a reader can neither write nor checkpoint."""
    with (
        closing(database.connect_writer(places.ledger)) as writer,
        closing(database.connect_reader(places.ledger)) as reader,
    ):
        writer.set_authorizer(None)
        read = {
            name: writer.execute(f"PRAGMA {name}").fetchone()[0]
            for name in ("journal_mode", "synchronous", "mmap_size", "recursive_triggers", "trusted_schema")
        }
        assert read == {
            "journal_mode": "wal",
            "synchronous": 2,
            "mmap_size": 0,
            "recursive_triggers": 1,
            "trusted_schema": 1,
        }
        assert reader.execute("PRAGMA wal_autocheckpoint").fetchone() == (0,)
        with pytest.raises(sqlite3.OperationalError, match="readonly"):
            reader.execute("DELETE FROM contracts")


def test_the_schema_says_its_version() -> None:
    """The document's user_version is the version that the code knows."""
    assert schema.expected().user_version == SCHEMA_VERSION
    assert schema.expected().application_id == int.from_bytes(b"MRTN", "big")
