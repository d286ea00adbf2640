"""`halt` and `abort` in the states in which nobody expects them: draining, waiting, held, quarantined."""

import time

from tests.support.box import Box, append, script

TWO = f"""
[defaults]
agent = "scripted"
[[task]]
id = "first"
prompt = {script('run = "touch ROOT/began; while ! test -e ROOT/go; do sleep 0.02; done"', append("f", "first"))}
[[task.check]]
file = "f"
[[task]]
id = "second"
needs = ["first"]
prompt = {script(append("f", "second"))}
"""
LIMIT = f"""
[[task]]
id = "a"
agent = "scripted"
prompt = {script('limit = { reset_in = "1h" }' + chr(10) + "attempt = 1", append("f", "a"))}
"""
WALL = f"""
[limits]
wall = "500ms"
[[task]]
id = "a"
agent = "scripted"
prompt = {script('sleep = "60s"' + chr(10) + "attempt = 1", append("f", "a"))}
"""


def _began(box: Box, plan: str = TWO) -> str:
    session = box.start(plan.replace("ROOT", str(box.root)))
    box.until((box.root / "began").exists, "the first task is at work")
    return session


def test_a_drain_lets_live_attempts_finish_and_starts_no_more(box: Box) -> None:
    """The attempt ends by itself, is checked and becomes a checkpoint; then the session is halted, and `resume` does the rest."""
    session = _began(box)
    draining = box.ctl_process("halt", session, "--drain")
    box.until(lambda: "request.halt" in box.kinds(session), "the request is on record")
    assert box.status(session)["state"] == "running"
    assert any("live attempts" in r["text"] for r in box.ctl("why", session, "--json").json["reasons"])
    (box.root / "go").touch()
    draining.communicate(timeout=20)
    assert draining.returncode == 0
    status = box.status(session)
    assert (status["state"], [t["state"] for t in status["tasks"]]) == ("halted", ["done", "ready"])
    assert status["branch"] is None
    assert box.ctl("tail", session, "--exit-code").code == 130
    assert box.ctl("resume", session, "--follow").code == 0
    assert [t["attempts"] for t in box.status(session)["tasks"]] == [1, 1]


def test_a_halt_overrules_a_drain_and_an_abort_overrules_both(box: Box) -> None:
    """Whoever waits for a drain is told when another halt or an abort comes first."""
    session = _began(box)
    draining = box.ctl_process("halt", session, "--drain")
    box.until(lambda: "request.halt" in box.kinds(session), "the request is on record")
    assert box.ctl("halt", session).code == 0
    draining.communicate(timeout=20)
    assert draining.returncode == 0
    status = box.status(session)
    assert (status["state"], status["tasks"][0]["state"]) == ("halted", "ready")
    assert box.ctl("halt", session, "--drain").code == 0, "it is halted already"
    assert box.ctl("abort", session).code == 0
    assert box.status(session)["state"] == "aborted"


def test_a_waiting_session_is_halted_and_its_timer_does_not_wake_it(box: Box) -> None:
    """A halt keeps a session that waits for a vendor; `resume` goes back to waiting, and `abort` ends it there."""
    session = box.start(LIMIT)
    due = box.wait(session, "waiting")["due_at"]
    assert box.ctl("halt", session).code == 0
    halted = box.status(session)
    assert halted["state"] == "halted"
    assert box.ctl("halt", session).code == 0
    box.kill_daemon()
    box.daemon_up()
    assert box.status(session)["state"] == "halted", "only a user lets it go on"
    resumed = box.ctl("resume", session, "--json")
    assert (resumed.code, resumed.json["state"], resumed.json["due_at"]) == (0, "waiting", due)
    assert box.ctl("abort", session, "--json").json["state"] == "aborted"
    assert box.ctl("resume", session, "--now").code == 2
    assert box.status(session)["due_at"] is None


def test_a_held_session_is_halted_and_asks_again_when_it_goes_on(box: Box) -> None:
    """A question outlives a halt; answering it does not un-halt; `abort` needs no answer."""
    session = box.start(WALL)
    box.wait(session, "held")
    assert box.ctl("halt", session).code == 0
    assert box.status(session)["state"] == "halted"
    assert box.ctl("resume", session).code == 0
    assert box.status(session)["state"] == "held"
    assert box.ctl("halt", session).code == 0
    assert box.ctl("answer", session, "yes", "--json").json["state"] == "halted"
    assert box.ctl("resume", session, "--follow").code == 0
    other = box.start(WALL)
    box.wait(other, "held")
    assert box.ctl("abort", other).code == 0
    assert box.status(other)["state"] == "aborted"
    assert box.ctl("answer", other, "yes").code == 64


def test_what_comes_after_the_end_changes_nothing(box: Box) -> None:
    """A quarantined session can be aborted, delivers nothing that was not verified, and nothing revives it."""
    session = _began(box, TWO + f'[[task]]\nid = "quick"\nprompt = {script(append("q", "q"))}\n')
    box.until(lambda: box.task(session, "quick")["state"] == "done", "there is a checkpoint")
    assert box.ctl("halt", session).code == 0
    box.git("update-ref", f"refs/marathon/{session}/tip", "HEAD")
    assert box.ctl("resume", session).code == 2
    assert box.status(session)["state"] == "quarantined"
    branches = box.git("branch", "--list")
    assert box.ctl("abort", session).code == 0
    status = box.status(session)
    assert (status["state"], status["branch"]) == ("aborted", None)
    assert box.git("branch", "--list") == branches
    before = len(box.entries(session))
    end = time.monotonic() + 0.5
    box.until(lambda: time.monotonic() > end, "nothing more comes")
    assert len(box.entries(session)) == before
    for words in (
        ("resume", session),
        ("retry", session),
        ("amend", session, "--wall", "1h"),
        ("answer", session, "yes"),
    ):
        assert box.ctl(*words).code in (2, 64), words
