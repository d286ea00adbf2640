"""A step of a session of ten thousand tasks costs what it changes, and ready tasks get out of each other's way."""

import time

from msgspec.structs import replace

from marathond.domain import coordinator, effects
from marathond.domain import entries as e
from marathond.domain.limits import TASKS_MAX
from marathond.engine.views.words import session_state, task_state
from tests.support.rules import Rules
from tests.support.world import World, contract, task

STEPS = 60
CPU_SECONDS_MAX = 3.0  # it takes a fifth of a second; with a look at each ready task per entry it took half a minute


def test_a_step_does_not_look_at_every_task() -> None:
    """Whole attempts of the largest contract pass in a moment, although nearly all its tasks are ready all the time."""
    world = World()
    world.start("s", contract(*(task(f"t{i}") for i in range(TASKS_MAX)), parallel=4))
    began = time.process_time()
    for _ in range(STEPS):
        flight = world.open()[0]
        world.begin(flight)
        world.land(flight, "ok")
    assert time.process_time() - began < CPU_SECONDS_MAX
    assert sum(entry.kind == "task.done" for entry in world.entries) >= 4


def test_a_limit_sets_one_timer_for_all_that_wait_for_it() -> None:
    """When an agent's limit is met, its other ready tasks wait with the one that met it, and go on with it."""
    world = World()
    world.start("s", contract(*(task(f"t{i}") for i in range(1000)), parallel=2))
    for flight in world.open():
        world.begin(flight)
        world.land(flight, "quota")
    session = world.sessions["s"]
    assert sum(entry.kind == "timer.set" for entry in world.entries) == 2
    assert session_state(session) == "waiting"
    assert task_state(session, "t999") == "waiting"
    due = world.next_due()
    assert due is not None
    world.tick(due)
    opened = world.open()
    assert isinstance(opened[0].effect, effects.OpenRun)
    world.begin(opened[0])
    world.land(opened[0], "ok")
    Rules(world).check()
    assert [f.effect.task for f in world.open() if isinstance(f.effect, effects.DriveAttempt)] == ["t0", "t1"]
    assert task_state(world.sessions["s"], "t999") == "ready"


def test_an_impatient_user_opens_what_one_timer_keeps_shut() -> None:
    """`resume --now` lets all tasks go that wait for a limit, not only the one with the timer."""
    world = World()
    world.start("s", contract(task("a"), task("b"), parallel=2))
    for flight in world.open():
        world.begin(flight)
        world.land(flight, "quota")
    started = e.RunStarted(run="s.2", reason="resume", boot_id="boot")
    world.open_gate(world.sessions["s"], started, e.SessionResumed(now=True))
    assert len(world.open()) == 2


def test_an_agent_at_its_limit_does_not_hold_up_another() -> None:
    """Where the first ready tasks must wait for their agent, later ones of another agent start in their place."""
    world = World()
    world.kernel.capacity = coordinator.Capacity(4, {"scripted": 1})
    other = replace(task("c"), agent="other")
    world.start("s", contract(task("a"), task("b"), other, parallel=2))
    assert [f.effect.task for f in world.open() if isinstance(f.effect, effects.DriveAttempt)] == ["a", "c"]
