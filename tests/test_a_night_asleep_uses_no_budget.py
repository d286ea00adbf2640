"""A closed laptop: the wall clock goes on by hours in which nothing lived, and no budget is spent."""

from marathond.domain import entries as e
from marathond.domain.outlook import wall_spent_ms
from tests.support.box import Box, append, script
from tests.support.world import START_US, World, contract, task

SECOND = 1_000_000
HOUR = 3600 * SECOND
HOUR_MS = 3600 * 1000

SLEEPER = """
import pathlib, sys, time
import anyio
from marathond.__main__ import main
from marathond.engine.alarm import SystemClock
from marathond.engine.service import open_services

asleep = pathlib.Path(sys.argv[1])


class Clock(SystemClock):
    # the file says how long the machine was asleep, in microseconds
    def wall(self):
        return super().wall() + int(asleep.read_text())


class Alarm:
    # wakes as the real one does: when an instant has come, is set anew, or the clock was stepped
    def __init__(self):
        self.due, self.seen = None, asleep.read_text()

    def set(self, due):
        self.due = due

    async def wait(self):
        while True:
            await anyio.sleep(0.01)
            if asleep.read_text() != self.seen:
                self.seen = asleep.read_text()
                return "stepped"
            if self.due is not None and Clock().wall() >= self.due:
                self.due = None
                return "due"

    def close(self):
        pass


sys.exit(main(["--foreground"], build=lambda setting: open_services(*setting, clock=Clock(), alarm=Alarm())))
"""


def _at_work(hours: int) -> World:
    world = World()
    world.start("s", contract(task("a"), task("b"), wall_ms=hours * HOUR_MS))
    for name in ("a", "b"):
        world.say("s", e.AttemptStarted(task=name, attempt=1, pid=1, start_ticks=1, boot_id="boot"))
    return world


def _step(world: World, by_us: int) -> None:
    world.now += by_us
    world.say("s", e.RunStepped(by_ms=by_us // 1000))


def test_what_was_asleep_has_not_lived() -> None:
    """The budget is asked for after as much life as it allows, and what an attempt says of its own time agrees."""
    world = _at_work(hours=1)
    world.tick(world.now + 10 * SECOND)
    _step(world, 8 * HOUR)
    assert not world.sessions["s"].questions
    assert wall_spent_ms(world.sessions["s"], world.now) in range(10_000, 11_000)
    world.say("s", e.AttemptFinished(task="a", attempt=1, outcome="ok", elapsed_ms=10_000, lived_ms=10_000))
    world.tick(world.now + 20 * SECOND)
    world.say("s", e.AttemptFinished(task="b", attempt=1, outcome="ok", elapsed_ms=30_000, lived_ms=30_000))
    assert world.sessions["s"].wall_used_ms in range(30_000, 31_000)


def test_a_clock_set_back_buys_no_time() -> None:
    """When the clock is set back, the budget is spent no later than by the time that was lived."""
    world = _at_work(hours=1)
    world.tick(world.now + HOUR // 2)
    _step(world, -HOUR // 4)
    due = world.next_due()
    assert due is not None
    assert (due - world.now) // SECOND in range(1799, 1802)
    world.tick(due)
    assert [q.about for q in world.sessions["s"].questions.values()] == ["wall"]


def test_nothing_begins_in_the_future() -> None:
    """An attempt that began after the step was made, and before it was noticed, has lived since it began at most."""
    world = _at_work(hours=1)
    world.say("s", e.RunStepped(by_ms=8 * HOUR_MS))
    assert world.sessions["s"].live_since == world.entries[-1].wall >= START_US


def test_a_session_goes_on_after_a_night_asleep(box: Box) -> None:
    """The real daemon notices that the clock moved under a living attempt, records it, asks nobody, and the session is done."""
    asleep, go = box.root / "asleep", box.root / "go"
    asleep.write_text("0")
    box.daemon_from(SLEEPER, str(asleep))
    waits = f'run = "until test -e {go}; do sleep 0.02; done"'
    plan = (
        f'[limits]\nwall = "1h"\n[[task]]\nid = "a"\nagent = "scripted"\nprompt = {script(waits, append("f", "x"))}\n'
    )
    session = box.start(plan)
    box.until(lambda: box.running(session, "a"), "the attempt runs")
    awake = box.root / "awake"
    awake.write_text(str(8 * HOUR))
    awake.rename(asleep)
    box.until(lambda: "run.stepped" in box.kinds(session), "the step is noticed")
    assert box.status(session)["state"] == "running"
    go.touch()
    status = box.wait(session, "done", "failed", "held")
    assert status["state"] == "done", status
    assert status["wall_used_ms"] < HOUR_MS
    assert any(entry["kind"] == "clock.stepped" for entry in box.entries())
