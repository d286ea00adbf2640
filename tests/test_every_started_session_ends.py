"""The pure core under a simulated clock: whatever happens, the rules hold and work comes to an end."""

import pytest

from marathond.domain.session import Done
from tests.support.rules import Rules
from tests.support.user import User
from tests.support.world import World, contract, task

STEPS_MAX = 5000
MEDDLING_STEPS = 250


def _run(world: World, *, meddling: float) -> None:
    """Plays until all sessions have ended; at first users, crashes and clocks meddle, later users only help."""
    user, rules = User(world), Rules(world)
    for step in range(STEPS_MAX):
        rules.check()
        if all(s.end is not None for s in world.sessions.values()) and (step > MEDDLING_STEPS or not meddling):
            return
        if step <= MEDDLING_STEPS and world.random.random() < meddling:
            user.meddle(world.random.choice(list(world.sessions.values())))
            continue
        open_ = world.open()
        if open_ and world.random.random() < 0.5:
            world.begin(world.random.choice(open_))
        elif world.flights:
            world.land(world.random.choice(world.flights))
        elif not open_ and not any(user.help(s) for s in list(world.sessions.values())) and step > MEDDLING_STEPS:
            due = world.next_due()
            assert due is not None, "a session that has not ended has an effect, a due time or a question"
            world.tick(due)
        elif (due := world.next_due()) is not None and world.random.random() < 0.5:
            world.tick(due)
    raise AssertionError("it never ended")


def _play(seed: int) -> None:
    world = World(seed=seed, slots=1 + seed % 4)
    for k in range(1 + seed % 3):
        frozen = contract(
            task("end", "a", "b", "lint", checks=3), task("plan"), task("a", "plan", checks=2), task("b", "plan", checks=0),
            task("lint", "a", run="x", checks=0), parallel=1 + seed % 3, wall_ms=200 if seed % 5 == 0 else None,
        )  # fmt: skip
        world.start(f"s{k}", frozen)
    _run(world, meddling=(0.0, 0.1, 0.3)[seed % 7 % 3])
    assert not world.box.slots, "an ended session holds no slot"


@pytest.mark.parametrize("seed", range(64))
def test_random_sessions_end_and_keep_the_rules(seed: int) -> None:
    """Every started session ends, whatever users, crashes, clocks, limits and conflicts do, and at whatever moment."""
    _play(seed)


def test_the_plain_path_needs_no_second_attempt() -> None:
    """With agents that succeed, each task has one attempt and the branch is delivered before the session ends."""
    world = World()
    rules = Rules(world)
    world.start("s", contract(task("a"), task("b", "a")))
    while open_ := world.open():
        world.begin(open_[0])
        world.land(open_[0], "ok")
        rules.check()
    session = world.sessions["s"]
    assert session.end is not None
    assert session.end.state == "done"
    assert session.end.branch == "marathon/sim"
    assert all(isinstance(t.phase, Done) for t in session.tasks.values())
    assert [t.begun for t in session.tasks.values()] == [1, 1]
    assert world.entries[-1].kind == "run.ended"
