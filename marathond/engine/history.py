"""A session's entries, read page by page from the ledger."""

from collections.abc import AsyncIterator

from marathond.domain.entries import Entry, session_stream
from marathond.engine.engine import Engine
from marathond.store.rows import to_entry

_PAGE = 1000


async def session_entries(engine: Engine, session_id: str) -> AsyncIterator[Entry]:
    """All committed entries of a session, in order. Raises EntryUnreadableError for one that cannot be decoded."""
    after = 0
    while rows := await engine.readers.rows(after, _PAGE, session_stream(session_id)):
        for row in rows:
            yield to_entry(row)
        after = rows[-1].seq
