"""Verifying everything: what the store holds, and beyond it the checkpoints that lie in users' repositories.

Works with and without a daemon; it only reads.
"""

import sqlite3
from pathlib import Path
from typing import Any

import anyio

from marathond.domain import entries as e
from marathond.domain.errors import AMBIGUOUS_SESSION, MarathonError
from marathond.places import Places
from marathond.store.blobs import Blobs
from marathond.store.readers import Readers, open_readers
from marathond.store.rows import EntryUnreadableError, to_entry
from marathond.store.verify import Problem, verify
from marathond.workspace.git import GitError
from marathond.workspace.proof import verify_checkpoint
from marathond.workspace.refs import tip_ref
from marathond.workspace.repository import Repository

_PAGE = 1000


def verify_all(places: Places, session: str | None = None) -> dict[str, Any]:
    """The whole report, for a client without a daemon; `session` may be a prefix. Raises NO_SESSION, AMBIGUOUS_SESSION and NOT_A_LEDGER."""
    return anyio.run(_audit_any, places, session)


async def _audit_any(places: Places, prefix: str | None) -> dict[str, Any]:
    return await audit(places, await _full_id(places, prefix) if prefix else None)


async def _full_id(places: Places, prefix: str) -> str:
    """The one id that begins so; `prefix` itself where none does or the ledger cannot be read, which the report then tells."""
    try:
        async with open_readers(places) as readers:
            matches = [span.session for span in await readers.sessions() if span.session.startswith(prefix)]
    except sqlite3.Error:
        return prefix
    if len(matches) > 1:
        raise MarathonError(AMBIGUOUS_SESSION, prefix=prefix, matches=", ".join(matches[:5]))
    return matches[0] if matches else prefix


async def audit(places: Places, session: str | None) -> dict[str, Any]:
    """See `ledger/verify` in docs/protocol.md. Raises NO_SESSION and NOT_A_LEDGER."""
    report = await anyio.to_thread.run_sync(verify, places, session)
    problems = list(report.problems)
    if report.entries:
        async with open_readers(places) as readers:
            for session_id in [session] if session else [span.session for span in await readers.sessions()]:
                problems += await _checkpoint_problems(places, readers, session_id)
    return {
        "ok": not problems,
        "entries": report.entries,
        "sessions": report.sessions,
        "head_seq": report.head_seq,
        "problems": [p._asdict() for p in sorted(problems, key=lambda p: (p.seq is None, p.seq or 0))],
    }


async def _checkpoint_problems(places: Places, readers: Readers, session_id: str) -> list[Problem]:
    """What is wrong with a session's last checkpoint. What its entries lack is told by the store's report already."""
    created: e.SessionCreated | None = None
    last: e.Entry | None = None
    after = 0
    while rows := await readers.rows(after, _PAGE, e.session_stream(session_id)):
        after = rows[-1].seq
        for row in rows:
            try:
                entry = to_entry(row)
            except EntryUnreadableError:
                return []
            if isinstance(entry.body, e.SessionCreated):
                created = entry.body
            elif isinstance(entry.body, e.CheckpointCommitted):
                last = entry
    if created is None or last is None or not isinstance(last.body, e.CheckpointCommitted):
        return []
    wrong = await _look(places, created, last.body)
    return [Problem(last.seq, last.stream, last.n, what) for what in wrong]


async def _look(places: Places, created: e.SessionCreated, body: e.CheckpointCommitted) -> list[str]:
    try:
        repository = await Repository.open(Path(created.repo), places.state)
        listed = Blobs(places.blobs).get(body.blobs)
        return await verify_checkpoint(repository, tip_ref(created.session), body.commit, listed)
    except MarathonError as error:
        return [error.message]
    except GitError as error:
        return [str(error)]
