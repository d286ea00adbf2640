"""After the machine went down: sessions go on by themselves, or ask first where the user wants that."""

import os
import signal

from tests.support.box import Box, append, script

PLAN = f"""
[defaults]
agent = "scripted"
[[task]]
id = "first"
prompt = {script(append("f", "first"))}
[[task]]
id = "second"
needs = ["first"]
prompt = {script("hang = true" + chr(10) + "attempt = 1", append("f", "second"))}
"""

ANOTHER_BOOT = """
import sys
from marathond.__main__ import main
from marathond.engine.service import open_services
sys.exit(main(["--foreground"], build=lambda setting: open_services(*setting, boot=sys.argv[1])))
"""


def _started(box: Box) -> str:
    session = box.start(PLAN)
    box.until(lambda: box.running(session, "second"), "the second task hangs")
    return session


def _reboot(box: Box, session: str, boot: str) -> None:
    """The daemon and the attempt die at once, and the next daemon finds another boot of the machine."""
    pids = [e["body"]["pid"] for e in box.entries(session) if e["kind"] == "attempt.started"]
    box.kill_daemon()
    os.kill(pids[-1], signal.SIGKILL)
    box.daemon_from(ANOTHER_BOOT, boot)


def test_by_default_a_session_goes_on_and_that_is_announced(box: Box) -> None:
    """The attempt is lost, which costs nothing; the session goes on in a new run of its own and the log says so."""
    session = _started(box)
    _reboot(box, session, "boot-2")
    status = box.wait(session, "done", "failed", "held")
    assert status["state"] == "done", status
    assert [t["attempts"] for t in status["tasks"]] == [1, 2]
    runs = [e["body"] for e in box.entries(session) if e["kind"] == "run.started"]
    assert [r["reason"] for r in runs] == ["start", "boot"]
    assert runs[1]["boot_id"] == "boot-2"
    assert f"session {session}" in box.log
    assert "goes on after the reboot" in box.log


def test_under_ask_nothing_is_executed_before_a_person_says_yes(box: Box) -> None:
    """`on_boot = "ask"` holds each unfinished session, once per boot: exit 5, and *yes* lets it go on."""
    (box.config / "config.toml").write_text('on_boot = "ask"\n')
    session = _started(box)
    _reboot(box, session, "boot-2")
    status = box.wait(session, "held", "done", "failed")
    assert status["state"] == "held", status
    assert box.ctl("tail", session, "--exit-code").code == 5
    reasons = box.ctl("why", session, "--json").json["reasons"]
    asked = [r for r in reasons if r["kind"] == "question"]
    assert "restarted" in asked[0]["text"]
    assert asked[0]["command"] == f"marathonctl answer {session} yes|no"
    box.kill_daemon()
    box.daemon_up()
    assert box.wait(session, "held")["tasks"][1]["attempts"] == 1, "also under the next daemon nothing was started"
    assert box.kinds(session).count("question.asked") == 1
    assert box.ctl("answer", session, "yes").code == 0
    assert box.wait(session, "done", "failed", "held")["state"] == "done"
    assert box.kinds(session).count("question.asked") == 1
