"""Accepting a loss: a person says that the ledger goes on from where it ends, whatever the head beside it says."""

from contextlib import closing

from marathond.domain.canonical import ZERO_HASH
from marathond.domain.clock import Clock
from marathond.domain.entries import SYSTEM, Draft, Entry, HeadAccepted
from marathond.domain.errors import NOT_A_LEDGER, MarathonError
from marathond.places import Places
from marathond.store import head
from marathond.store.chain import HASH_FORM, Head, seal
from marathond.store.database import connect_writer
from marathond.store.transaction import INSERT_ENTRY, entry_values, load_chain


def accept_head(places: Places, clock: Clock) -> Entry | None:
    """Records `head.accepted` and writes the head anew; None if the head was sound and nothing had to be accepted.

    Blocking; call it with the daemon's lock held, on a prepared ledger, with no writer open. Raises sqlite3.Error, OSError, and
    NOT_A_LEDGER when the last entry is damaged so that nothing can follow it.
    """
    with closing(connect_writer(places.ledger)) as connection:
        finding = head.compare(places.head, connection)
        if finding.sound:
            return None
        chain = load_chain(connection)
        if not HASH_FORM.fullmatch(chain.head.link):
            reason = f"the link of its last entry, {chain.head.seq}, is damaged"
            raise MarathonError(NOT_A_LEDGER, path=places.ledger, reason=reason)
        claimed = finding.outside or Head(0, ZERO_HASH)
        body = HeadAccepted(
            head_seq=claimed.seq,
            head_link=claimed.link,
            found_seq=chain.head.seq,
            found_link=chain.head.link,
        )
        after, entry = seal(chain, Draft(SYSTEM, body), clock.wall())
        connection.execute("BEGIN IMMEDIATE")
        connection.execute(INSERT_ENTRY, entry_values(entry))
        connection.commit()
    head.create(places.head, after.head)
    return entry
