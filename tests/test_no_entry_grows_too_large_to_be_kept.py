"""What must be recorded fits into an entry, and what must follow comes to an end, however large a contract is."""

from msgspec.structs import replace

from marathond.domain import effects
from marathond.domain import entries as e
from marathond.domain.canonical import encode_entry
from marathond.domain.contract import RunCheck
from marathond.domain.evolve import evolve
from marathond.domain.limits import CHECKS_MAX, ENTRY_BYTES_MAX, FINAL_TEXT_BYTES_MAX, TASKS_MAX
from marathond.domain.session import Failed
from marathond.engine.carry import Carried
from marathond.engine.conclude import fitting
from marathond.engine.verbs.start import CARRIED_NAMED_MAX, first_entries
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


def test_the_largest_session_can_be_carried_on() -> None:
    """However many tasks a new session takes over, each entry fits, and the state is that of one entry that names them all."""
    names = [f"{i:05d}-{'x' * 58}" for i in range(TASKS_MAX)]
    frozen = contract(*(task(name, *names[max(0, i - 1) : i], checks=0) for i, name in enumerate(names)))
    carried = Carried("base", "tip", "old", names[:-1], {names[1]: "words"})
    created = e.SessionCreated(
        session="s", name="sim", contract=frozen.hash, repo="/r", base="base", tip="tip", carried_from="old",
        carried_tasks=carried.tasks[:CARRIED_NAMED_MAX],
    )  # fmt: skip
    states = []
    for first in (created, replace(created, carried_tasks=carried.tasks)):
        bodies = first_entries(first, carried, "boot")
        if first is not created:
            bodies = [body for body in bodies if not isinstance(body, e.SessionCarried)]
        session = None
        for n, body in enumerate(bodies, 1):
            entry = e.Entry(
                seq=n, hash="", link="", link_prev="", record=b"", stream="session:s", n=n, at=START_US + n, wall=START_US,
                kind=body.kind, body=body, prev="",
            )  # fmt: skip
            session = evolve(session, entry, {frozen.hash: frozen})
        assert session is not None
        states.append(session)
        if first is created:
            assert max(len(encode_entry(body)) for body in bodies) < ENTRY_BYTES_MAX
    assert replace(states[0], head=states[1].head, passed=0) == replace(states[1], passed=0)
    assert states[0].unfinished == 1
