"""The real Claude Code and the real Codex under the real daemon, against a model API that this test serves on loopback."""

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.box import Box
from tests.support.clis import search_path
from tests.support.model_api import ModelApi
from tests.support.model_steps import Say, Shell, Write, claude_quota

pytestmark = [pytest.mark.real_agent, pytest.mark.timeout(180)]


@pytest.fixture
def api() -> Iterator[ModelApi]:
    with ModelApi() as served:
        yield served


def _box(root: Path, api: ModelApi, *, oauth: bool = False) -> Box:
    home = root / "agent-home"
    env = {**api.codex_env(home), **api.claude_env(home, oauth=oauth), "PATH": search_path("claude", "codex")}
    box = Box(root, env)
    box.env["HOME"] = str(home)
    return box


def test_claude_works_through_three_tasks_and_waits_out_a_quota(tmp_path: Path, api: ModelApi) -> None:
    """`run --unsandboxed` with three tasks, one after a quota answer: exit 0, the branch is there, the checkout is untouched."""
    api.script([Write("one.txt", "one\n"), Say("Wrote one.")], match="TASK-ONE")
    resets = int(time.time()) + 8
    api.script([Write("two.txt", "two\n"), claude_quota(resets), Say("Wrote two.")], match="TASK-TWO")
    api.script([Shell("cat one.txt two.txt > three.txt"), Say("Joined.")], match="TASK-THREE")
    plan = """
name = "three tasks"
[defaults]
agent = "claude"
[[task]]
id = "one"
prompt = "TASK-ONE: write one.txt"
[[task.check]]
run = "grep -q one one.txt"
[[task]]
id = "two"
needs = ["one"]
prompt = "TASK-TWO: write two.txt"
[[task.check]]
file = "two.txt"
contains = "two"
[[task]]
id = "three"
needs = ["two"]
prompt = "TASK-THREE: join them. The first said: {{ task.one.text }}"
[[task.check]]
run = "test $(wc -l < three.txt) = 2"
"""
    with _box(tmp_path, api, oauth=True) as box:
        before = [box.git("status", "--porcelain"), (box.repo / ".git/index").read_bytes(), box.git("reflog")]
        box.daemon_up()
        result = box.ctl("run", str(box.write_plan(plan)), "--unsandboxed", "--json", timeout=150)
        assert result.code == 0, result
        status = box.status(box.ctl("list", "--json").json["sessions"][0]["session_id"])
        assert status["state"] == "done", status
        assert box.git("show", f"{status['branch']}:three.txt") == "one\ntwo\n"
        assert [box.git("status", "--porcelain"), (box.repo / ".git/index").read_bytes(), box.git("reflog")] == before
        kinds = box.kinds(status["session_id"])
        assert "timer.set" in kinds
        finished = [e["body"] for e in box.entries(status["session_id"]) if e["kind"] == "attempt.finished"]
        assert [f["outcome"] for f in finished] == ["ok", "quota", "ok", "ok"], finished
        assert finished[1]["thread"] == finished[2]["thread"], "it goes on in the same conversation"
        assert finished[0]["usage"]["input_tokens"] > 0
        assert box.ctl("verify").code == 0


def test_a_killed_attempt_is_continued_in_its_thread(tmp_path: Path, api: ModelApi) -> None:
    """An attempt whose supervisor is killed is lost, its leftovers are ended, and the next one resumes the conversation."""
    sleeps = tmp_path / "sleeps"
    api.script([Write("a.txt", "a\n"), Shell(f"touch {sleeps}; sleep 60"), Say("Done.")], match="TASK-A")
    plan = '[[task]]\nid = "a"\nagent = "claude"\nprompt = "TASK-A"\n[[task.check]]\nfile = "a.txt"\n'
    with _box(tmp_path, api) as box:
        session = box.start(plan, "--unsandboxed")
        box.until(sleeps.exists, "the agent has written its file and is in its next step")
        started = next(e["body"] for e in box.entries(session) if e["kind"] == "attempt.started")
        os.kill(started["pid"], signal.SIGKILL)
        status = box.wait(session, "done", "failed", seconds=90)
        assert status["state"] == "done", box.ctl("tail", session, "--no-follow")
        entries = box.entries(session)
        assert [e["kind"] for e in entries].count("attempt.lost") == 1
        intents = [e["body"] for e in entries if e["kind"] == "attempt.intended"]
        assert [i["mode"] for i in intents] == ["fresh", "continue"]
        assert box.git("show", f"{status['branch']}:a.txt") == "a\n"


def test_codex_and_claude_work_side_by_side_and_a_conflict_is_done_again(tmp_path: Path, api: ModelApi) -> None:
    """Two real agents in parallel, without and with a merge conflict: both checks hold on the final tree."""
    api.script([Shell("printf 'left\\n' > left.txt"), Say("left done")], match="TASK-LEFT")
    api.script([Shell("printf 'right\\n' > right.txt"), Say("right done")], match="TASK-RIGHT")
    clash = "if test -f f; then printf '%s\\n' >> f; else sleep 2; printf '%s\\n' > f; fi"
    api.script([Shell(clash % ("red", "red")), Say("red"), Shell(clash % ("red", "red")), Say("red")], match="TASK-RED")
    api.script(
        [Shell(clash % ("blue", "blue")), Say("blue"), Shell(clash % ("blue", "blue")), Say("blue")], match="TASK-BLUE"
    )
    plan = """
[limits]
parallel = 2
[[task]]
id = "left"
agent = "codex"
prompt = "TASK-LEFT"
[[task.check]]
file = "left.txt"
[[task]]
id = "right"
agent = "claude"
prompt = "TASK-RIGHT"
[[task.check]]
file = "right.txt"
[[task]]
id = "red"
needs = ["left", "right"]
agent = "codex"
prompt = "TASK-RED"
[[task.check]]
run = "grep -q red f"
[[task]]
id = "blue"
needs = ["left", "right"]
agent = "claude"
prompt = "TASK-BLUE"
[[task.check]]
run = "grep -q blue f"
"""
    with _box(tmp_path, api) as box:
        session = box.start(plan, "--unsandboxed")
        status = box.wait(session, "done", "failed", "waiting", seconds=120)
        assert status["state"] == "done", box.ctl("tail", session, "--no-follow")
        assert box.git("show", f"{status['branch']}:left.txt") == "left\n"
        assert box.git("show", f"{status['branch']}:right.txt") == "right\n"
        final = box.git("show", f"{status['branch']}:f").split()
        assert sorted(final) == ["blue", "red"]
        assert "candidate.conflicted" in box.kinds(session)
