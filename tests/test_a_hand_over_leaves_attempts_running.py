"""SIGTERM and kill -9 of the daemon: attempts run on, the next daemon adopts them, and followers go on without gap or repeat."""

import json
import os
import signal
import time
from pathlib import Path

from tests.support.box import Box, append, script

STEPS = 12
COUNT = f'run = "for i in $(seq {STEPS}); do echo tick $i; sleep 0.25; done"'
PLAN = f"""
[defaults]
agent = "scripted"
[[task]]
id = "count"
prompt = {script(COUNT, append("log", "counted"))}
[[task.check]]
file = "log"
"""
TICKS = [f"tick {i}" for i in range(1, STEPS + 1)]


def test_a_hand_over_is_quick_and_the_next_daemon_adopts(box: Box) -> None:
    """SIGTERM: exit 0 within two seconds, the attempt lives on, its run ends as handed over, and the next daemon's run adopts it."""
    session = box.start(PLAN)
    box.until(lambda: box.running(session, "count"), "the attempt runs")
    start = time.monotonic()
    assert box.stop_daemon() == 0
    assert time.monotonic() - start < 2.5
    box.daemon_up()
    assert box.wait(session, "done", "failed")["state"] == "done"
    entries = box.entries(session)
    ends = [e["body"]["reason"] for e in entries if e["kind"] == "run.ended"]
    assert ends == ["handover", "done"]
    adopted = [e["body"] for e in entries if e["kind"] == "attempt.adopted"]
    assert [(a["task"], a["attempt"], a["run"]) for a in adopted] == [("count", 1, f"{session}.2")]
    assert box.task(session, "count")["attempts"] == 1
    system = [e["kind"] for e in box.entries() if e["stream"] == "system"]
    assert system.count("daemon.started") == 2
    assert system.count("daemon.stopped") == 1


def test_run_tail_and_logs_go_on_across_daemons(box: Box) -> None:
    """`run` starts the next daemon itself when its own is killed; `tail` and `logs -f` go on where they were."""
    box.write_plan(PLAN)
    run = box.ctl_process("run", str(box.root / "plan.toml"))
    box.until(lambda: box.ctl("list", "--json").code == 0 and box.ctl("list", "--json").json["sessions"], "a session")
    session = box.ctl("list", "--json").json["sessions"][0]["session_id"]
    tail = box.ctl_process("tail", session, "--json", "--exit-code")
    logs = box.ctl_process("logs", "-f", session, "count")
    for number in (signal.SIGKILL, signal.SIGTERM):
        box.until(lambda: box.running(session, "count"), "the attempt runs")
        pid = int(box.places.lock.read_text())
        time.sleep(0.5)
        os.kill(pid, number)
        box.until(lambda pid=pid: int(box.places.lock.read_text() or 0) != pid, "run has started the next daemon")
        box.until(lambda: box.ctl("daemon", "info", "--json").code == 0, "it answers")
    out, err = run.communicate(timeout=40)
    assert run.returncode == 0, (out, err)
    entries = [json.loads(line) for line in tail.communicate(timeout=20)[0].splitlines()]
    assert tail.returncode == 0
    assert [e["n"] for e in entries] == list(range(1, len(entries) + 1))
    assert entries[-1]["kind"] in ("session.completed", "run.ended")
    said = logs.communicate(timeout=20)[0]
    assert [line.strip() for line in said.splitlines() if "tick" in line and "seq" not in line] == TICKS, said
    assert box.task(session, "count")["attempts"] == 1


def test_run_without_spawning_waits_for_somebody_elses_daemon(box: Box) -> None:
    """With `--no-spawn`, a `run` whose daemon is killed starts none, and follows to the end under the one that comes."""
    box.daemon_up()
    run = box.ctl_process("run", "--no-spawn", str(box.write_plan(PLAN)))
    box.until(lambda: box.ctl("list", "--json").json["sessions"], "a session")
    session = box.ctl("list", "--json").json["sessions"][0]["session_id"]
    box.until(lambda: box.running(session, "count"), "the attempt runs")
    box.kill_daemon()
    assert run.stderr is not None
    assert "daemon is gone" in run.stderr.readline()
    assert box.ctl("daemon", "info").code == 69
    box.daemon_up()
    out, err = run.communicate(timeout=40)
    assert run.returncode == 0, (out, err)
    assert box.task(session, "count")["attempts"] == 1


def test_a_tail_that_does_not_follow_does_not_wait(box: Box) -> None:
    """`tail --no-follow` exits 69 when its daemon goes away in the middle, instead of waiting for another."""
    session = box.start(PLAN)
    assert box.daemon is not None
    os.kill(box.daemon.pid, signal.SIGSTOP)
    tail = box.ctl_process("tail", session, "--no-follow")
    box.until(lambda: _connected(tail.pid), "the client has asked")
    box.kill_daemon()
    assert tail.wait(timeout=10) == 69
    tail.communicate()


def _connected(pid: int) -> bool:
    """Whether a process has a socket open."""
    links = []
    for entry in Path(f"/proc/{pid}/fd").glob("*"):
        try:
            links.append(os.readlink(entry))
        except OSError:
            continue
    return any(link.startswith("socket:") for link in links)
