"""Opening `ledger.db`.

One read-write connection lives in one process, and it alone checkpoints the WAL: SQLite 3.7.0 to 3.51.2 may lose
committed pages when another connection's checkpoint meets a commit (https://sqlite.org/wal.html, "the WAL-reset bug").
Readers open `mode=ro` and leave the WAL alone.

Never open the database, its -wal or its -shm with plain file calls: closing any descriptor of a file drops all POSIX
locks the process has on it (https://sqlite.org/howtocorrupt.html, 2.2).
"""

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Final, NamedTuple
from urllib.parse import quote

from marathond.domain.errors import NOT_A_LEDGER, MarathonError
from marathond.places import Places
from marathond.store import head, schema
from marathond.store.chain import GENESIS
from marathond.store.files import make_folder, sweep_temporaries
from marathond.store.filesystem import filesystem_type, refuse_network

BUSY_TIMEOUT_MS: Final = 5000
WAL_AUTOCHECKPOINT_PAGES: Final = 1000

_COMMON_PRAGMAS: Final = {
    "busy_timeout": BUSY_TIMEOUT_MS,
    "foreign_keys": 1,
    "recursive_triggers": 1,  # without it INSERT OR REPLACE walks past the trigger that refuses DELETE
    "cell_size_check": 1,
    "mmap_size": 0,  # a transient read error would be a SIGBUS
    "trusted_schema": 1,  # SQLite 3.40 calls JSON functions in generated columns unsafe otherwise
}
_WRITER_PRAGMAS: Final = _COMMON_PRAGMAS | {"synchronous": 2, "wal_autocheckpoint": WAL_AUTOCHECKPOINT_PAGES}
_READER_PRAGMAS: Final = _COMMON_PRAGMAS | {"query_only": 1, "wal_autocheckpoint": 0}

_WRITER_MAY: Final = frozenset(
    {
        sqlite3.SQLITE_SELECT,
        sqlite3.SQLITE_READ,
        sqlite3.SQLITE_FUNCTION,
        sqlite3.SQLITE_RECURSIVE,
        sqlite3.SQLITE_TRANSACTION,
    }
)
_WRITER_INSERTS_INTO: Final = frozenset({"ledger", "contracts"})


class Prepared(NamedTuple):
    """What `prepare` did: `created` a new ledger; `mended` names triggers that it had to create again."""

    created: bool
    mended: tuple[str, ...]


def prepare(places: Places) -> Prepared:
    """Makes sure that the state folder holds a ledger of this version; creates it when there is none, and sweeps up after a crash.

    Call it with the daemon's lock held and before any other connection of this process. Raises NETWORK_FILESYSTEM,
    NOT_A_LEDGER or SCHEMA_NEWER, and then has changed nothing.
    """
    make_folder(places.state)
    refuse_network(places.state, filesystem_type(places.state))
    missing = examine(places.ledger)
    if missing is None and not places.head.exists():
        head.create(
            places.head, GENESIS.head
        )  # before the database: a ledger without a head is one that was tampered with
    if missing is None or missing:
        _build(places.ledger, missing)
    for folder in (places.state, places.environments, places.blobs):
        sweep_temporaries(folder)
    return Prepared(created=missing is None, mended=tuple(missing or ()))


def examine(path: Path) -> list[str] | None:
    """Looks at a file without changing it: None when it is absent or blank, else the triggers that a sound ledger lacks.

    Raises NOT_A_LEDGER or SCHEMA_NEWER.
    """
    if not path.exists():
        return None
    # `immutable` neither locks nor makes -wal and -shm files, so it leaves a stranger's file as it was; it does not see what
    # is only in the WAL, which the second look does.
    found = _fingerprint(path, "mode=ro&immutable=1")
    if _has_wal(path) and (found.blank or found.application_id == schema.expected().application_id):
        found = _fingerprint(path, "mode=ro")
    return None if found.blank else schema.missing_triggers(found, path)


def connect_writer(path: Path) -> sqlite3.Connection:
    """The read-write connection: durable at every commit, and able to append and nothing else.

    Raises sqlite3.Error, also when a setting does not read back as it must.
    """
    connection = _connect(path, "mode=rw")
    try:
        _expect(connection, "journal_mode", "WAL", "wal")
        _set(connection, _WRITER_PRAGMAS)
        connection.set_authorizer(_authorize)
    except BaseException:
        connection.close()
        raise
    return connection


def connect_reader(path: Path) -> sqlite3.Connection:
    """A read-only connection that never checkpoints. Raises sqlite3.Error."""
    connection = _connect(path, "mode=ro")
    try:
        _set(connection, _READER_PRAGMAS)
    except BaseException:
        connection.close()
        raise
    return connection


def compare_head(places: Places) -> head.HeadFinding:
    """Compares the outside head with the ledger, over a connection of its own. Raises sqlite3.Error."""
    with closing(connect_reader(places.ledger)) as connection:
        return head.compare(places.head, connection)


def _build(path: Path, missing: list[str] | None) -> None:
    connection = _connect(path, "mode=rwc")
    try:
        _expect(connection, "journal_mode", "WAL", "wal")
        _set(connection, _WRITER_PRAGMAS)
        if missing is None:
            connection.executescript(schema.schema_text())
        else:
            triggers = (schema.expected().objects[name].sql for name in missing)
            connection.executescript("BEGIN IMMEDIATE;" + "".join(f"{sql};" for sql in triggers) + "COMMIT;")
    finally:
        connection.close()
    path.chmod(0o600)


def _connect(path: Path, options: str) -> sqlite3.Connection:
    connection = sqlite3.connect(f"file:{quote(str(path))}?{options}", uri=True, isolation_level=None)
    connection.text_factory = _lenient_text
    return connection


def _lenient_text(data: bytes) -> str:
    """Damaged text is read as what it is, damaged, so that a proof can name the row instead of stopping at it."""
    return data.decode("utf-8", "replace")


def _fingerprint(path: Path, options: str) -> schema.Fingerprint:
    try:
        connection = _connect(path, options)
        try:
            return schema.fingerprint(connection)
        finally:
            connection.close()
    except sqlite3.Error as error:
        raise MarathonError(NOT_A_LEDGER, path=path, reason=str(error)) from error


def _has_wal(path: Path) -> bool:
    wal = path.with_name(path.name + "-wal")
    return wal.exists() and wal.stat().st_size > 0


def _set(connection: sqlite3.Connection, pragmas: dict[str, int]) -> None:
    for name, value in pragmas.items():
        connection.execute(f"PRAGMA {name} = {value}")
        (read,) = connection.execute(f"PRAGMA {name}").fetchone() or (value,)
        _assert_reads(name, read, value)


def _expect(connection: sqlite3.Connection, name: str, value: str, answer: str) -> None:
    (read,) = connection.execute(f"PRAGMA {name} = {value}").fetchone()
    _assert_reads(name, read, answer)


def _assert_reads(name: str, read: object, wanted: object) -> None:
    if read != wanted:
        raise sqlite3.OperationalError(f"PRAGMA {name} reads {read!r} instead of {wanted!r}")


def _authorize(action: int, first: str | None, second: str | None, *_: object) -> int:
    allowed = (
        action in _WRITER_MAY
        or (action == sqlite3.SQLITE_INSERT and first in _WRITER_INSERTS_INTO)
        or (action == sqlite3.SQLITE_PRAGMA and first == "wal_checkpoint")
    )
    return sqlite3.SQLITE_OK if allowed else sqlite3.SQLITE_DENY
