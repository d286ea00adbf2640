"""`halt`, `abort` and Ctrl-C: durable, complete, and final where they should be."""

import signal
import time

from tests.support.box import Box, append, script

SPAWN = """run = 'setsid sleep 300 & setsid sh -c "trap : TERM; sleep 301" & echo started'"""
HANG = f"""
[defaults]
agent = "scripted"
[[task]]
id = "first"
prompt = {script(append("log", "first"))}
[[task.check]]
file = "log"
[[task]]
id = "hang"
needs = ["first"]
prompt = {script(SPAWN, "hang = true")}
"""


def _hanging(box: Box) -> str:
    session = box.start(HANG)
    box.until(lambda: any("sleep" in p for p in box.processes(session)), "the agent hangs")
    return session


def test_halt_ends_the_whole_tree_and_the_session_can_be_resumed(box: Box) -> None:
    """Within five seconds no process is left, setsid children included; `halt` again is 0; `resume` goes on with the task."""
    session = _hanging(box)
    start = time.monotonic()
    assert box.ctl("halt", session).code == 0
    assert time.monotonic() - start < 6
    assert box.processes(session) == []
    status = box.status(session)
    assert status["state"] == "halted"
    assert box.ctl("halt", session).code == 0
    assert box.ctl("resume", session).code == 0
    box.until(lambda: any("sleep" in p for p in box.processes(session)), "the agent hangs again")
    assert box.ctl("resume", session).code == 1
    assert box.task(session, "first")["attempts"] == 1
    box.ctl("abort", session)


def test_abort_ends_for_good_and_delivers_what_was_done(box: Box) -> None:
    """After `abort` no process is left, the checkpoints are a branch, nothing revives the session, and `halt` is refused with 64."""
    session = _hanging(box)
    assert box.ctl("abort", session).code == 0
    assert box.processes(session) == []
    status = box.status(session)
    assert status["state"] == "aborted"
    assert box.git("show", f"{status['branch']}:log") == "first\n"
    assert {t["id"]: t["state"] for t in status["tasks"]} == {"first": "done", "hang": "cancelled"}
    assert box.ctl("abort", session).code == 0
    assert box.ctl("halt", session).code == 64
    assert box.ctl("resume", session).code == 2


def test_interrupting_run_halts_the_session(box: Box) -> None:
    """Ctrl-C in `run` halts, exits 130 and leaves no process."""
    box.daemon_up()
    run = box.ctl_process("run", str(box.write_plan(HANG)))
    box.until(lambda: box.ctl("list", "--json").json["sessions"], "the session exists")
    session = box.ctl("list", "--json").json["sessions"][0]["session_id"]
    box.until(lambda: any("sleep" in p for p in box.processes(session)), "the agent hangs")
    run.send_signal(signal.SIGINT)
    out, err = run.communicate(timeout=20)
    assert run.returncode == 130, (out, err)
    assert box.status(session)["state"] == "halted"
    assert box.processes(session) == []


def test_daemon_stop_halt_ends_attempts_and_the_next_daemon_goes_on(box: Box) -> None:
    """`daemon stop --halt` leaves no process, and only a user's halt would keep the session from going on."""
    session = _hanging(box)
    assert box.ctl("daemon", "stop", "--halt").code == 0
    assert box.daemon is not None
    box.daemon.wait(timeout=20)
    assert box.processes(session) == []
    box.daemon_up()
    box.until(lambda: any("sleep" in p for p in box.processes(session)), "the agent hangs again")
    assert box.task(session, "hang")["attempts"] == 2
    box.ctl("abort", session)
