"""What the resume gate asks of one session's stored artifacts: are they there, is the chain intact, are the contracts?

Blocking, over a read-only connection; async callers use a thread.
"""

import sqlite3
from collections.abc import Iterable
from contextlib import closing
from typing import Any, Final, NamedTuple

from marathond.domain import canonical
from marathond.domain.entries import session_stream
from marathond.places import Places
from marathond.store import head
from marathond.store.database import connect_reader
from marathond.store.gaps import Gap, unexplained_gaps
from marathond.store.proofs import START, Problem, Stored, faults, place_after, read_rows

FIRST_REVISION: Final = 1


class ContractProblem(NamedTuple):
    """What is wrong with one revision of a contract. `missing`: there is no row, or its bytes cannot be read."""

    revision: int
    missing: bool
    what: str


class SessionArtifacts(NamedTuple):
    """The findings on one session, in the gate's order.

    `unreadable` is what keeps rows from being read at all (point 1), `chain` what is wrong with the ledger (point 2),
    `contracts` with the frozen contracts: missing rows belong to point 1, the rest to point 3.
    """

    session: str
    entries: int
    unreadable: list[str]
    chain: list[Problem]
    contracts: list[ContractProblem]

    @property
    def absent(self) -> list[str]:
        """Why point 1 fails, in words; empty when it passes."""
        return self.unreadable + [problem.what for problem in self.contracts if problem.missing]

    @property
    def contracts_changed(self) -> list[str]:
        """Why point 3 fails, in words; empty when it passes."""
        return [problem.what for problem in self.contracts if not problem.missing]


def inspect_session(places: Places, session: str) -> SessionArtifacts:
    """Looks at everything stored about a session. Never raises for what is damaged: that is what it reports."""
    try:
        with closing(connect_reader(places.ledger)) as connection:
            return _inspect(connection, places, session)
    except sqlite3.Error as error:
        return SessionArtifacts(session, 0, [f"the ledger cannot be read: {error}"], [], [])


def unsound_streams(places: Places, sessions: Iterable[str]) -> dict[str, str]:
    """Those of `sessions` whose chain is broken, and what is first wrong with it. Raises sqlite3.Error."""
    with closing(connect_reader(places.ledger)) as connection:
        gaps = unexplained_gaps(connection)
        found = {i: _chain_problems(_rows(connection, i), i, gaps) for i in sessions}
    return {session: problems[0].what for session, problems in found.items() if problems}


def compare_contracts(connection: sqlite3.Connection, session: str, rows: list[Stored]) -> list[ContractProblem]:
    """Compares a session's contract rows with themselves and with the hashes that its entries `rows` name. Raises sqlite3.Error."""
    stored = _contracts(connection, session)
    named = _named_hashes(rows)
    named.setdefault(FIRST_REVISION, None)  # an unreadable first entry names no hash, but there was a contract
    problems = []
    for revision in sorted(named.keys() | stored.keys()):
        what = _contract_fault(revision, stored, named)
        if what is not None:
            problems.append(ContractProblem(revision, revision not in stored, what))
    return problems


def _inspect(connection: sqlite3.Connection, places: Places, session: str) -> SessionArtifacts:
    finding = head.compare(places.head, connection)
    rows = _rows(connection, session)
    gaps = unexplained_gaps(connection, after=rows[-1].seq) if rows else []
    chain = _chain_problems(rows, session, gaps)
    if not finding.sound:
        chain.append(Problem(None, None, None, finding.reason))
    unreadable = [] if rows else ["the ledger has no entry of it"]
    return SessionArtifacts(session, len(rows), unreadable, chain, compare_contracts(connection, session, rows))


def _rows(connection: sqlite3.Connection, session: str) -> list[Stored]:
    return list(read_rows(connection, "WHERE l.stream = ?", session_stream(session)))


def _chain_problems(rows: list[Stored], session: str, gaps: list[Gap]) -> list[Problem]:
    problems, before = [], START
    for row in rows:
        problems += [row.problem(what) for what in faults(row, before)]
        before = place_after(row, before)
    for gap in gaps:
        if rows and rows[-1].seq < gap.first:
            what = f"entries {gap.first} to {gap.last} of the ledger are missing, and may have been this session's"
            problems.append(Problem(gap.first, session_stream(session), None, what))
    return problems


def _contracts(connection: sqlite3.Connection, session: str) -> dict[int, tuple[bytes, Any]]:
    query = "SELECT revision, CAST(record AS BLOB), CAST(hash AS BLOB) FROM contracts WHERE session_id = ?"
    rows = connection.execute(query, (session,)).fetchall()
    return {
        revision: (record, hash_.decode("ascii", "replace"))
        for revision, record, hash_ in rows
        if isinstance(record, bytes)
    }


def _named_hashes(rows: list[Stored]) -> dict[int, Any]:
    named: dict[int, Any] = {}
    for row in rows:
        body = row.body() if row.kind in ("session.created", "contract.amended") else {}
        if row.kind == "session.created":
            named[FIRST_REVISION] = body.get("contract")
        elif isinstance(body.get("k"), int):
            named[body["k"]] = body.get("hash")
    return named


def _contract_fault(revision: int, stored: dict[int, tuple[bytes, Any]], named: dict[int, Any]) -> str | None:
    if revision not in stored:
        return f"the contract's revision {revision} is missing"
    if revision not in named:
        return f"the contract's revision {revision} is in no entry of the ledger"
    record, hash_ = stored[revision]
    computed = canonical.contract_hash(record)
    if computed != hash_:
        return f"the contract's revision {revision} is not the text that was frozen"
    if computed != named[revision]:
        return f"the contract's revision {revision} is not the one that the ledger names"
    return None
