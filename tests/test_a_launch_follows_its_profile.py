"""From profiles to processes: arguments, input, environment, threads and consent."""

import os
import subprocess
import uuid
from pathlib import Path
from typing import Any

import msgspec
import pytest

from marathond.agents import launch, registry
from marathond.agents.launch import Launch
from marathond.agents.profile import AsRoot, Profile
from marathond.agents.readers import Conclusion, Ending, make
from marathond.domain.errors import MarathonError

AGENTS = registry.load(None)
PLAIN = Profile(name="plain", command=("tool",), start=("go",))


def build(profile: Profile, **more: Any) -> Launch:
    given = {
        "mode": "fresh",
        "prompt": "Do it.",
        "session": "abc",
        "task": "t",
        "attempt": 1,
        "cwd": "/w",
        "directory": "/d",
    }
    return launch.build(profile, **{**given, **more})


def plain(**changes: Any) -> Profile:
    return msgspec.structs.replace(PLAIN, **changes)


def test_a_chosen_thread_is_known_before_the_start() -> None:
    """The same attempt always gets the same id, another attempt another one, and each is a UUID."""
    first, again, second = (build(AGENTS.get("claude"), attempt=n) for n in (1, 1, 2))
    assert first.thread == again.thread != second.thread
    assert uuid.UUID(first.thread).version == 5
    assert first.thread_known
    assert first.argv[-2:] == ("--session-id", first.thread)
    assert launch.thread_id("a", "b", 1) != launch.thread_id("ab", "", 1)


def test_a_reported_thread_is_unknown_until_the_agent_tells() -> None:
    """For Codex there is no thread before its first event."""
    built = build(AGENTS.get("codex"))
    assert (built.thread, built.thread_known) == (None, False)


@pytest.mark.parametrize("agent", ["claude", "codex", "scripted"])
def test_continuing_resumes_the_thread(agent: str) -> None:
    """With mode `continue` and a thread, the agent resumes it and hears the continuation instead of the whole prompt."""
    profile = AGENTS.get(agent)
    built = build(profile, mode="continue", thread="T-1", continuation="Only the lint is left.")
    assert built.resumed
    assert built.thread == "T-1"
    assert "T-1" in built.argv
    assert built.stdin == b"Only the lint is left."
    assert build(profile, mode="continue", thread="T-1").stdin == profile.resume_prompt.encode()


@pytest.mark.parametrize("mode", ["fresh", "cold", "continue"])
def test_without_a_thread_a_new_one_starts_with_the_whole_prompt(mode: str) -> None:
    """A fresh or cold start, a thread that nobody knows, or an agent that cannot resume: the whole prompt is said."""
    thread = None if mode == "continue" else "T-1"
    built = build(AGENTS.get("claude"), mode=mode, thread=thread, continuation="Go on.")
    assert not built.resumed
    assert built.stdin == b"Do it."
    assert built.thread == launch.thread_id("abc", "t", 1)
    assert not build(AGENTS.get("command"), mode="continue", thread="T-1").resumed


def test_prompts_go_where_the_profile_says() -> None:
    """By stdin, as an argument (placed or last), or in a file of the attempt's folder."""
    assert build(PLAIN) == Launch(argv=("tool", "go"), stdin=b"Do it.")
    assert build(plain(prompt="argv")).argv == ("tool", "go", "Do it.")
    assert build(plain(prompt="argv", start=("-m={prompt}", "x"))).argv == ("tool", "-m=Do it.", "x")
    filed = build(plain(prompt="file"))
    assert filed.argv == ("tool", "go", "/d/prompt.md")
    assert filed.files == {"prompt.md": b"Do it."}
    assert filed.stdin is None


def test_a_command_task_is_its_shell_line() -> None:
    """The built-in `command` runs the prompt itself, as it is, with nothing on stdin."""
    built = build(AGENTS.get("command"), prompt="echo {cwd} '$HOME'")
    assert (built.argv, built.stdin) == (("/bin/sh", "-c", "echo {cwd} '$HOME'"), None)


def test_what_a_prompt_contains_is_never_filled_in() -> None:
    """Placeholders in a prompt are text; so are braces that are no placeholder."""
    assert build(plain(prompt="argv"), prompt="{cwd} {thread}").argv[-1] == "{cwd} {thread}"
    assert build(plain(start=('{"a": {}}', "{cwd}"))).argv[1:] == ('{"a": {}}', "/w")


def test_a_model_is_asked_for_or_refused() -> None:
    """Model arguments come before a `--`; a profile that has none refuses a model instead of dropping it."""
    profile = plain(model=("--model", "{model}"), prompt="argv", start=("-p", "--"))
    assert build(profile, model="big").argv == ("tool", "-p", "--model", "big", "--", "Do it.")
    assert build(AGENTS.get("codex"), model="big").argv[-2:] == ("-m", "big")
    with pytest.raises(MarathonError) as caught:
        build(PLAIN, model="big")
    assert caught.value.kind.slug == "agent_unusable"


def test_a_prompt_too_long_for_an_argument_is_refused() -> None:
    """Linux limits one argument to 128 KiB: that is told before the start, not by a failing exec."""
    fits = "x" * launch.ARGUMENT_BYTES_MAX
    assert build(plain(prompt="argv"), prompt=fits).argv[-1] == fits
    with pytest.raises(MarathonError):
        build(plain(prompt="argv"), prompt=fits + "x")
    assert build(PLAIN, prompt=fits + "x").stdin is not None


def test_root_gets_other_flags_outside_a_sandbox_only() -> None:
    """As root Claude Code refuses to skip permissions; inside a sandbox it may, and is told that it is in one."""
    claude = AGENTS.get("claude")
    skip = "--dangerously-skip-permissions"
    assert skip in build(claude).argv
    assert skip not in build(claude, as_root=True).argv
    assert skip not in build(claude, as_root=True, mode="continue", thread="T").argv
    boxed = build(claude, as_root=True, sandboxed=True)
    assert skip in boxed.argv
    assert boxed.env["IS_SANDBOX"] == "1"
    assert "IS_SANDBOX" not in build(claude, as_root=True).env


def test_agents_that_act_without_asking_need_consent() -> None:
    """Claude Code and Codex need the user's consent outside a sandbox, also as root; scripts and commands do not."""
    for as_root in (False, True):
        needed = {name for name in AGENTS.names() if launch.consent_needed(AGENTS.get(name), as_root=as_root)}
        assert needed == {"claude", "codex"}
    asks = plain(bypasses_permissions=True, as_root=AsRoot(bypasses_permissions=False))
    assert launch.consent_needed(asks, as_root=False)
    assert not launch.consent_needed(asks, as_root=True)


def test_the_environment_is_what_was_measured_to_be_right() -> None:
    """Few retries inside, no updates, no traffic beside the API, `PWD` for programs that believe it."""
    env = build(AGENTS.get("claude")).env
    assert int(env["CLAUDE_CODE_MAX_RETRIES"]) <= 2
    assert env["DISABLE_AUTOUPDATER"] == env["CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC"] == "1"
    assert env["PWD"] == "/w"
    assert {"ANTHROPIC_*", "CLAUDE_*"} <= set(AGENTS.get("claude").environment_names)
    assert {"OPENAI_*", "CODEX_HOME"} <= set(AGENTS.get("codex").environment_names)
    assert "CLAUDE_CODE_OAUTH_TOKEN" in AGENTS.get("claude").secret_env


def test_a_launch_keeps_what_it_was_told_to_itself() -> None:
    """Neither the prompt nor values of the environment are in the text that a log would hold."""
    shown = repr(build(plain(prompt="argv", env={"A": "value-of-a"}), prompt="the prompt"))
    assert "the prompt" not in shown
    assert "value-of-a" not in shown


def test_executables_are_found_on_the_given_path_alone(tmp_path: Path) -> None:
    """An agent is looked for on the path of its attempt, and one that is missing is told with what to do."""
    tool = tmp_path / "tool"
    tool.write_text("#!/bin/sh\necho tool 1.2.3\necho more\n")
    tool.chmod(0o755)
    assert launch.find(PLAIN, str(tmp_path)) == str(tool)
    assert launch.find(PLAIN, "/nowhere") is None
    assert launch.find(AGENTS.get("command"), "/nowhere") == "/bin/sh"
    assert launch.find(AGENTS.get("scripted"), "/nowhere") is not None
    with pytest.raises(MarathonError) as caught:
        launch.require(PLAIN, "/nowhere")
    assert "no executable 'tool'" in caught.value.message
    versioned = plain(version=("tool", "--version"))
    assert launch.read_version(versioned, {"PATH": f"{tmp_path}:{os.environ['PATH']}"}) == "tool 1.2.3"
    assert launch.read_version(versioned, {"PATH": "/nowhere"}) is None
    assert launch.read_version(PLAIN, {}) is None


def test_a_users_program_needs_no_code(tmp_path: Path) -> None:
    """A profile that extends `command` has its prompt on stdin, its text as output, and exit 0 as success."""
    (tmp_path / "agents").mkdir()
    (tmp_path / "agents/shout.toml").write_text('extends = "command"\ncommand = ["tr", "a-z", "A-Z"]\n')
    agents = registry.load(tmp_path)
    assert agents.problems == []
    built = build(agents.get("shout"), prompt="hello\n")
    done = subprocess.run(built.argv, input=built.stdin, capture_output=True, check=True)
    reader = make(agents.get("shout"))
    for line in done.stdout.decode().splitlines():
        reader.feed(line)
    assert reader.conclude(Ending(cause="exit", ended_us=0, exit_code=0)) == Conclusion(outcome="ok", text="HELLO")
