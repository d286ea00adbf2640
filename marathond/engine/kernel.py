"""The states in memory: what is committed, and beside it what the batch under way would make of it.

The writer stages each entry here before it is written, asks what must follow, and then says whether the batch was committed.
Everybody else reads only what is committed. Nothing here does I/O.
"""

import logging
import secrets
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

from msgspec.structs import replace

from marathond.domain import coordinator, evolve, system
from marathond.domain import entries as e
from marathond.domain.contract import Frozen
from marathond.domain.coordinator import Capacity
from marathond.domain.decide import decide
from marathond.domain.outlook import next_due
from marathond.domain.session import Session
from marathond.domain.system import Box
from marathond.store.batch import Misfit

log = logging.getLogger(__name__)

OWN_FAULT = 0
"""The number of the verdict on a session that is given up: none of the gate's points."""

NO_LEDGER = -1
"""The number of the verdict on every unfinished session while nothing may be appended to the ledger."""


class Broken(NamedTuple):
    """A session that cannot be folded, its stream or contract not being what Marathon wrote, or that `decide` fails on."""

    session: str
    what: str


class Kernel:
    """All session states and the box. `listener` is told after each commit which sessions changed.

    For the sessions in `unsound`, whose chains were found broken at the start, nothing is decided until a user halts or aborts
    them: an entry on top of a broken chain would hide where it broke.
    """

    def __init__(self, capacity: Capacity) -> None:
        self.capacity = capacity
        self.contracts: dict[str, Frozen] = {}
        self.sessions: dict[str, Session] = {}
        self.broken: dict[str, Broken] = {}
        self.given_up: dict[str, Broken] = {}
        self.unsound: set[str] = set()
        self.shut: str | None = None
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
            session = self.sessions[session.id] = self._judged(session, self.box)
            self._touch(session)
        return session

    def load_box(self, entries: Iterable[e.Entry]) -> None:
        """Folds the system stream."""
        for entry in entries:
            self.box = system.evolve(self.box, entry)

    def forget(self, session_id: str) -> None:
        """Drops an ended session from memory; it can be loaded again."""
        self.sessions.pop(session_id, None)
        self._hungry.pop(session_id, None)

    def shut_down(self, why: str) -> None:
        """Nothing may be appended: no unfinished session goes on before a person has set that right."""
        self.shut = why
        for session in self.unfinished():
            self.sessions[session.id] = self._judged(session, self.box)

    # --- the writer's side ------------------------------------------------------------------------

    def stage(self, entries: Sequence[e.Entry]) -> None:
        """Folds entries speculatively: all of them, or none and then raises `Misfit`."""
        before, box, follow = dict[str, Session | None](), self._staged_box, len(self._follow)
        for entry in entries:
            session_id = e.session_of(entry.stream) or getattr(entry.body, "session", None)
            try:
                if session_id is not None:
                    before.setdefault(session_id, self._staged.get(session_id))
                self._stage(entry)
            except Exception as error:
                self._unstage(before)
                self._staged_box = box
                del self._follow[follow:]
                raise Misfit(session_id, error) from error

    def _unstage(self, before: dict[str, Session | None]) -> None:
        for session_id, session in before.items():
            if session is None:
                self._staged.pop(session_id, None)
            else:
                self._staged[session_id] = session
            self._look_again(session_id)

    def _look_again(self, session_id: str) -> None:
        """What was staged of a session is forgotten: it is as hungry as it was before."""
        session = self.peek(session_id)
        if session is None:
            self._dirty.pop(session_id, None)
            self._hungry.pop(session_id, None)
        else:
            self._touch(session)

    def _stage(self, entry: e.Entry) -> None:
        session_id = e.session_of(entry.stream)
        if session_id is None:
            self._staged_box = system.evolve(self.peek_box, entry)
            if isinstance(entry.body, e.SessionQuarantined):
                self._quarantine(entry.body.session)
            return
        if session_id in self.broken:
            return  # a verdict about it may be recorded; there is no state that it could change
        session = evolve.evolve(self.peek(session_id), entry, self.contracts)
        if isinstance(entry.body, e.RequestHalt | e.RequestAbort):
            self.unsound.discard(session_id)
        if session_id in self.given_up:
            session = self._judged(session, self.peek_box)
        self._staged[session_id] = session
        self._touch(session)
        seen = coordinator.limits_seen(self.peek_box, session, entry.body, self.capacity.pools)
        self._follow += (e.Draft(e.SYSTEM, body) for body in seen)

    def _quarantine(self, session_id: str) -> None:
        """A verdict that stands in `system`, because the session's own chain is broken, holds for the session all the same."""
        session = self.peek(session_id)
        if session is not None:
            self._staged[session_id] = session = self._judged(session, self.peek_box)
            self._touch(session)

    def give_up(self, session_id: str, error: Exception) -> None:
        """A fault of Marathon's own in one session is contained in it: until the next start nothing is decided for it.

        It shows as quarantined. Its facts are still recorded, as the end of its attempts is, which are stopped.
        """
        self._dirty.pop(session_id, None)
        if session_id in self.given_up:
            return
        number = secrets.token_hex(4)
        log.error("session %s is given up until the next start", session_id, extra={"incident": number}, exc_info=error)
        what = f"Marathon failed on it (incident {number} in the daemon's log); it is tried again when the daemon starts anew"
        self.given_up[session_id] = Broken(session_id, what)
        if session_id in self.sessions:
            self.sessions[session_id] = self._judged(self.sessions[session_id], self.box)
        if (session := self.peek(session_id)) is not None:
            self._staged[session_id] = session = self._judged(session, self.peek_box)
            self._touch(session)
        self.listener(frozenset({session_id}))

    def _judged(self, session: Session, box: Box) -> Session:
        """The session under the verdict that holds about it: that nothing may be appended, that it is given up, or what
        `system` says unless it has passed a gate since.
        """
        if self.shut is not None and session.end is None:
            return replace(session, quarantine=(e.Verdict(point=NO_LEDGER, verdict="fail", detail=self.shut),))
        if (broken := self.given_up.get(session.id)) is not None:
            return replace(session, quarantine=(e.Verdict(point=OWN_FAULT, verdict="fail", detail=broken.what),))
        verdict = box.quarantined.get(session.id)
        return (
            session if verdict is None or session.passed > verdict.seq else replace(session, quarantine=verdict.points)
        )

    def _touch(self, session: Session) -> None:
        self._dirty[session.id] = None
        if coordinator.wants(session):
            self._hungry[session.id] = None
        else:
            self._hungry.pop(session.id, None)

    def poke(self, now: int) -> None:
        """Marks the sessions in which time alone changes something at `now`."""
        for session in list(self.sessions.values()):
            due = self.next_due(session)
            if due is not None and due <= now:
                self._touch(session)

    def next_due(self, session: Session) -> int | None:
        """The next instant at which time alone changes something in a session; one that cannot be told is given up."""
        try:
            return next_due(session)
        except Exception as error:  # noqa: BLE001 - whatever it is, it is this session's alone
            self.give_up(session.id, error)
            return None

    def react(self, now: int) -> list[e.Draft]:
        """What must follow from what is staged; nothing at the fixpoint."""
        if self._follow:
            follow, self._follow = self._follow, []
            return follow
        while self._dirty:
            session_id = next(iter(self._dirty))
            session = self.peek(session_id)
            if session is None:
                del self._dirty[session_id]
                continue
            try:
                drafts = self._follows(session, now)
            except Exception as error:  # noqa: BLE001 - whatever it is, it is this session's alone
                self.give_up(session_id, error)
                continue
            if drafts:
                return drafts
            del self._dirty[session_id]
        opened = [e.Draft(e.SYSTEM, body) for body in coordinator.open_due_pools(self.peek_box, now)]
        return opened or self._dispatch(now) or [e.Draft(e.SYSTEM, body) for body in system.sum_up(self.peek_box)]

    def _follows(self, session: Session, now: int) -> list[e.Draft]:
        bodies = decide(session, now) if session.id not in self.given_up and session.id not in self.unsound else []
        drafts = [e.Draft(e.session_stream(session.id), body) for body in bodies]
        return drafts + [e.Draft(e.SYSTEM, body) for body in coordinator.settle(self.peek_box, session.id, session)]

    def _dispatch(self, now: int) -> list[e.Draft]:
        hungry = [s for i in self._hungry if (s := self.peek(i)) is not None]
        if not hungry:
            return []
        leased = self._staged_leases() if any(coordinator.in_checkout(s) for s in hungry) else {}
        try:
            return coordinator.dispatch(self.peek_box, hungry, self.capacity, now, leased)
        except Exception:
            if not self._give_up_failing(hungry, now, leased):
                raise
            return self._dispatch(now)

    def _give_up_failing(self, hungry: Iterable[Session], now: int, leased: Mapping[str, str]) -> bool:
        """Finds those for which nothing can be dispatched even alone; whether there are any."""
        found = False
        for session in hungry:
            try:
                coordinator.dispatch(self.peek_box, [session], self.capacity, now, leased)
            except Exception as error:  # noqa: BLE001 - whatever it is, it is this session's alone
                self.give_up(session.id, error)
                found = True
        return found

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
            self._look_again(session_id)

    def _clear(self) -> None:
        self._staged, self._staged_box, self._follow = {}, None, []
