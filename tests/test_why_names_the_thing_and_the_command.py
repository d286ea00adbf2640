"""`why` names exactly what keeps a session or a task from going on, and the command that would help."""

from typing import Any

from tests.support.box import Box, append, script

HANG = f"""
[defaults]
agent = "scripted"
[[task]]
id = "a"
prompt = {script("hang = true")}
"""


def _why(box: Box, session: str, *task: str) -> list[dict[str, Any]]:
    result = box.ctl("why", session, *task, "--json")
    assert result.code == 0, result
    return list(result.json["reasons"])


def _one(box: Box, session: str, kind: str, *task: str) -> dict[str, Any]:
    found = [r for r in _why(box, session, *task) if r["kind"] == kind]
    assert len(found) == 1, _why(box, session, *task)
    return found[0]


def test_a_task_that_waits_for_others_for_room_and_for_a_slot(box: Box) -> None:
    """A dependency names the tasks, the contract's width its number, the machine's slots and an agent's limit theirs."""
    (box.config / "config.toml").write_text("slots = 2\n[agents.scripted]\nmax_concurrent = 1\n")
    narrow = box.start(
        f"""
[limits]
parallel = 1
[defaults]
agent = "scripted"
[[task]]
id = "a"
prompt = {script("hang = true")}
[[task]]
id = "b"
prompt = {script("hang = true")}
[[task]]
id = "c"
needs = ["a", "b"]
run = "true"
"""
    )
    box.until(lambda: box.running(narrow, "a"), "the first task hangs")
    assert _one(box, narrow, "dependency", "c")["text"] == "needs a, b"
    assert "1 task" in _one(box, narrow, "slot", "b")["text"]
    assert f"marathonctl amend {narrow} --parallel" in _one(box, narrow, "slot", "b")["command"]
    assert _one(box, narrow, "running", "a")["command"] == f"marathonctl logs -f {narrow} a"
    second = box.start(HANG)
    box.until(lambda: _why(box, second), "it wants a slot")
    agent = _one(box, second, "slot")
    assert "scripted" in agent["text"]
    assert "1" in agent["text"]
    command = box.start('[[task]]\nid = "a"\nrun = "sleep 60"\n')
    box.until(lambda: box.running(command, "a"), "the command runs")
    third = box.start('[[task]]\nid = "a"\nrun = "true"\n')
    box.until(lambda: _why(box, third), "it wants a slot")
    slot = _one(box, third, "slot")
    assert "all 2 slots" in slot["text"]
    assert narrow in slot["text"], "who has them is said"
    assert command in slot["text"]
    for session in (third, second, command, narrow):
        assert box.ctl("abort", session).code == 0
    assert _why(box, narrow)[0]["kind"] == "ended"


def test_a_session_that_waits_for_the_users_checkout(box: Box) -> None:
    """Two sessions with isolation none: the second one names the first, whose lease on the checkout it waits for."""
    plan = HANG + '[workspace]\nrepo = "repo"\nisolation = "none"\n'
    first = box.start(plan)
    box.until(lambda: box.running(first, "a"), "the first session works in the checkout")
    second = box.start(plan.replace("hang = true", 'write = { path = "f", text = "second" }'))
    box.until(lambda: any(r["kind"] == "lock" for r in _why(box, second)), "it waits", more=lambda: _why(box, second))
    lock = _one(box, second, "lock")
    assert first in lock["text"]
    assert str(box.repo) in lock["text"]
    assert first in lock["command"]
    assert box.status(second)["tasks"][0]["state"] != "failed", "waiting costs no attempt"
    assert box.ctl("abort", first).code == 0
    assert box.wait(second, "done", "failed")["state"] == "done"


def test_a_timer_a_question_a_gate_point_and_an_end(box: Box) -> None:
    """A backoff names its time, a question its answer, a refused gate its point, a failure its task; each with its command."""
    flaky = box.start('[[task]]\nid = "a"\nrun = "exit 7"\n[defaults]\nattempts = 2\n')
    due = box.wait(flaky, "waiting")["due_at"]
    timer = _one(box, flaky, "timer")
    assert "exited 7" in timer["text"]
    assert "exit code" not in timer["text"], "it is said once"
    assert (timer["due_at"], timer["command"]) == (due, f"marathonctl resume {flaky}")
    assert box.ctl("resume", flaky).code == 0
    box.wait(flaky, "failed")
    whole, part = (r for r in _why(box, flaky) if r["kind"] == "ended")
    assert whole["command"] == f"marathonctl retry {flaky}"
    assert (part["task"], part["command"]) == ("a", f"marathonctl retry {flaky} a")
    assert "exited 7" in part["text"]
    two = f'{HANG}[[task]]\nid = "b"\nprompt = {script(append("f", "b"))}\n[limits]\nparallel = 2\n'
    session = box.start(two)
    box.until(lambda: box.task(session, "b")["state"] == "done", "there is a checkpoint")
    box.until(lambda: box.running(session, "a"), "the other one hangs")
    assert box.ctl("amend", session, "--wall", "1ms").code == 0
    box.wait(session, "held")
    asked = _one(box, session, "question")
    assert asked["command"] == f"marathonctl answer {session} yes|no (or marathonctl amend {session} --wall …)"
    assert box.ctl("halt", session).code == 0
    assert _one(box, session, "user")["command"] == f"marathonctl resume {session}"
    box.git("update-ref", f"refs/marathon/{session}/tip", "HEAD")
    assert box.ctl("resume", session).code == 2
    gate = _one(box, session, "gate")
    assert "point 5" in gate["text"]
    assert f"refs/marathon/{session}/tip" in gate["text"]
    assert f"--from {session}" in gate["command"] or f"marathonctl resume {session}" in gate["command"]
    text = box.ctl("why", session)
    assert "quarantined" in text.out
    assert gate["command"] in text.out
