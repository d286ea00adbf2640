"""The states in memory: what is committed, and beside it what the batch under way would make of it.

The writer stages each entry here before it is written, asks what must follow, and then says whether the batch was committed.
Everybody else reads only what is committed. Nothing here does I/O.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from msgspec.structs import replace

from marathond.domain import coordinator, evolve
from marathond.domain import entries as e
from marathond.domain.contract import Frozen
from marathond.domain.coordinator import Box, Capacity
from marathond.domain.decide import decide
from marathond.domain.outlook import next_due
from marathond.domain.session import Session


class Broken(NamedTuple):
    """A session that cannot be folded: its stream or contract is not what Marathon wrote."""

    session: str
    what: str


class Kernel:
    """All session states and the box. `listener` is told after each commit which sessions changed."""

    def __init__(self, capacity: Capacity) -> None:
        self.capacity = capacity
        self.contracts: dict[str, Frozen] = {}
        self.sessions: dict[str, Session] = {}
        self.broken: dict[str, Broken] = {}
        self.box = Box()
        self.listener: Callable[[frozenset[str]], None] = lambda _changed: None
        self._staged: dict[str, Session] = {}
        self._staged_box: Box | None = None
        self._follow: list[e.Draft] = []
        self._dirty: dict[str, None] = {}
        self._hungry: dict[str, None] = {}

    # --- views ------------------------------------------------------------------------------------

    def peek(self, session_id: str) -> Session | None:
        """The session as the batch under way sees it. Only for proposals, inside the writer's turn."""
        return self._staged.get(session_id) or self.sessions.get(session_id)

    @property
    def peek_box(self) -> Box:
        """The box as the batch under way sees it."""
        return self._staged_box or self.box

    def unfinished(self) -> list[Session]:
        """Sessions that have not ended, oldest first."""
        return sorted((s for s in self.sessions.values() if s.end is None), key=lambda s: s.created)

    def leases(self) -> dict[str, str]:
        """Which session is at work in which checkout."""
        return coordinator.leases(self.sessions.values())

    # --- loading ----------------------------------------------------------------------------------

    def learn(self, frozen: Frozen) -> None:
        """Makes a contract known before an entry refers to it."""
        self.contracts[frozen.hash] = frozen

    def load(self, entries: Iterable[e.Entry]) -> Session | None:
        """Folds a session's committed entries at start or on demand. Raises FoldError."""
        session: Session | None = None
        for entry in entries:
            session = evolve.evolve(session, entry, self.contracts)
        if session is not None:
            session = self.sessions[session.id] = _judged(session, self.box)
            self._touch(session)
        return session

    def load_box(self, entries: Iterable[e.Entry]) -> None:
        """Folds the system stream."""
        for entry in entries:
            self.box = coordinator.evolve(self.box, entry)

    def forget(self, session_id: str) -> None:
        """Drops an ended session from memory; it can be loaded again."""
        self.sessions.pop(session_id, None)
        self._hungry.pop(session_id, None)

    # --- the writer's side ------------------------------------------------------------------------

    def stage(self, entry: e.Entry) -> None:
        """Folds one entry speculatively."""
        session_id = e.session_of(entry.stream)
        if session_id is None:
            self._staged_box = coordinator.evolve(self.peek_box, entry)
            if isinstance(entry.body, e.SessionQuarantined):
                self._quarantine(entry.body.session)
            return
        if session_id in self.broken:
            return  # a verdict about it may be recorded; there is no state that it could change
        session = evolve.evolve(self.peek(session_id), entry, self.contracts)
        self._staged[session_id] = session
        self._touch(session)
        seen = coordinator.limits_seen(self.peek_box, session, entry.body, self.capacity.pools)
        self._follow += (e.Draft(e.SYSTEM, body) for body in seen)

    def _quarantine(self, session_id: str) -> None:
        """A verdict that stands in `system`, because the session's own chain is broken, holds for the session all the same."""
        session = self.peek(session_id)
        if session is not None:
            self._staged[session_id] = session = _judged(session, self.peek_box)
            self._touch(session)

    def _touch(self, session: Session) -> None:
        self._dirty[session.id] = None
        if coordinator.wants(session):
            self._hungry[session.id] = None
        else:
            self._hungry.pop(session.id, None)

    def poke(self, now: int) -> None:
        """Marks the sessions in which time alone changes something at `now`."""
        for session in self.sessions.values():
            due = next_due(session)
            if due is not None and due <= now:
                self._touch(session)

    def react(self, now: int) -> list[e.Draft]:
        """What must follow from what is staged; nothing at the fixpoint."""
        if self._follow:
            follow, self._follow = self._follow, []
            return follow
        while self._dirty:
            session_id = next(iter(self._dirty))
            session = self.peek(session_id)
            if session is not None:
                drafts = [e.Draft(e.session_stream(session_id), body) for body in decide(session, now)]
                drafts += [e.Draft(e.SYSTEM, body) for body in coordinator.settle(self.peek_box, session_id, session)]
                if drafts:
                    return drafts
            del self._dirty[session_id]
        opened = [e.Draft(e.SYSTEM, body) for body in coordinator.open_due_pools(self.peek_box, now)]
        return opened or self._dispatch(now)

    def _dispatch(self, now: int) -> list[e.Draft]:
        hungry = [s for i in self._hungry if (s := self.peek(i)) is not None]
        if not hungry:
            return []
        leased = self._staged_leases() if any(coordinator.in_checkout(s) for s in hungry) else {}
        return coordinator.dispatch(self.peek_box, hungry, self.capacity, now, leased)

    def _staged_leases(self) -> dict[str, str]:
        return coordinator.leases({**self.sessions, **self._staged}.values())

    def commit(self, _entries: Sequence[e.Entry]) -> None:
        """What was staged is on disk: it becomes the truth that everybody sees."""
        changed = frozenset(self._staged)
        self.sessions.update(self._staged)
        if self._staged_box is not None:
            self.box = self._staged_box
        self._clear()
        self.listener(changed)

    def rollback(self) -> None:
        """The batch did not become durable: forget what was staged."""
        touched = list(self._staged)
        self._clear()
        for session_id in touched:
            session = self.sessions.get(session_id)
            if session is None:
                self._hungry.pop(session_id, None)
            else:
                self._touch(session)

    def _clear(self) -> None:
        self._staged, self._staged_box, self._follow = {}, None, []


def _judged(session: Session, box: Box) -> Session:
    """The session under the verdict that `system` holds about it, unless it has passed a gate since."""
    verdict = box.quarantined.get(session.id)
    return session if verdict is None or session.passed > verdict.seq else replace(session, quarantine=verdict.points)
