"""A world for the pure core: sessions and the box under a simulated clock, with effects played by a seeded random source.

No file, process or real clock is involved; the ledger is a list. `World.check` states what must hold after every step.
"""

import random

from immutables import Map

from marathond.domain import coordinator, effects
from marathond.domain import entries as e
from marathond.domain.canonical import ZERO_HASH, encode_entry, entry_hash, link_hash
from marathond.domain.contract import Contract, Delivery, FileCheck, Frozen, Limits, RunCheck, Task, Workspace, freeze
from marathond.domain.decide import decide, next_due
from marathond.domain.evolve import evolve
from marathond.domain.instants import format_instant
from marathond.domain.session import LIVE, TERMINAL, Session

START_US = 1_795_000_000_000_000


def task(id_: str, *needs: str, checks: int = 1, run: str | None = None, attempts: int = 3, allow_empty: bool = False) -> Task:
    """A task with `checks` checks."""
    made = tuple(FileCheck(file=f"{id_}{i}") if i % 2 else RunCheck(run=f"true {i}", timeout_ms=1000) for i in range(checks))
    return Task(
        id=id_, needs=needs, prompt=None if run else f"do {id_}", run=run, agent="scripted", attempts=attempts,
        timeout_ms=60_000, idle_ms=60_000, checks=made, allow_empty=allow_empty,
    )  # fmt: skip


def contract(*tasks: Task, parallel: int = 2, wall_ms: int | None = None, deadline: int | None = None) -> Frozen:
    """A frozen contract of these tasks."""
    return freeze(
        Contract(
            v=1, name="sim", workspace=Workspace(), tasks=tasks, delivery=Delivery(branch="marathon/sim"),
            limits=Limits(parallel=parallel, wall_ms=wall_ms, deadline=deadline),
        )
    )  # fmt: skip


class World:
    """One box with any number of sessions."""

    def __init__(self, seed: int = 0, slots: int = 4) -> None:
        self.random = random.Random(seed)
        self.now = START_US
        self.entries: list[e.Entry] = []
        self.heads: dict[str, tuple[int, str]] = {}
        self.link = ZERO_HASH
        self.contracts: dict[str, Frozen] = {}
        self.sessions: dict[str, Session] = {}
        self.box = coordinator.Box()
        self.capacity = coordinator.Capacity(slots, {})
        self.commits = 0
        self.checkpointed: dict[tuple[str, str], int] = {}

    # --- the ledger -------------------------------------------------------------------------------

    def append(self, *drafts: e.Draft) -> None:
        """Seals, folds and decides to a fixpoint, as the writer does with a batch."""
        for draft in drafts:
            self._seal(draft)
        for _ in range(10_000):
            follow = self._react()
            if not follow:
                return
            for draft in follow:
                self._seal(draft)
        raise AssertionError("no fixpoint")

    def _seal(self, draft: e.Draft) -> None:
        n, prev = self.heads.get(draft.stream, (0, ZERO_HASH))
        self.now += 1
        at = format_instant(self.now)
        record = encode_entry(
            {"v": 1, "stream": draft.stream, "n": n + 1, "at": at, "wall": at, "kind": draft.body.kind,
             "body": draft.body, "prev": prev}
        )  # fmt: skip
        hash_ = entry_hash(record)
        before, self.link = self.link, link_hash(self.link, hash_)
        entry = e.Entry(
            seq=len(self.entries) + 1, hash=hash_, link=self.link, link_prev=before, record=record, stream=draft.stream,
            n=n + 1, at=self.now, wall=self.now, kind=draft.body.kind, body=draft.body, prev=prev,
        )  # fmt: skip
        self.heads[draft.stream] = (n + 1, hash_)
        self.entries.append(entry)
        self._fold(entry)

    def _fold(self, entry: e.Entry) -> None:
        session_id = e.session_of(entry.stream)
        if session_id is None:
            self.box = coordinator.evolve(self.box, entry)
            return
        session = evolve(self.sessions.get(session_id), entry, self.contracts)
        self.sessions[session_id] = session
        self.follow = coordinator.limits_seen(self.box, session, entry.body, self.capacity.pools)
        for body in self.follow:
            self._seal(e.Draft(e.SYSTEM, body))

    def _react(self) -> list[e.Draft]:
        for session in self.sessions.values():
            drafts = [e.Draft(e.session_stream(session.id), b) for b in decide(session, self.now)]
            drafts += [e.Draft(e.SYSTEM, b) for b in coordinator.settle(self.box, session.id, session)]
            if drafts:
                return drafts
        opened = [e.Draft(e.SYSTEM, b) for b in coordinator.open_due_pools(self.box, self.now)]
        return opened or coordinator.dispatch(self.box, self.sessions.values(), self.capacity, self.now)

    # --- sessions ---------------------------------------------------------------------------------

    def start(self, session: str, frozen: Frozen) -> None:
        """Creates a session and its first run."""
        self.contracts[frozen.hash] = frozen
        stream = e.session_stream(session)
        created = e.SessionCreated(session=session, name="sim", contract=frozen.hash, repo="/r", base="base", tip="base")
        self.append(
            e.Draft(stream, created), e.Draft(stream, e.GatePassed(run=f"{session}.1", points=[])),
            e.Draft(stream, e.RunStarted(run=f"{session}.1", reason="start")),
        )  # fmt: skip

    def say(self, session: str, *bodies: e.Body) -> None:
        """Appends bodies to a session's stream."""
        self.append(*(e.Draft(e.session_stream(session), b) for b in bodies))

    def crash(self) -> None:
        """The daemon dies and another one starts: open runs were cut off."""
        for session in list(self.sessions.values()):
            if session.run is not None:
                self.say(session.id, e.RunEnded(run=session.run.id, reason="cut_off"))

    def open(self) -> list[tuple[Session, effects.Effect]]:
        """All open effects."""
        return [(s, f) for s in self.sessions.values() for f in effects.open_effects(s, self.now)]

    def next_due(self) -> int | None:
        """The next instant at which time alone changes something."""
        dues = [d for s in self.sessions.values() if (d := next_due(s)) is not None]
        dues += [pool.until for pool in self.box.pools.values()]
        return min(dues, default=None)

    def play(self, session: Session, effect: effects.Effect, outcome: str | None = None) -> None:
        """Performs one effect with a random (or the given) outcome."""
        match effect:
            case effects.OpenRun(number=number):
                run = f"{session.id}.{number}"
                self.say(session.id, e.GatePassed(run=run, points=[]), e.RunStarted(run=run, reason="wake"))
            case effects.DriveAttempt(task=t, attempt=k, stop=stop):
                self._drive(session, t, k, stop=stop, outcome=outcome)
            case effects.MakeCandidate(task=t, attempt=k, onto=onto):
                self._candidate(session, t, k, onto, outcome)
            case effects.RunChecks(task=t, attempt=k, commit=commit, indexes=indexes):
                ok = outcome != "fail" if outcome else self.random.random() < 0.8
                self.say(session.id, e.CheckFinished(task=t, attempt=k, commit=commit, index=indexes[0], ok=ok, detail="d"))
            case effects.MoveTip(task=t, attempt=k, commit=commit, parent=parent):
                assert parent == session.tip, "the tip is moved by compare-and-swap"
                self.checkpointed[session.id, t] = self.checkpointed.get((session.id, t), 0) + 1
                self.say(
                    session.id,
                    e.CheckpointCommitted(task=t, attempt=k, commit=commit, parent=parent, ref="r", revision=1, blobs=""),
                )
            case effects.Deliver(branch=branch, commit=commit):
                self.say(session.id, e.DeliveryMade(branch=branch, commit=commit))

    def _drive(self, session: Session, t: str, k: int, *, stop: bool, outcome: str | None) -> None:
        if not stop and outcome is None and self.random.random() < 0.3:
            self.say(session.id, e.AttemptStarted(task=t, attempt=k, pid=1, start_ticks=1, boot_id="b"))
            return
        if outcome is None:
            odds = ["ok"] * 10 + ["error", "timeout", "quota", "overloaded", "lost", "crashed", "setup_failed"]
            outcome = "interrupted" if stop else self.random.choice(odds)
        if outcome == "lost":
            self.say(session.id, e.AttemptLost(task=t, attempt=k, why="gone"))
            return
        reset = self.now + self.random.randrange(1, 10**10) if outcome == "quota" and self.random.random() < 0.5 else None
        self.say(session.id, e.AttemptFinished(task=t, attempt=k, outcome=outcome, elapsed_ms=50, reset=reset))  # type: ignore[arg-type]

    def _candidate(self, session: Session, t: str, k: int, onto: str, outcome: str | None) -> None:
        if outcome == "conflict" or (outcome is None and self.random.random() < 0.05):
            self.say(session.id, e.CandidateConflicted(task=t, attempt=k, onto=onto, paths=["f"]))
            return
        self.commits += 1
        self.say(
            session.id,
            e.CandidateMade(task=t, attempt=k, commit=f"c{self.commits}", tree="t", parent=onto, changed_files=1, empty=False),
        )

    # --- what must hold ---------------------------------------------------------------------------

    def check(self) -> None:
        """States the invariants; raises AssertionError where one is broken."""
        used: Map[coordinator.Slot, str] = self.box.slots
        assert len(used) <= self.capacity.slots
        for session in self.sessions.values():
            assert decide(session, self.now) == [], "deciding twice is harmless"
            live = [i for i, t in session.tasks.items() if isinstance(t.phase, LIVE)]
            assert len(live) == session.live or session.end is not None
            assert len(live) <= coordinator.width(session)
            assert session.unfinished == sum(not isinstance(t.phase, TERMINAL) for t in session.tasks.values())
            for i, t in session.tasks.items():
                assert t.failures < session.plan.tasks[i].attempts or isinstance(t.phase, TERMINAL)
                assert self.checkpointed.get((session.id, i), 0) <= 1, "a checkpointed task never runs again"
