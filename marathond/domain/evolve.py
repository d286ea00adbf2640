"""`evolve(session, entry) -> session`: applies one fact. It decides nothing; see `decide`.

An ended session absorbs: late results are in the ledger and change nothing here. Only `session.reopened` opens it again.
"""

from msgspec.structs import replace

from marathond.domain import entries as e
from marathond.domain.folding import attempts, sessions, tasks
from marathond.domain.folding.common import FoldError, Handler
from marathond.domain.folding.sessions import Contracts, contract_named, created
from marathond.domain.plan import plan_of
from marathond.domain.session import Head, Session

__all__ = ["Contracts", "FoldError", "evolve"]

_LATE = (e.RunEnded,)
"""What may still change an ended session: the end of the run in which it ended."""

_HANDLERS: dict[type[e.Body], Handler] = sessions.HANDLERS | attempts.HANDLERS | tasks.HANDLERS


def evolve(session: Session | None, entry: e.Entry, contracts: Contracts) -> Session:
    """The session after `entry`. Raises FoldError for an entry that makes no sense where it stands."""
    body = entry.body
    if isinstance(body, e.SessionCreated):
        return created(session, entry, body, contracts)
    if session is None:
        raise FoldError(f"{entry.kind} comes before session.created")
    head = Head(n=entry.n, hash=entry.hash, seq=entry.seq, link=entry.link)
    session = replace(session, head=head)
    if isinstance(body, e.ContractAmended):
        return replace(session, plan=plan_of(contract_named(contracts, body.hash)), revision=body.k)
    if session.end is not None and not isinstance(body, (e.SessionReopened, *_LATE)):
        return session
    handler = _HANDLERS.get(type(body))
    if handler is None:
        raise FoldError(f"{entry.kind} does not belong into a session's stream")
    folded: Session = handler(session, entry, body)
    return folded
