"""The session's tip is moved by the daemon alone: when somebody else has moved it, work stops and a person must look."""

from pathlib import Path

from tests.support.box import Box, append, script

PLAN = f"""
name = "tip"
[defaults]
agent = "scripted"
[[task]]
id = "first"
prompt = {script(append("log", "one"))}
[[task]]
id = "second"
needs = ["first"]
prompt = {script('run = "while [ ! -e ../../../../go ]; do sleep 0.05; done"', append("log", "two"))}
"""


def test_a_tip_that_was_moved_under_a_running_session_quarantines_it(tmp_path: Path) -> None:
    """The next checkpoint is not forced onto a foreign tip, nor tried for ever: the gate's point 5 says what is wrong, exit 2."""
    with Box(tmp_path) as box:
        session = box.start(PLAN)
        box.until(lambda: box.running(session, "second"), "the second task runs")
        ref = f"refs/marathon/{session}/tip"
        box.git("update-ref", ref, "HEAD")
        foreign = box.git("rev-parse", ref)
        (tmp_path / "go").touch()
        box.wait(session, "quarantined")
        assert box.kinds(session)[-2:] == ["gate.refused", "run.ended"]
        assert box.git("rev-parse", ref) == foreign
        refused = box.ctl("resume", session, "--json")
        assert refused.code == 2, refused
        assert {p["point"]: p["verdict"] for p in refused.json["gate"]}[5] == "fail"
        assert box.ctl("halt", session).code == 0, "a halt of a quarantined session comes to an end"
        assert box.ctl("abort", session).code == 0
