"""The pure core under a simulated clock: whatever happens, the rules hold and work comes to an end."""

import pytest

from marathond.domain import entries as e
from marathond.domain.session import Done
from tests.support.world import World, contract, task

STEPS_MAX = 5000


def _run(world: World, *, crashes: bool = False) -> None:
    for _ in range(STEPS_MAX):
        world.check()
        if all(s.end is not None for s in world.sessions.values()):
            return
        if crashes and world.random.random() < 0.05:
            world.crash()
        open_ = world.open()
        if open_:
            world.play(*world.random.choice(open_))
            continue
        questions = [(s.id, q) for s in world.sessions.values() for q in s.questions]
        if questions and world.random.random() < 0.7:
            session, question = questions[0]
            world.say(session, e.RequestAnswer(question=question, answer=world.random.choice(["yes", "yes", "no"])))
            continue
        due = world.next_due()
        assert due is not None or questions, "a session that has not ended has an effect, a due time or a question"
        if due is not None:
            world.now = max(world.now, due)
            world.append()
    raise AssertionError("it never ended")


@pytest.mark.parametrize("seed", range(150))
def test_random_sessions_end_and_keep_the_rules(seed: int) -> None:
    """Every started session ends, through crashes, limits, conflicts, lost attempts and spent budgets."""
    world = World(seed=seed, slots=1 + seed % 4)
    for k in range(1 + seed % 3):
        frozen = contract(
            task("plan"), task("a", "plan", checks=2), task("b", "plan", checks=0), task("lint", "a", run="x", checks=0),
            task("end", "a", "b", "lint", checks=3), parallel=1 + seed % 3, wall_ms=200 if seed % 5 == 0 else None,
        )  # fmt: skip
        world.start(f"s{k}", frozen)
    _run(world, crashes=seed % 2 == 0)
    for session in world.sessions.values():
        all_done = all(isinstance(t.phase, Done) for t in session.tasks.values())
        assert session.end is not None
        assert (session.end.state == "done") == all_done
        assert not world.box.slots, "an ended session holds no slot"


def test_the_plain_path_needs_no_second_attempt() -> None:
    """With agents that succeed, each task has one attempt and the branch is delivered before the session ends."""
    world = World()
    world.start("s", contract(task("a"), task("b", "a")))
    while open_ := world.open():
        session, effect = open_[0]
        world.play(session, effect, "ok")
        world.check()
    session = world.sessions["s"]
    assert session.end is not None
    assert session.end.state == "done"
    assert session.end.branch == "marathon/sim"
    assert [t.begun for t in session.tasks.values()] == [1, 1]
    assert world.entries[-1].kind == "run.ended"
