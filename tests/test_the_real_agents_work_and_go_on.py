"""The real Claude Code and the real Codex, started as their profiles say, against a model API on loopback."""

import json
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from marathond.agents import launch
from marathond.domain.entries import Usage
from tests.support.agent_runs import AGENTS, Workshop, until
from tests.support.clis import AGENTS as PINS
from tests.support.clis import search_path
from tests.support.model_api import ModelApi
from tests.support.model_steps import Say, Shell, Write, claude_quota, codex_quota, overloaded

pytestmark = pytest.mark.real_agent
BOTH = pytest.mark.parametrize("agent", ["claude", "codex"])


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Workshop]:
    """A repository, a home and a model API of the test's own."""
    with ModelApi() as api:
        yield Workshop(tmp_path / "shop", api)


@BOTH
def test_an_agent_does_its_work(shop: Workshop, agent: str) -> None:
    """Tool calls write files and run commands in the workspace; outcome, text, thread and tokens are those of the run."""
    run = shop.start(agent, [Write("docs/a.txt", "hello\n"), Shell("cat docs/a.txt > b.txt"), Say("All done.")])
    concluded = run.finish()
    assert (concluded.outcome, concluded.text) == ("ok", "All done.")
    assert (shop.repo / "docs/a.txt").read_text() == (shop.repo / "b.txt").read_text() == "hello\n"
    assert run.script.requests == 3
    assert (concluded.usage.input_tokens, concluded.usage.output_tokens) == run.script.claimed
    if run.launch.thread_known:
        assert concluded.thread == run.launch.thread
    assert concluded.thread is not None
    assert not [path for path in shop.home.rglob("*") if path.name == "a.txt"]


@BOTH
def test_an_agent_killed_in_a_tool_call_goes_on_in_its_thread(shop: Workshop, agent: str) -> None:
    """After SIGKILL the thread can be resumed: what was said before is there, and so is the word that it was interrupted."""
    killed = shop.start(
        agent, [Write("a.txt", "one\n"), Shell("touch started; sleep 60")], prompt="Remember the heron."
    )
    until((shop.repo / "started").exists)
    killed.kill(signal.SIGKILL)
    first = killed.conclude()
    assert (first.outcome, first.usage) == ("crashed", Usage())
    assert first.thread is not None

    resumed = shop.start(agent, [Say("Finished.")], mode="continue", thread=first.thread, attempt=2)
    second = resumed.finish()
    assert (second.outcome, second.text, second.thread) == ("ok", "Finished.", first.thread)
    asked = json.dumps(resumed.script.bodies[0])
    assert "Remember the heron." in asked
    assert AGENTS.get(agent).resume_prompt in asked


def test_claude_states_a_subscribers_quota_and_its_reset(shop: Workshop) -> None:
    """A spent window ends the run at once, without retries inside, and its reset is known to the second."""
    reset = int(time.time()) + 5400
    run = shop.start("claude", [claude_quota(reset)] * 3, oauth=True)
    concluded = run.finish()
    assert (concluded.outcome, concluded.reset) == ("quota", reset * 1_000_000)
    assert run.script.requests == 1


def test_codex_states_a_quota_and_its_reset(shop: Workshop) -> None:
    """A spent plan ends the run at once; its reset is a text in local time, rounded to the minute."""
    reset = int(time.time()) + 5400
    run = shop.start("codex", [codex_quota(reset)] * 3)
    concluded = run.finish()
    assert concluded.outcome == "quota"
    assert concluded.reset is not None
    assert 0 <= concluded.reset / 1_000_000 - reset <= 60


def test_claude_leaves_waiting_to_us(shop: Workshop) -> None:
    """An overloaded API is retried once inside and no more, as the profile says, and comes out as overloaded."""
    run = shop.start("claude", [overloaded()] * 15)
    assert run.finish().outcome == "overloaded"
    assert run.script.requests == 2


def test_claude_cannot_skip_permissions_as_root(shop: Workshop) -> None:
    """Why the profile has other flags for root: with the usual ones it ends at once, with one line and no event."""
    if os.geteuid() != 0:
        assert shop.run("claude", [Say("As usual.")]).outcome == "ok"
        return
    concluded = shop.run("claude", [Say("Never said.")], as_root=False)
    assert concluded.outcome == "error"
    assert "root" in concluded.error


def test_each_agent_tells_the_version_that_is_pinned() -> None:
    """The programs that are driven are those that `package.json` pins."""
    pins = json.loads((PINS / "package.json").read_text())["dependencies"]
    env = {"PATH": search_path("claude", "codex"), "HOME": "/nonexistent"}
    for agent, package in (("claude", "@anthropic-ai/claude-code"), ("codex", "@openai/codex")):
        assert pins[package] in (launch.read_version(AGENTS.get(agent), env) or "")
