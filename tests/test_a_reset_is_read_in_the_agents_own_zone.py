"""A reset that an agent writes as a local time is local to the agent, whose zone need not be the daemon's."""

import time
from pathlib import Path

import pytest

from tests.support.box import Box

pytestmark = pytest.mark.timeout(60)

PROFILE = """
extends = "command"
command = ["python3", "{agent}"]
[[limits]]
where = "final_error"
regex = "limit, resets (?P<when>.+)$"
kind = "quota"
"""
AGENT = """
import sys, time
sys.exit(time.strftime("limit, resets %I:%M %p", time.localtime(time.time() + 600)))
"""


def test_the_clients_zone_holds_for_what_its_agent_says(tmp_path: Path) -> None:
    """A client in another zone than the daemon's starts a session; its agent's "resets 11:20 PM" is understood as meant there."""
    agent = tmp_path / "agent.py"
    agent.write_text(AGENT)
    with Box(tmp_path, {"TZ": "UTC"}) as box:
        (box.config / "agents").mkdir()
        (box.config / "agents/local.toml").write_text(PROFILE.format(agent=agent))
        plan = box.write_plan('[[task]]\nid = "a"\nagent = "local"\nprompt = "x"\n')
        box.daemon_up()
        started = box.ctl("start", str(plan), "--json", env={"TZ": "Pacific/Kiritimati"})
        session = started.json["session_id"]
        box.wait(session, "waiting")
        finished = next(e["body"] for e in box.entries(session) if e["kind"] == "attempt.finished")
        assert finished["outcome"] == "quota"
        assert 400 < finished["reset"] / 1_000_000 - time.time() < 700
