"""How long a task rests: after a failure, while an API fails, and for a limit whose end nobody stated. Pure and exact."""

from itertools import pairwise

import pytest

from marathond.domain import entries as e
from marathond.domain.effects import DriveAttempt
from marathond.domain.session import Resting
from tests.support.world import World, contract, task

SECOND = 1_000_000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE


def _rests(outcome: str, times: int) -> list[int]:
    """The pauses of a task whose attempts end with `outcome`, one after the other, in microseconds."""
    world = World()
    world.start("s", contract(task("a", attempts=100), parallel=1))
    pauses = []
    for number in range(1, times + 1):
        session = world.sessions["s"]
        if session.run is None:
            run = f"s.{session.runs + 1}"
            world.say("s", e.GatePassed(run=run, points=[]), e.RunStarted(run=run, reason="wake"))
        drives = [f for s, f in world.open() if isinstance(f, DriveAttempt)]
        assert [d.attempt for d in drives] == [number]
        world.say("s", e.AttemptFinished(task="a", attempt=number, outcome=outcome))  # type: ignore[arg-type]
        phase = world.sessions["s"].tasks["a"].phase
        assert isinstance(phase, Resting)
        pauses.append(phase.due - world.now)
        world.tick(phase.due)
    return pauses


def test_failures_back_off_from_ten_seconds_to_an_hour() -> None:
    """10 s·2ⁿ, capped at 1 h."""
    pauses = _rests("refused", 12)
    assert pauses[:4] == [10 * SECOND, 20 * SECOND, 40 * SECOND, 80 * SECOND]
    assert pauses[-2:] == [HOUR, HOUR]
    assert all(b == min(2 * a, HOUR) for a, b in pairwise(pauses))


@pytest.mark.parametrize("outcome", ["overloaded", "network", "rate_limit"])
def test_a_failing_api_backs_off_from_half_a_minute_to_a_quarter_of_an_hour(outcome: str) -> None:
    """30 s·2ⁿ, capped at 15 min, and no attempt is counted however often."""
    pauses = _rests(outcome, 8)
    assert pauses[:3] == [30 * SECOND, 60 * SECOND, 120 * SECOND]
    assert all(b == min(2 * a, 15 * MINUTE) for a, b in pairwise(pauses))
    assert pauses[-1] == 15 * MINUTE


def test_an_unknown_reset_is_asked_for_after_a_quarter_of_an_hour_up_to_four_hours() -> None:
    """15 min, doubling to 4 h, and no attempt is counted however often."""
    assert _rests("quota", 7) == [15 * MINUTE, 30 * MINUTE, HOUR, 2 * HOUR, 4 * HOUR, 4 * HOUR, 4 * HOUR]
