"""Lost attempts go again at once; timeouts and silence end an attempt, whether or not a daemon lives."""

import json
import os
import signal
from pathlib import Path
from typing import Any

from tests.support.box import Box, append, script


def _start_file(box: Box, session: str, task: str, attempt: int) -> Path:
    return box.state / "attempts" / session / task / str(attempt) / "start.json"


def _supervisor(box: Box, session: str, task: str, attempt: int) -> int:
    path = _start_file(box, session, task, attempt)
    box.until(path.exists, "the supervisor has started")
    return int(json.loads(path.read_text())["pid"])


def _bodies(box: Box, session: str, kind: str) -> list[dict[str, Any]]:
    return [e["body"] for e in box.entries(session) if e["kind"] == kind]


def test_a_lost_attempt_goes_again_at_once(box: Box) -> None:
    """kill -9 of the supervisor: lost, its agent's processes are gone, the next attempt follows without a pause and none is counted."""
    first = 'run = "setsid sleep 300 & sleep 301"\nattempt = 1'
    session = box.start(
        f"""
[defaults]
agent = "scripted"
attempts = 1
[[task]]
id = "a"
prompt = {script(append("f", "kept"), first, append("g", "second"))}
[[task.check]]
run = "test $(wc -l < f) = 2"
"""
    )
    box.until(lambda: sum("sleep" in p for p in box.processes(session)) >= 2, "the agent is at work")
    os.kill(_supervisor(box, session, "a", 1), signal.SIGKILL)
    status = box.wait(session, "done", "failed", "held")
    assert status["state"] == "done", box.ctl("tail", session, "--no-follow").out
    assert not any("sleep" in p for p in box.processes(session))
    assert [b["attempt"] for b in _bodies(box, session, "attempt.lost")] == [1]
    assert _bodies(box, session, "timer.set") == []
    assert box.git("show", f"{status['branch']}:f") == "kept\nkept\n", "the tree was kept"


def test_after_a_reboot_attempts_are_lost_and_go_again(box: Box) -> None:
    """An attempt whose record is of another boot is lost, its task goes again by itself, and the session ends well."""
    session = box.start(
        f"""
[defaults]
agent = "scripted"
attempts = 1
[[task]]
id = "a"
prompt = {script("hang = true" + chr(10) + "attempt = 1", append("f", "done"))}
[[task.check]]
file = "f"
"""
    )
    pid = _supervisor(box, session, "a", 1)
    box.until(lambda: box.running(session, "a"), "the attempt runs")
    box.kill_daemon()
    os.kill(pid, signal.SIGKILL)
    path = _start_file(box, session, "a", 1)
    path.write_text(json.dumps({**json.loads(path.read_text()), "boot_id": "another boot", "pid": os.getpid()}))
    box.daemon_up()
    assert box.wait(session, "done", "failed", "held")["state"] == "done"
    assert [b["why"] for b in _bodies(box, session, "attempt.lost")] == ["the machine was restarted"]
    assert box.task(session, "a")["attempts"] == 2


def test_bounds_hold_also_while_no_daemon_lives(box: Box) -> None:
    """Timeout and silence end attempts by themselves and count as failures; a check has its timeout."""
    session = box.start(
        f"""
[limits]
parallel = 4
[defaults]
agent = "scripted"
attempts = 1
[[task]]
id = "slow"
timeout = "1500ms"
prompt = {script('run = "while :; do echo still here; sleep 0.1; done"')}
[[task]]
id = "silent"
idle = "1500ms"
prompt = {script("hang = true")}
[[task]]
id = "checked"
prompt = {script(append("f", "done"))}
[[task.check]]
run = "sleep 300"
timeout = "1s"
"""
    )
    box.until(lambda: box.running(session, "slow") and box.running(session, "silent"), "both run")
    box.kill_daemon()
    for task in ("slow", "silent"):
        box.until(
            (_start_file(box, session, task, 1).parent / "exit.json").exists, f"{task} was ended by its supervisor"
        )
    box.daemon_up()
    status = box.wait(session, "done", "failed", "held")
    assert status["state"] == "failed"
    reasons = {t["id"]: t["reason"] for t in status["tasks"]}
    assert "longer than its timeout" in reasons["slow"]
    assert "idle" in reasons["silent"]
    assert "did not end within 1 s" in reasons["checked"]
    assert {b["task"]: b["outcome"] for b in _bodies(box, session, "attempt.finished")} == {
        "slow": "timeout", "silent": "idle", "checked": "ok",
    }  # fmt: skip
    assert box.processes(session) == []
