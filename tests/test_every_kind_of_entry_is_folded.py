"""No kind of entry is forgotten by the fold."""

from marathond.domain import entries as e
from marathond.domain.folding import attempts, sessions, tasks

BY_HAND = {e.SessionCreated, e.ContractAmended}
"""They need the contracts, so `evolve` sees to them itself."""


def test_each_kind_of_a_sessions_stream_has_one_handler() -> None:
    """Every kind that may stand in a session's stream is folded, by exactly one table."""
    tables = [sessions.HANDLERS, attempts.HANDLERS, tasks.HANDLERS]
    handled = [kind for table in tables for kind in table]
    assert len(handled) == len(set(handled))
    assert set(handled) | BY_HAND == set(e.SESSION_KINDS.values())
