"""What the database must look like, and what to do with a file that looks otherwise.

The fingerprint of a database is every table, index and trigger in it with its SQL, white space and comments aside. It is
compared with the fingerprint of `schema.sql`: missing triggers alone are created again, anything else is not ours.
"""

import re
import sqlite3
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Final, NamedTuple

from marathond.domain.errors import NOT_A_LEDGER, SCHEMA_NEWER, MarathonError
from marathond.domain.limits import SCHEMA_VERSION

_COMMENT: Final = re.compile(r"--[^\n]*")
_SPACE: Final = re.compile(r"\s+")


class SchemaObject(NamedTuple):
    """A table, index or trigger, and its SQL without comments and needless white space."""

    type: str
    table: str
    sql: str


class Fingerprint(NamedTuple):
    """All that identifies a database's form."""

    application_id: int
    user_version: int
    objects: dict[str, SchemaObject]

    @property
    def blank(self) -> bool:
        """Whether nothing was ever put into the file: it may become a ledger."""
        return not self.application_id and not self.user_version and not self.objects


def schema_text() -> str:
    """`schema.sql`: from the installed package, else from the root of the source tree."""
    packaged = resources.files("marathond").joinpath("schema.sql")
    if packaged.is_file():
        return packaged.read_text(encoding="utf-8")
    return (Path(__file__).resolve().parents[2] / "schema.sql").read_text(encoding="utf-8")


@cache
def expected() -> Fingerprint:
    """The fingerprint of `schema.sql`."""
    with_schema = sqlite3.connect(":memory:", isolation_level=None)
    try:
        with_schema.executescript(schema_text())
        return fingerprint(with_schema)
    finally:
        with_schema.close()


def fingerprint(connection: sqlite3.Connection) -> Fingerprint:
    """The fingerprint of an open database. Raises sqlite3.DatabaseError for a file that is none."""
    rows = connection.execute(
        "SELECT name, type, tbl_name, sql FROM sqlite_schema WHERE name NOT LIKE 'sqlite\\_%' ESCAPE '\\'"
    )
    objects = {name: SchemaObject(type_, table, _squeeze(sql or "")) for name, type_, table, sql in rows}
    (application_id,) = connection.execute("PRAGMA application_id").fetchone()
    (user_version,) = connection.execute("PRAGMA user_version").fetchone()
    return Fingerprint(application_id, user_version, objects)


def missing_triggers(found: Fingerprint, path: Path) -> list[str]:
    """The names of triggers that are gone from a ledger that is otherwise as it must be.

    Raises NOT_A_LEDGER for anything else that differs and SCHEMA_NEWER for a version we do not know.
    """
    wanted = expected()
    if found.application_id != wanted.application_id:
        raise MarathonError(NOT_A_LEDGER, path=path, reason="its application id is not Marathon's")
    if found.user_version > SCHEMA_VERSION:
        raise MarathonError(SCHEMA_NEWER, path=path, found=found.user_version, known=SCHEMA_VERSION)
    foreign = [name for name, made in found.objects.items() if wanted.objects.get(name) != made]
    missing = [name for name in wanted.objects if name not in found.objects]
    wrong = foreign + [name for name in missing if wanted.objects[name].type != "trigger"]
    if found.user_version != SCHEMA_VERSION or wrong:
        differs = ", ".join(sorted(wrong)) or f"schema version {found.user_version}"
        raise MarathonError(NOT_A_LEDGER, path=path, reason=f"its schema differs: {differs}")
    return sorted(missing)


def _squeeze(sql: str) -> str:
    return _SPACE.sub(" ", _COMMENT.sub(" ", sql)).strip()
