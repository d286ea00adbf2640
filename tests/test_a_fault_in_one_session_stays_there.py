"""What Marathon itself does wrong in one session is contained in it: the others never notice."""

import asyncio
import re
from collections.abc import Mapping, Sequence
from functools import partial
from typing import cast

import pytest

from marathond.domain import coordinator
from marathond.domain import decide as rules
from marathond.domain import entries as e
from marathond.domain.errors import MarathonError
from marathond.domain.evolve import FoldError
from marathond.domain.session import Session
from marathond.engine import kernel
from marathond.engine.views.words import session_state
from marathond.store.batch import Batch, Change, Request
from tests.support.box import Box
from tests.support.world import World, contract, task

SICK, WELL = "sick", "well"


def _world() -> World:
    world = World()
    for session in (SICK, WELL):
        world.start(session, contract(task("a"), task("b", "a")))
    return world


def _finish(world: World, session: str) -> None:
    for _ in range(40):
        flights = [f for f in world.open() if f.session == session]
        if not flights:
            return
        world.begin(flights[0])
        world.land(flights[0], "ok")


def _stands_alone(world: World) -> None:
    """The sick one is given up with a reason, keeps no slot, and its facts are still recorded; the other one gets done."""
    sick = world.sessions[SICK]
    assert session_state(sick) == "quarantined"
    assert "incident" in (sick.quarantine or ())[0].detail
    world.say(SICK, e.AttemptFinished(task="a", attempt=1, outcome="interrupted", elapsed_ms=1))
    assert world.sessions[SICK].live == 0
    assert not [slot for slot in world.box.slots if slot.session == SICK]
    _finish(world, WELL)
    assert session_state(world.sessions[WELL]) == "done"
    assert not [entry for entry in world.entries if entry.kind == "session.completed" and entry.stream.endswith(SICK)]


def test_a_decision_that_fails_is_its_sessions_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where `decide` raises for one session, that one rests until the next start and the batch goes on."""
    world = _world()

    def decide(session: Session, now: int) -> Sequence[e.Body]:
        if session.id == SICK:
            raise ZeroDivisionError
        return rules.decide(session, now)

    monkeypatch.setattr(kernel, "decide", decide)
    world.say(SICK, e.AttemptStarted(task="a", attempt=1, pid=1, start_ticks=1, boot_id="b"))
    assert world.entries[-1].kind == "attempt.started"
    _stands_alone(world)


@pytest.mark.parametrize(
    "made",
    [
        e.TaskDone(task="a", text="\ud800"),  # the ledger cannot hold it
        e.TaskDone(task="nobody"),  # and this does not fold
        e.DaemonStopped(reason="no entry of a session"),
    ],
)
def test_a_decision_that_cannot_be_recorded_is_its_sessions_alone(
    monkeypatch: pytest.MonkeyPatch, made: e.Body
) -> None:
    """Where what was decided cannot be sealed or folded, none of it is recorded, its session rests and the batch goes on."""
    world = _world()

    def decide(session: Session, now: int) -> Sequence[e.Body]:
        return [e.TaskCancelled(task="b"), made] if session.id == SICK else rules.decide(session, now)

    monkeypatch.setattr(kernel, "decide", decide)
    world.say(SICK, e.AttemptStarted(task="a", attempt=1, pid=1, start_ticks=1, boot_id="b"))
    assert "task.cancelled" not in [entry.kind for entry in world.entries]
    _stands_alone(world)


def test_a_session_whose_turn_cannot_be_told_is_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where nothing can be dispatched for one session, or its next timer cannot be told, the others get their slots and timers."""
    world = World(slots=0)
    for session in (SICK, WELL):
        world.start(session, contract(task("a")))
    real = coordinator.intend

    def intend(session: Session, task_id: str, pools: Mapping[str, str]) -> e.AttemptIntended:
        if session.id == SICK:
            raise KeyError(task_id)
        return real(session, task_id, pools)

    monkeypatch.setattr(coordinator, "intend", intend)
    world.kernel.capacity = world.kernel.capacity._replace(slots=4)
    world.tick()
    assert session_state(world.sessions[SICK]) == "quarantined"
    _finish(world, WELL)
    assert session_state(world.sessions[WELL]) == "done"


def test_decisions_without_an_end_fail_one_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    """A session for which something always follows costs one batch, of which nothing is kept; the next ones go on without it."""
    world = _world()
    before = list(world.entries)

    def decide(session: Session, now: int) -> Sequence[e.Body]:
        return [e.SessionResumed(now=False)] if session.id == SICK else rules.decide(session, now)

    monkeypatch.setattr(kernel, "decide", decide)
    monkeypatch.setattr("marathond.store.batch.DECIDE_ROUNDS_MAX", 50)
    started = e.AttemptStarted(task="a", attempt=1, pid=1, start_ticks=1, boot_id="b")
    with pytest.raises(MarathonError, match="no fixpoint"):
        world.say(SICK, started)
    world.kernel.rollback()
    assert world.entries == before
    world.say(SICK, started)
    _stands_alone(world)


class _Caller:
    error: BaseException | None = None

    def done(self) -> bool:
        return False

    def set_exception(self, error: BaseException) -> None:
        self.error = error


def test_a_proposal_that_fails_is_its_callers_alone() -> None:
    """A proposal of which one entry cannot be sealed or folded leaves no trace: not in the batch, and not in the state."""
    world = _world()
    start = e.AttemptStarted(task="a", attempt=1, pid=1, start_ticks=1, boot_id="b")
    for wrong, kind in ((e.TaskDone(task="nobody"), FoldError), (e.TaskDone(task="a", text="\ud800"), MarathonError)):
        batch = Batch(world._chain, world.kernel, world.now + 1)
        drafts = [e.Draft(e.session_stream(SICK), body) for body in (start, wrong)]
        caller = _Caller()
        propose = partial(Change, drafts=drafts)
        batch.admit(Request(propose, cast("asyncio.Future[list[e.Entry]]", caller)))
        batch.settle()
        assert isinstance(caller.error, kind)
        assert batch.entries == []
        assert world.kernel.peek(SICK) == world.sessions[SICK]
    world.say(SICK, start)
    for session in (SICK, WELL):
        _finish(world, session)
        assert session_state(world.sessions[session]) == "done"


SICK_DAEMON = """
import os, sys
from marathond.__main__ import main
from marathond.engine import kernel
real = kernel.decide
def decide(session, now):
    if session.name == "sick" and os.path.exists(sys.argv[1]):
        raise ZeroDivisionError("a fault that nobody foresaw")
    return real(session, now)
kernel.decide = decide
sys.exit(main(["--foreground"]))
"""


def test_users_see_the_fault_and_the_next_daemon_goes_on(box: Box) -> None:
    """The session shows as quarantined with an incident that the log has; its attempt can be stopped, its resume is refused with 2,
    other sessions get done, and a daemon without the fault goes on with it."""
    fault, go = box.root / "fault", box.root / "go"
    box.daemon_from(SICK_DAEMON, str(fault))
    sick = box.start(f'name = "{SICK}"\n[[task]]\nid = "a"\nrun = "test -e {go} && echo x > f || sleep 300"\n')
    box.until(lambda: box.running(sick, "a"), "the attempt runs")
    fault.touch()
    halted = box.ctl("halt", sick, "--json", timeout=20)
    assert halted.json["state"] == "quarantined", halted
    assert "attempt.finished" in box.kinds(sick)
    (reason, *_) = box.ctl("why", sick, "--json").json["reasons"]
    incident = re.search(r"incident ([0-9a-f]{8})", reason["text"])
    assert incident is not None
    assert f"incident={incident[1]}" in box.log
    assert "nobody foresaw" in box.log
    refused = box.ctl("resume", sick)
    assert refused.code == 2, refused
    assert incident[0] in refused.err
    well = box.start(f'name = "{WELL}"\n[[task]]\nid = "a"\nrun = "echo x > f"\n')
    assert box.wait(well, "done", "failed")["state"] == "done"
    assert box.stop_daemon() == 0
    box.daemon_up()
    assert box.wait(sick, "halted", "failed")["state"] == "halted"
    go.touch()
    assert box.ctl("resume", sick).code == 0
    assert box.wait(sick, "done", "failed")["state"] == "done"
