"""A world for the pure core: sessions and the box under a simulated clock, with effects played by a seeded random source.

No file, process or real clock is involved: the ledger is a list, and git is a commit name per session. Entries go through
the batches and the kernel of the real daemon. Effects take time: they are begun, and end later, when much may have changed;
a crash forgets those under way, as it does in life. What must hold after every step is stated in `tests.support.rules`.
"""

import asyncio
import random
from typing import NamedTuple, cast

from marathond.domain import coordinator, effects
from marathond.domain import entries as e
from marathond.domain.contract import Contract, Delivery, FileCheck, Frozen, Limits, RunCheck, Task, Workspace, freeze
from marathond.domain.decide import ask_after_boot
from marathond.domain.effects import open_effects
from marathond.domain.outlook import may_open, next_due
from marathond.domain.session import Session
from marathond.domain.system import Box
from marathond.engine.kernel import Kernel
from marathond.store.batch import Batch, Change, Request
from marathond.store.chain import GENESIS

START_US = 1_795_000_000_000_000


def task(
    id_: str, *needs: str, checks: int = 1, run: str | None = None, attempts: int = 3, allow_empty: bool = False
) -> Task:
    """A task with `checks` checks."""
    made = tuple(
        FileCheck(file=f"{id_}{i}") if i % 2 else RunCheck(run=f"true {i}", timeout_ms=1000) for i in range(checks)
    )
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


class Flight(NamedTuple):
    """An effect under way. An attempt's process outlives the daemon that follows it, so a crash does not end its flight."""

    session: str
    effect: effects.Effect


class _Answer:
    """Stands for the future of a caller who does not wait."""

    def done(self) -> bool:
        return False

    def set_result(self, _entries: list[e.Entry]) -> None:
        pass

    def set_exception(self, error: BaseException) -> None:
        raise error


class World:
    """One box with any number of sessions."""

    def __init__(self, seed: int = 0, slots: int = 4) -> None:
        self.random = random.Random(seed)
        self.now = START_US
        self.kernel = Kernel(coordinator.Capacity(slots, {}))
        self.entries: list[e.Entry] = []
        self.flights: list[Flight] = []
        self.tips: dict[str, str] = {}
        self.commits = 0
        self._chain = GENESIS

    @property
    def sessions(self) -> dict[str, Session]:
        """All sessions as they are committed."""
        return self.kernel.sessions

    @property
    def box(self) -> Box:
        """The box as it is committed."""
        return self.kernel.box

    # --- the ledger -------------------------------------------------------------------------------

    def append(self, *drafts: e.Draft) -> None:
        """One batch: seals, folds and decides to a fixpoint, as the writer does."""
        self.now += 1
        batch = Batch(self._chain, self.kernel, self.now)
        answer = cast("asyncio.Future[list[e.Entry]]", _Answer())
        batch.admit(Request(lambda: Change(drafts=list(drafts)), answer))
        batch.settle()
        self._chain = batch.chain
        self.entries += batch.entries
        self.kernel.commit(batch.entries)

    def say(self, session: str, *bodies: e.Body) -> None:
        """Appends bodies to a session's stream."""
        self.append(*(e.Draft(e.session_stream(session), b) for b in bodies))

    def tick(self, until: int | None = None) -> None:
        """Time passes, to `until` if that lies ahead, and acts."""
        self.now = max(self.now, until or 0)
        self.kernel.poke(self.now)
        self.append()

    # --- sessions ---------------------------------------------------------------------------------

    def start(self, session: str, frozen: Frozen) -> None:
        """Creates a session and its first run."""
        self.kernel.learn(frozen)
        self.tips[session] = "base"
        self.say(
            session, e.SessionCreated(session=session, name="sim", contract=frozen.hash, repo="/r", base="base", tip="base"),
            e.GatePassed(run=f"{session}.1", points=[]), e.RunStarted(run=f"{session}.1", reason="start", boot_id="boot"),
        )  # fmt: skip

    def crash(self, *, rebooted: bool = False) -> None:
        """The daemon dies and another one starts: runs were cut off, and what was under way is not known any more.

        A move of the tip may have reached git without being recorded. After a reboot no process is left either, and the
        user is asked first.
        """
        for flight in self.flights:
            if isinstance(flight.effect, effects.MoveTip) and self.random.random() < 0.5:
                self.tips[flight.session] = flight.effect.commit
        self.flights = []
        for session in list(self.sessions.values()):
            if session.end is not None:
                continue
            bodies: list[e.Body] = []
            if session.run is not None:
                bodies.append(e.RunEnded(run=session.run.id, reason="cut_off"))
            if rebooted and not (
                session.halted or session.quarantine is not None or session.aborting or session.barred
            ):
                bodies.append(ask_after_boot(session))
            self.say(session.id, *bodies)

    # --- effects ----------------------------------------------------------------------------------

    def open(self) -> list[Flight]:
        """The effects that the engine would begin now: open, not under way, and one at a time for each task."""
        return [
            Flight(session.id, effect)
            for session in self.sessions.values()
            for effect in open_effects(session, self.now)
            if not any(f.session == session.id and _same(f.effect, effect) for f in self.flights)
        ]

    def begin(self, flight: Flight) -> None:
        """Begins an effect."""
        self.flights.append(flight)

    def land(self, flight: Flight, outcome: str | None = None) -> None:
        """An effect that is under way comes to its end, at random or with the given outcome."""
        self.flights.remove(flight)
        self.play(self.sessions[flight.session], flight.effect, outcome)

    def next_due(self) -> int | None:
        """The next instant at which time alone changes something."""
        dues = [d for s in self.sessions.values() if (d := next_due(s)) is not None]
        dues += [pool.until for pool in self.box.pools.values()]
        return min(dues, default=None)

    def play(self, session: Session, effect: effects.Effect, outcome: str | None = None) -> None:
        """Performs one effect with a random (or the given) outcome. Where it is not open any more, its outcome is late."""
        wanted = {f.key: f for f in open_effects(session, self.now)}
        is_open = effect.key in wanted
        match effect:
            case effects.OpenRun():
                self._open_run(session, outcome)
            case effects.DriveAttempt(task=t, attempt=k):
                now = wanted.get(effect.key)
                stop = not isinstance(now, effects.DriveAttempt) or now.stop
                self._drive(session, t, k, stop=stop, outcome=outcome)
            case effects.MakeCandidate(task=t, attempt=k, onto=onto):
                self._candidate(session, t, k, onto, outcome)
            case effects.RunChecks(task=t, attempt=k, commit=commit, indexes=indexes):
                if is_open or self.random.random() < 0.5:  # a check that is told to stop may be over already
                    ok = outcome != "fail" if outcome else self.random.random() < 0.8
                    self.say(
                        session.id,
                        e.CheckFinished(task=t, attempt=k, commit=commit, index=indexes[0], ok=ok, detail="d"),
                    )
            case effects.MoveTip(task=t, attempt=k, commit=commit, parent=parent):
                assert self.tips[session.id] in (parent, commit), "nobody else moves the tip"
                self.tips[session.id] = commit
                self.say(
                    session.id,
                    e.CheckpointCommitted(
                        task=t, attempt=k, commit=commit, parent=parent, ref="r", revision=1, blobs=""
                    ),
                )
            case effects.Deliver(branch=branch, commit=commit):
                self.say(session.id, e.DeliveryMade(branch=branch, commit=commit))

    def _open_run(self, session: Session, outcome: str | None) -> None:
        """The gate takes its time: what it lets through is asked once more."""
        if may_open(session, self.now, "wake") is not None:
            return
        if outcome is None and self.random.random() < 0.02:
            self.say(session.id, e.GateRefused(points=[], quarantine=True))
            return
        self.open_gate(session, e.RunStarted(run=f"{session.id}.{session.runs + 1}", reason="wake", boot_id="boot"))

    def open_gate(self, session: Session, started: e.RunStarted, *before: e.Body) -> None:
        """An open gate and the run behind it; `before` are the facts that come first."""
        self.say(session.id, *before, e.GatePassed(run=started.run, points=[]), started)

    def _drive(self, session: Session, t: str, k: int, *, stop: bool, outcome: str | None) -> None:
        if not stop and outcome is None and self.random.random() < 0.3:
            self.say(session.id, e.AttemptStarted(task=t, attempt=k, pid=1, start_ticks=1, boot_id="b"))
            return
        if outcome is None:
            odds = ["ok"] * 10 + ["error", "timeout", "quota", "overloaded", "lost", "crashed", "setup_failed"]
            outcome = "interrupted" if stop and self.random.random() < 0.8 else self.random.choice(odds)
        if outcome == "lost":
            self.say(session.id, e.AttemptLost(task=t, attempt=k, why="gone"))
            return
        reset = (
            self.now + self.random.randrange(1, 10**10) if outcome == "quota" and self.random.random() < 0.5 else None
        )
        self.say(session.id, e.AttemptFinished(task=t, attempt=k, outcome=outcome, elapsed_ms=50, reset=reset))  # type: ignore[arg-type]

    def _candidate(self, session: Session, t: str, k: int, onto: str, outcome: str | None) -> None:
        if outcome == "conflict" or (outcome is None and self.random.random() < 0.05):
            self.say(session.id, e.CandidateConflicted(task=t, attempt=k, onto=onto, paths=["f"]))
            return
        if outcome is None and self.random.random() < 0.02:
            self.say(session.id, e.CandidateRefused(task=t, attempt=k, reason="it holds a secret"))
            return
        self.commits += 1
        self.say(
            session.id,
            e.CandidateMade(
                task=t, attempt=k, commit=f"c{self.commits}", tree="t", parent=onto, changed_files=1, empty=False
            ),
        )


def _same(one: effects.Effect, other: effects.Effect) -> bool:
    """Whether an effect has to wait for another to end: it is the same, or works on the same task."""
    task_id = getattr(one, "task", None)
    return one.key == other.key or (task_id is not None and task_id == getattr(other, "task", None))
