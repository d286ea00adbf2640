"""SIGTERM and kill -9 of the daemon: attempts run on, the next daemon adopts them, and followers go on without gap or repeat."""

import json
import os
import signal
import time
from pathlib import Path

from marathonctl.client import Client
from marathond.domain.errors import NO_OUTPUT, MarathonError
from tests.support.box import Box, append, script

STAGE, STAGES = 4, 3
TICKS = [f"tick {i}" for i in range(1, STAGE * STAGES + 1)]


def plan(box: Box) -> str:
    """A task that counts and waits after each stage until `go_on` was called for it, so that no haste lets it end too early."""
    pause = f"[ $((i % {STAGE})) = 0 ] && while ! test -e {box.root}/go$i; do sleep 0.05; done"
    count = f'run = "for i in $(seq {len(TICKS)}); do echo tick $i; sleep 0.05; {pause}; done; true"'
    return f"""
[defaults]
agent = "scripted"
[[task]]
id = "count"
prompt = {script(count, append("log", "counted"))}
[[task.check]]
file = "log"
"""


def stage_ended(box: Box, session: str, stage: int) -> None:
    """Waits until a stage's last tick is in the output."""
    box.until(lambda: f"tick {stage * STAGE}\n" in _output(box, session), f"stage {stage} has ended")


def go_on(box: Box, *stages: int) -> None:
    """Lets the task go on after these stages."""
    for stage in stages:
        (box.root / f"go{stage * STAGE}").touch()


def first_session(box: Box) -> str:
    """Waits for the session that a client starts, and the daemon that it may have to start."""
    found: list[str] = []

    def there() -> bool:
        if box.answers():
            with Client(box.places.socket) as client:
                found.extend(s["session_id"] for s in client.call("session/list")["sessions"])
        return bool(found)

    box.until(there, "a session")
    return found[0]


def _output(box: Box, session: str) -> str:
    with Client(box.places.socket) as client:
        try:
            return str(client.call("attempt/output", session=session, task="count")["text"])
        except MarathonError as error:
            if error.kind is not NO_OUTPUT:
                raise
            return ""


def test_a_hand_over_is_quick_and_the_next_daemon_adopts(box: Box) -> None:
    """SIGTERM: exit 0 within two seconds, the attempt lives on, its run ends as handed over, and the next daemon's run adopts it."""
    session = box.start(plan(box))
    stage_ended(box, session, 1)
    start = time.monotonic()
    assert box.stop_daemon() == 0
    assert time.monotonic() - start < 2.5
    box.daemon_up()
    box.until(lambda: "attempt.adopted" in box.kinds(session), "the next daemon adopts it")
    go_on(box, 1, 2, 3)
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
    box.write_plan(plan(box))
    run = box.ctl_process("run", str(box.root / "plan.toml"))
    assert run.stderr is not None
    session = first_session(box)
    tail = box.ctl_process("tail", session, "--json", "--exit-code")
    logs = box.ctl_process("logs", "-f", session, "count")
    assert tail.stdout is not None
    assert logs.stdout is not None
    entry, said = tail.stdout.readline(), logs.stdout.readline()  # both follow before the first daemon goes
    for stage, number in enumerate((signal.SIGKILL, signal.SIGTERM), start=1):
        stage_ended(box, session, stage)
        pid = int(box.places.lock.read_text())
        os.kill(pid, number)
        go_on(box, stage)
        while "Connected again" not in (line := run.stderr.readline()):
            assert line, "run ended instead of starting the next daemon"
        assert int(box.places.lock.read_text()) != pid
    go_on(box, 3)
    out, err = run.communicate(timeout=40)
    assert run.returncode == 0, (out, err)
    entries = [json.loads(line) for line in (entry + tail.stdout.read()).splitlines()]
    tail.communicate(timeout=20)
    assert tail.returncode == 0
    assert [e["n"] for e in entries] == list(range(1, len(entries) + 1))
    assert entries[-1]["kind"] in ("session.completed", "run.ended")
    said += logs.stdout.read()
    logs.communicate(timeout=20)
    assert [line.strip() for line in said.splitlines() if "tick" in line and "seq" not in line] == TICKS, said
    assert box.task(session, "count")["attempts"] == 1


def test_run_without_spawning_waits_for_somebody_elses_daemon(box: Box) -> None:
    """With `--no-spawn`, a `run` whose daemon is killed starts none, and follows to the end under the one that comes."""
    box.daemon_up()
    run = box.ctl_process("run", "--no-spawn", str(box.write_plan(plan(box))))
    session = first_session(box)
    stage_ended(box, session, 1)
    box.kill_daemon()
    assert run.stderr is not None
    assert "daemon is gone" in run.stderr.readline()
    assert box.ctl("daemon", "info").code == 69
    box.daemon_up()
    go_on(box, 1, 2, 3)
    out, err = run.communicate(timeout=40)
    assert run.returncode == 0, (out, err)
    assert box.task(session, "count")["attempts"] == 1


def test_a_tail_that_does_not_follow_does_not_wait(box: Box) -> None:
    """`tail --no-follow` exits 69 when its daemon goes away in the middle, instead of waiting for another."""
    session = box.start(plan(box))
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
