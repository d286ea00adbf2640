"""What is given back at a session's end and a user's retry right after it do not get into each other's way."""

import os
import shutil
from pathlib import Path

import pytest

from tests.support.box import Box, script, write

pytestmark = pytest.mark.timeout(60)

SLOW_GIT = """#!/bin/sh
case "$*" in *"worktree remove"*) sleep 2 ;; esac
exec {git} "$@"
"""


def test_a_retry_during_the_tidying_keeps_its_workspace_and_its_environment(tmp_path: Path) -> None:
    """While the worktrees of a failed session are being removed it is retried: the attempt has folder and values to the end."""
    shims = tmp_path / "shims"
    shims.mkdir()
    (shims / "git").write_text(SLOW_GIT.format(git=shutil.which("git")))
    (shims / "git").chmod(0o755)
    again = script("exit = 1\nattempt = 1", 'sleep = "4s"', 'run = "test \\"$MY_SETTING\\" = kept"', write("b", "x"))
    plan = f"""
[defaults]
agent = "scripted"
attempts = 1
env = ["MY_SETTING"]
[[task]]
id = "a"
prompt = {script(write("a", "x"))}
[[task]]
id = "b"
needs = ["a"]
prompt = {again}
"""
    with Box(tmp_path, {"PATH": f"{shims}:{os.environ['PATH']}", "MY_SETTING": "kept"}) as box:
        session = box.start(plan)
        box.wait(session, "failed")
        assert box.ctl("retry", session).code == 0
        assert box.wait(session, "done", "failed")["state"] == "done", box.ctl("tail", session, "--no-follow")
        box.until(lambda: not (box.state / "env" / f"{session}.json").exists(), "its values are forgotten")
