"""The wall budget after a restart: nothing is asked before it is known whether the attempt lived on. Pure and exact."""

from marathond.domain import entries as e
from tests.support.world import World, contract, task

SECOND = 1_000_000
HOUR = 3600 * SECOND


def _off_for_eight_hours() -> World:
    """A session with a budget of four hours, whose attempt ran when the machine went off; now its next run has begun."""
    world = World()
    world.start("s", contract(task("a"), wall_ms=4 * 3600 * 1000))
    world.say("s", e.AttemptStarted(task="a", attempt=1, pid=1, start_ticks=1, boot_id="boot"))
    world.tick(world.now + 10 * SECOND)
    world.crash()
    world.tick(world.now + 8 * HOUR)
    assert not world.sessions["s"].questions
    world.say("s", e.GatePassed(run="s.2", points=[]), e.RunStarted(run="s.2", reason="boot", boot_id="boot"))
    world.tick()
    assert not world.sessions["s"].questions
    return world


def test_a_dead_attempt_has_not_used_the_time_since() -> None:
    """It counts to its last sign of life, and the task goes again at once."""
    world = _off_for_eight_hours()
    world.say("s", e.AttemptLost(task="a", attempt=1, why="the machine was restarted", lived_ms=9000))
    session = world.sessions["s"]
    assert session.wall_used_ms == 9000
    assert not session.questions
    assert session.tasks["a"].begun == 2


def test_a_living_attempt_has_used_it() -> None:
    """Once it is adopted, the time in which nobody looked counts too: the budget is spent and a person is asked."""
    world = _off_for_eight_hours()
    world.say("s", e.AttemptAdopted(task="a", attempt=1, run="s.2"))
    assert [q.about for q in world.sessions["s"].questions.values()] == ["wall"]
