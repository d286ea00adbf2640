"""What must be recorded fits into an entry, and what must follow comes to an end, however large a contract is."""

from msgspec.structs import replace

from marathond.domain import effects
from marathond.domain import entries as e
from marathond.domain.canonical import encode_entry
from marathond.domain.contract import RunCheck
from marathond.domain.limits import CHECKS_MAX, ENTRY_BYTES_MAX, FINAL_TEXT_BYTES_MAX, TASKS_MAX
from marathond.domain.session import Failed
from marathond.engine.conclude import fitting
from tests.support.world import START_US, World, contract, task


def _step(world: World, outcome: str) -> None:
    flight = world.open()[0]
    world.begin(flight)
    world.land(flight, outcome)


def test_the_longest_chain_is_skipped_in_one_step() -> None:
    """When the first task of the longest chain that is allowed fails, all others are skipped and the session ends."""
    world = World()
    chain = [task(f"t{i}", *([f"t{i - 1}"] if i else []), attempts=1, checks=0) for i in range(TASKS_MAX)]
    world.start("s", contract(*chain))
    _step(world, "error")
    session = world.sessions["s"]
    assert session.end is not None
    assert session.end.state == "failed"
    assert sum(entry.kind == "task.skipped" for entry in world.entries) == TASKS_MAX - 1


def test_the_largest_session_can_fail_as_a_whole() -> None:
    """The reason of a session in which every task failed names some and counts the rest."""
    world = World()
    many = [task(f"task-with-a-long-name-{i}", attempts=1, checks=0) for i in range(TASKS_MAX)]
    world.start("s", contract(*many, deadline=START_US + 1))
    world.say("s", e.RequestAnswer(question="q1", answer="no"))
    end = world.sessions["s"].end
    assert end is not None
    assert end.reason.endswith(f"and {TASKS_MAX - 20} more failed")


def test_many_long_checks_that_fail_have_one_short_reason() -> None:
    """A task whose hundred long check lines all fail can fail: its reason is cut."""
    world = World()
    checks = tuple(RunCheck(run="x" * 16_000, timeout_ms=1000) for _ in range(CHECKS_MAX))
    world.start("s", contract(replace(task("a", attempts=1), checks=checks)))
    _step(world, "ok")
    _step(world, "ok")
    while world.sessions["s"].end is None:
        flight = world.open()[0]
        assert isinstance(flight.effect, effects.RunChecks | effects.Deliver)
        _step(world, "fail")
    phase = world.sessions["s"].tasks["a"].phase
    assert isinstance(phase, Failed)
    assert phase.reason.endswith(f"({CHECKS_MAX} checks failed)")
    assert max(len(entry.record) for entry in world.entries) < ENTRY_BYTES_MAX


def test_what_an_attempt_said_fits_whatever_it_is_made_of() -> None:
    """Two texts of characters that an entry must write as six bytes each still leave room for the rest of an attempt's end."""
    said = fitting("\0" * 10 * FINAL_TEXT_BYTES_MAX + "the end")
    body = e.AttemptFinished(task="a", attempt=1, outcome="error", text=said, error=said)
    assert said.endswith("the end")
    assert len(encode_entry(body)) < ENTRY_BYTES_MAX * 3 // 4
