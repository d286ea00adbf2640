"""A profile that is removed or spoiled while its agent works: the attempt can be stopped, and its end is recorded."""

from pathlib import Path
from typing import Any

import pytest

from tests.support.box import Box

AGENT = """#!/bin/sh
echo "the word is $MINE_TOKEN, the work has begun"
while ! test -e {root}/go; do sleep 0.05; done
"""
PLAN = """
[[task]]
id = "a"
agent = "mine"
prompt = "work"
attempts = 1
"""


def _begun(box: Box) -> str:
    program = box.root / "mine"
    program.write_text(AGENT.format(root=box.root))
    program.chmod(0o755)
    _profile(box).parent.mkdir()
    _profile(box).write_text(f'extends = "command"\ncommand = ["{program}"]\npass_env = ["MINE_TOKEN"]\n')
    session = box.start(PLAN)
    box.until(lambda: box.running(session, "a"), "the attempt runs")
    output = box.state / "attempts" / session / "a" / "1" / "output"
    box.until(lambda: output.exists() and "begun" in output.read_text(), "the agent has spoken")
    return session


def _profile(box: Box) -> Path:
    return box.config / "agents" / "mine.toml"


def _end(box: Box, session: str) -> dict[str, Any]:
    ends = [entry["body"] for entry in box.entries(session) if entry["kind"] == "attempt.finished"]
    assert len(ends) == 1
    return dict(ends[0])


@pytest.mark.parametrize("verb", ["halt", "abort"])
def test_it_can_be_stopped(box: Box, verb: str) -> None:
    """Halt and abort end the process of an attempt whose profile is gone, and they are answered."""
    session = _begun(box)
    _profile(box).unlink()
    assert box.ctl(verb, session, timeout=20).code == 0
    end = _end(box, session)
    assert end["outcome"] == "interrupted"
    assert end["transcript"]
    assert box.status(session)["state"] == {"halt": "halted", "abort": "aborted"}[verb]


def test_its_end_is_recorded(box: Box) -> None:
    """An attempt that ends under a spoiled profile, after another daemon has adopted it, fails with what is wrong with that profile."""
    session = _begun(box)
    box.kill_daemon()
    _profile(box).write_text("colour = 3\n")
    box.daemon_up()
    box.until(lambda: "attempt.adopted" in box.kinds(session), "the attempt is adopted", 20)
    (box.root / "go").touch()
    assert box.wait(session, "failed", "done", seconds=20)["state"] == "failed"
    end = _end(box, session)
    assert end["outcome"] == "error"
    assert "profile is wrong" in end["error"]
    assert "colour" in end["error"]
    assert "begun" in box.ctl("logs", session, "a").out
