"""quota: a session waits for the stated reset, costs no attempt, and wakes by itself, whatever happens to the daemon."""

import time
from datetime import datetime
from typing import Any

from tests.support.box import Box, append, script

RESET = "5s"
"""Long enough for three commands of a user on a busy machine, which all must come before it is over."""


def _limited(reset: str = RESET, task: str = "a") -> str:
    """A task that meets a limit in its first attempt; a second one would be one too many if the limit cost it."""
    limit = f'limit = {{ reset_in = "{reset}" }}\nattempt = 1'
    return f"""
[[task]]
id = "{task}"
agent = "scripted"
attempts = 1
prompt = {script(append("f", "before"), limit, append("f", "after"))}
"""


PLAIN = f'[[task]]\nid = "b"\nagent = "scripted"\nprompt = {script(append("g", "other"))}\n'


def _us(text: str) -> int:
    return int(datetime.fromisoformat(text).timestamp() * 1_000_000)


def _of(box: Box, kind: str, session: str | None = None) -> list[dict[str, Any]]:
    return [e for e in box.entries(session) if e["kind"] == kind]


def test_a_session_wakes_at_the_stated_reset_and_so_do_others_of_the_pool(box: Box) -> None:
    """The limit costs no attempt; the pool is shut for every session until its reset, and each then wakes exactly once."""
    session = box.start(_limited())
    status = box.wait(session, "waiting")
    due = _us(status["due_at"])
    assert status["reasons"][0]["kind"] == "quota"
    assert status["run_id"] is None
    limited = _of(box, "pool.limited")
    assert [(e["body"]["pool"], e["body"]["stated"], e["body"]["until"]) for e in limited] == [("scripted", True, due)]
    other = box.start(PLAIN)
    shut = box.wait(other, "waiting")
    assert shut["due_at"] == status["due_at"]
    assert shut["tasks"][0]["attempts"] == 0, "nothing is sent to a pool that is shut"
    left_alone = box.ctl("resume", session, "--json")
    assert (left_alone.code, left_alone.json["state"], left_alone.json["due_at"]) == (0, "waiting", status["due_at"])
    assert box.wait(session, "done", "failed")["state"] == "done"
    assert box.wait(other, "done", "failed")["state"] == "done"
    for name in (session, other):
        fired = _of(box, "timer.fired", name)
        assert len(fired) == 1
        assert _us(fired[0]["at"]) >= due
    modes = [e["body"]["mode"] for e in _of(box, "attempt.intended", session)]
    assert modes == ["fresh", "continue"]
    assert len(_of(box, "pool.opened")) == 1
    branch = box.status(session)["branch"]
    assert box.git("show", f"{branch}:f") == "before\nbefore\nafter\n", "the tree was kept"


def test_a_daemon_that_comes_early_or_late_wakes_it_in_time(box: Box) -> None:
    """Killed and started after the due time: it goes on at once. Stopped and started before it: not a moment too early."""
    late = box.start(_limited("500ms"))
    due = _us(box.wait(late, "waiting")["due_at"])
    box.kill_daemon()
    box.until(lambda: time.time_ns() // 1000 > due, "the due time has passed")
    box.daemon_up()
    assert box.wait(late, "done", "failed")["state"] == "done"
    early = box.start(_limited("2s"))
    due = _us(box.wait(early, "waiting")["due_at"])
    assert box.stop_daemon() == 0
    box.daemon_up()
    status = box.status(early)
    assert status["state"] == "done" or _us(status["due_at"]) == due
    assert box.wait(early, "done", "failed")["state"] == "done"
    assert [_us(e["at"]) >= due for e in _of(box, "timer.fired", early)] == [True]


def test_resume_now_does_not_wait_for_the_reset(box: Box) -> None:
    """`resume --now` opens the pool, for this session and for what comes after it."""
    session = box.start(_limited("4h"))
    box.wait(session, "waiting")
    why = box.ctl("why", session, "--json").json["reasons"]
    assert [(r["kind"], r["command"]) for r in why] == [("quota", f"marathonctl resume {session} --now")]
    assert why[0]["due_at"]
    assert box.ctl("resume", session).code == 0
    assert box.status(session)["state"] == "waiting", "without --now a quota wait is left alone"
    assert box.ctl("resume", session, "--now").code == 0
    assert box.wait(session, "done", "waiting")["state"] == "done"
    assert box.ctl("run", str(box.write_plan(PLAIN)), "--no-wait", "--json").json["state"] == "done"


def test_a_task_of_another_agent_works_on_meanwhile(box: Box) -> None:
    """A closed pool stops only those that draw on it: the session runs on, and is followed through the wait."""
    meanwhile = '[limits]\nparallel = 2\n[[task]]\nid = "c"\nrun = "sleep 0.5; echo c > c"\n'
    box.daemon_up()
    result = box.ctl("run", str(box.write_plan(_limited("1s") + meanwhile)), "--json")
    assert (result.code, result.json["state"]) == (0, "done"), result
    assert {t["id"]: t["attempts"] for t in result.json["tasks"]} == {"a": 2, "c": 1}
