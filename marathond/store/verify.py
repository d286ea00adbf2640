"""Verifying everything that is stored: the ledger, its outside head, the contracts and the blobs.

Standalone: it reads, needs no daemon and disturbs none. Blocking; async callers use a thread.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from typing import Any, Final, NamedTuple

from marathond.domain.entries import session_of, session_stream
from marathond.domain.errors import NO_SESSION, NOT_A_LEDGER, MarathonError
from marathond.domain.limits import VERIFY_PROBLEMS_MAX
from marathond.places import Places
from marathond.store import head, schema
from marathond.store.artifacts import compare_contracts
from marathond.store.blobs import Blobs
from marathond.store.database import connect_reader
from marathond.store.gaps import unexplained_gaps
from marathond.store.proofs import START, Place, Problem, Stored, faults, place_after, read_rows

__all__ = ["Problem", "Report", "verify"]

BLOB_FIELDS: Final = {
    "attempt.finished": "transcript",
    "attempt.noted": "blob",
    "check.finished": "output",
    "candidate.conflicted": "patch",
    "checkpoint.committed": "blobs",
}
"""The body's field that names a blob, by kind."""


class Report(NamedTuple):
    """What was looked at and what is wrong, the first bad entry first. `head_seq` is the ledger's last number."""

    ok: bool
    entries: int
    sessions: int
    head_seq: int
    problems: list[Problem]


def verify(places: Places, session: str | None = None) -> Report:
    """Verifies everything, or one session (by its full id) and the outside head.

    Whatever is damaged is a problem in the report. Raises NO_SESSION for a session that the ledger does not know and
    NOT_A_LEDGER for a database that is none of ours.
    """
    scan = _Scan(places, session)
    try:
        scan.run()
    except sqlite3.Error as error:
        scan.add(Problem(None, None, None, f"the database is damaged: {error}"))
    if session is not None and not scan.entries and not scan.problems:
        raise MarathonError(NO_SESSION, session=session)
    problems = sorted(scan.problems, key=lambda problem: (problem.seq is None, problem.seq or 0))
    return Report(not problems, scan.entries, len(scan.sessions), scan.head_seq, problems)


class _Scan:
    """One pass over what is stored."""

    def __init__(self, places: Places, session: str | None) -> None:
        self.problems: list[Problem] = []
        self.entries = 0
        self.sessions: set[str] = set()
        self.head_seq = 0
        self._places = places
        self._session = session
        self._blobs: dict[str, Stored] = {}
        self._contract_rows: dict[str, list[Stored]] = {}

    def add(self, problem: Problem) -> None:
        """Notes a problem, up to VERIFY_PROBLEMS_MAX."""
        if len(self.problems) < VERIFY_PROBLEMS_MAX:
            self.problems.append(problem)

    def run(self) -> None:
        """Looks at everything. Raises sqlite3.Error where the database itself gives out."""
        if not self._places.ledger.exists():
            self._look_for_a_lost_ledger()
            return
        with closing(connect_reader(self._places.ledger)) as connection:
            self._refuse_strangers(connection)
            self._head(connection)  # read before the snapshot, so that it can only lag behind it
            connection.execute("BEGIN")  # one snapshot, so that a daemon at work is seen between two commits
            self._ledger(connection)
            self._contracts(connection)
            if self._session is None:
                self._integrity(connection)
        self._check_blobs()

    def _look_for_a_lost_ledger(self) -> None:
        try:
            outside = head.read(self._places.head)
        except head.HeadDamagedError:
            self.add(Problem(None, None, None, "the ledger is missing and the head file is damaged"))
            return
        if outside and outside.seq:
            self.add(Problem(None, None, None, f"the ledger is missing; the head names entry {outside.seq}"))

    def _refuse_strangers(self, connection: sqlite3.Connection) -> None:
        (application_id,) = connection.execute("PRAGMA application_id").fetchone()
        if application_id != schema.expected().application_id:
            reason = "its application id is not Marathon's"
            raise MarathonError(NOT_A_LEDGER, path=self._places.ledger, reason=reason)

    def _head(self, connection: sqlite3.Connection) -> None:
        finding = head.compare(self._places.head, connection)
        self.head_seq = finding.found.seq
        if not finding.sound:
            self.add(Problem(None, None, None, finding.reason))

    def _ledger(self, connection: sqlite3.Connection) -> None:
        places: dict[Any, Place] = {}
        for row in self._rows(connection):
            self.entries += 1
            self.head_seq = max(self.head_seq, row.seq)
            before = places.get(row.stream, START)
            for what in faults(row, before):
                self.add(row.problem(what))
            places[row.stream] = place_after(row, before)
            self._remember(row)
        if self._session is None:
            for gap in unexplained_gaps(connection):
                what = f"entries {gap.first} to {gap.last} are missing and no prune accounts for them"
                self.add(Problem(gap.first, None, None, what))

    def _rows(self, connection: sqlite3.Connection) -> Iterator[Stored]:
        if self._session is None:
            return read_rows(connection)
        return read_rows(connection, "WHERE l.stream = ?", session_stream(self._session))

    def _remember(self, row: Stored) -> None:
        session = session_of(row.stream) if isinstance(row.stream, str) else None
        if session is not None:
            self.sessions.add(session)
            rows = self._contract_rows.setdefault(session, [])
            if row.kind in ("session.created", "contract.amended"):
                rows.append(row)
        name = row.body().get(BLOB_FIELDS[row.kind]) if row.kind in BLOB_FIELDS else None
        if isinstance(name, str):
            self._blobs.setdefault(name, row)

    def _contracts(self, connection: sqlite3.Connection) -> None:
        for session, rows in self._contract_rows.items():
            for fault in compare_contracts(connection, session, rows):
                first = rows[0] if rows else None
                self.add(
                    first.problem(fault.what) if first else Problem(None, session_stream(session), None, fault.what)
                )
        if self._session is None:
            query = "SELECT DISTINCT CAST(session_id AS BLOB) FROM contracts"
            stored = {name.decode("utf-8", "replace") for (name,) in connection.execute(query)}
            for session in sorted(stored - self.sessions):
                what = f"there is a contract of session {session}, but no entry"
                self.add(Problem(None, session_stream(session), None, what))

    def _integrity(self, connection: sqlite3.Connection) -> None:
        for (line,) in connection.execute("PRAGMA integrity_check(10)"):
            if line != "ok":
                self.add(Problem(None, None, None, f"the database is damaged: {line}"))

    def _check_blobs(self) -> None:
        blobs = Blobs(self._places.blobs)
        for name, row in self._blobs.items():
            fault = blobs.fault(name)
            if fault is not None:
                self.add(row.problem(fault))
