"""What must hold in the world after every step, whatever has happened."""

from immutables import Map

from marathond.domain import coordinator
from marathond.domain import entries as e
from marathond.domain.decide import decide
from marathond.domain.judgement import accepted
from marathond.domain.outlook import due_at, next_due
from marathond.domain.session import LIVE, OCCUPYING, TERMINAL, Done, End, Held, Session, Task
from marathond.domain.system import Slot
from marathond.engine.views.words import session_state
from tests.support.world import World


class Rules:
    """Follows a world and raises AssertionError where a rule is broken."""

    def __init__(self, world: World) -> None:
        self.world = world
        self._read = 0
        self._alive: dict[tuple[str, str], int] = {}
        self._charged: dict[tuple[str, str], int] = {}
        self._checkpointed: set[tuple[str, str]] = set()
        self._ended: dict[str, tuple[End, Map[str, Task], str]] = {}

    def check(self) -> None:
        """All rules."""
        self._follow()
        self._box()
        for session in self.world.sessions.values():
            if (due := next_due(session)) is None or due > self.world.now:  # else the alarm is about to ring
                assert decide(session, self.world.now) == [], "deciding twice is harmless"
            self._ended_absorb(session)
            self._counters(session)
            self._going_on(session)
            self._git(session)

    # --- what the entries may say -------------------------------------------------------------------

    def _follow(self) -> None:
        for entry in self.world.entries[self._read :]:
            session_id = e.session_of(entry.stream)
            if session_id is not None:
                self._entry(session_id, entry.body)
        self._read = len(self.world.entries)

    def _entry(self, session: str, body: e.Body) -> None:
        match body:
            case e.AttemptIntended(task=t, attempt=k):
                assert (session, t) not in self._alive, "one live attempt per task"
                assert (session, t) not in self._checkpointed, "a checkpointed task never runs again"
                self._alive[session, t] = k
            case e.AttemptFinished(task=t, attempt=k) | e.AttemptLost(task=t, attempt=k):
                if self._alive.get((session, t)) == k:
                    del self._alive[session, t]
            case e.CheckpointCommitted(task=t):
                assert (session, t) not in self._checkpointed, "a task has one checkpoint"
                self._checkpointed.add((session, t))
            case e.TimerSet(timer_kind="backoff", task=t):
                self._charge(session, t)
            case e.TaskReopened(task=t):
                self._charged.pop((session, t), None)
            case e.SessionReopened():
                self._ended.pop(session, None)

    def _charge(self, session: str, task: str) -> None:
        self._charged[session, task] = charged = self._charged.get((session, task), 0) + 1
        limit = self.world.sessions[session].plan.tasks[task].attempts
        assert charged < limit, "failed attempts never exceed their limit"

    # --- what the states may be -----------------------------------------------------------------------

    def _box(self) -> None:
        box, sessions = self.world.box, self.world.sessions
        assert len(box.slots) <= self.world.kernel.capacity.slots
        for slot in box.slots:
            session = sessions[slot.session]
            assert session.end is None, "an ended session holds no slot"
            assert isinstance(session.tasks[slot.task].phase, OCCUPYING), "a slot is in use"
            if session.halted or session.quarantine is not None:
                assert isinstance(session.tasks[slot.task].phase, LIVE), "a session at rest holds no slot"

    def _ended_absorb(self, session: Session) -> None:
        if session.end is None:
            return
        now = (session.end, session.tasks, session.tip)
        assert self._ended.setdefault(session.id, now) == now, "an ended session absorbs"
        assert all(isinstance(t.phase, TERMINAL) for t in session.tasks.values())
        assert session.end.state != "done" or all(isinstance(t.phase, Done) for t in session.tasks.values())
        assert session.run is None
        assert not session.questions

    def _counters(self, session: Session) -> None:
        tasks = session.tasks
        live = [i for i, t in tasks.items() if isinstance(t.phase, LIVE)]
        assert len(live) == session.live
        assert session.unfinished == sum(not isinstance(t.phase, TERMINAL) for t in tasks.values())
        assert session.flawed == sum(
            isinstance(t.phase, TERMINAL) and not isinstance(t.phase, Done) for t in tasks.values()
        )
        for task_id, task in tasks.items():
            assert task.failures < session.plan.tasks[task_id].attempts or isinstance(task.phase, TERMINAL)
            if isinstance(task.phase, LIVE):
                number = task.attempt.number if task.attempt else 0
                assert Slot(session.id, task_id, number) in self.world.box.slots, "who works has a slot"
            if isinstance(task.phase, Held):
                assert task.phase.question in session.questions, "what is held was asked"

    def _going_on(self, session: Session) -> None:
        """Nothing can be stuck: something is under way or open, or time or a person will move it."""
        state = session_state(session)
        moving = any(f.session == session.id for f in (*self.world.open(), *self.world.flights))
        match state:
            case "waiting":
                assert due_at(session) is not None, "what waits has a due time"
                assert next_due(session) is not None or moving
                assert session.run is None
            case "held":
                assert session.questions, "what is held was asked"
                assert session.run is None
            case "halted" | "quarantined":
                assert session.run is None
                assert session.halt is None or moving, "a halt comes to an end"
            case "running":
                ready = bool(coordinator.wants(session))
                full = len(self.world.box.slots) >= self.world.kernel.capacity.slots
                assert moving or (ready and full), "what runs has something to do"

    def _git(self, session: Session) -> None:
        """The gate finds in git what is recorded, or a move that was cut off before it was."""
        tip = self.world.tips[session.id]
        if tip == session.tip:
            return
        ahead = [
            t for t in session.tasks.values() if t.attempt and t.attempt.candidate and t.attempt.candidate.commit == tip
        ]
        assert len(ahead) == 1, "the tip is a candidate"
        assert session.end is None or session.end.state != "failed", (
            "a session that may be retried has its tip recorded"
        )
        if session.end is None and not session.aborting:
            assert accepted(session.plan.tasks[_id_of(session, ahead[0])], ahead[0]), (
                "a move that was cut off is made again"
            )


def _id_of(session: Session, task: Task) -> str:
    return next(i for i, t in session.tasks.items() if t is task)
