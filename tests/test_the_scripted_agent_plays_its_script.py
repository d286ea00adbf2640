"""The scripted agent does what its script says, and refuses what it does not understand."""

import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

from marathond.agents import launch, registry
from marathond.agents.readers import Conclusion, Ending, make, render
from marathond.agents.readers.base import Event
from marathond.agents.scripted import problems
from marathond.domain.entries import Usage
from tests.support.agent_runs import end_marked, until

AGENT = registry.load(None).get("scripted")


class Play:
    """A started script."""

    def __init__(self, folder: Path, script: str, attempt: int = 1) -> None:
        self.marker = f"{folder.name}/t/{attempt}"
        self.started_us = time.time_ns() // 1000
        built = launch.build(
            AGENT,
            mode="fresh",
            prompt=script,
            session="s",
            task="t",
            attempt=attempt,
            cwd=str(folder),
            directory=str(folder),
        )
        self.thread = built.thread
        env = {"PATH": os.environ["PATH"], "MARATHON_ATTEMPT": self.marker}
        self.process = subprocess.Popen(
            built.argv, cwd=folder, env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        assert self.process.stdin is not None
        self.process.stdin.write(built.stdin or b"")
        self.process.stdin.close()
        self.process.stdin = None
        self.events: list[Event] = []

    def end(self) -> Conclusion:
        """Waits for the end and reads the output."""
        out, err = self.process.communicate(timeout=30)
        reader = make(AGENT)
        for line in out.decode().splitlines():
            self.events += reader.feed(line)
        code = self.process.returncode
        ending = Ending(
            cause="exit",
            ended_us=self.started_us,
            exit_code=code if code >= 0 else None,
            signal=-code if code < 0 else None,
        )
        return reader.conclude(ending, err.decode())


def play(folder: Path, *actions: str, attempt: int = 1) -> Conclusion:
    return Play(folder, "".join(f"[[do]]\n{action}\n" for action in actions), attempt).end()


def test_it_writes_appends_runs_and_says(tmp_path: Path) -> None:
    """Files are written and appended to, commands run in the workspace, and the last thing said is the final text."""
    played = Play(
        tmp_path,
        '[[do]]\nwrite = {path = "a/b.txt", text = "one\\n"}\n[[do]]\nappend = {path = "a/b.txt", text = "two\\n"}\n'
        '[[do]]\nsay = "Half way."\n[[do]]\nrun = "wc -l < a/b.txt; echo oops >&2"\n[[do]]\nsay = "Done."\n',
    )
    concluded = played.end()
    assert (concluded.outcome, concluded.text) == ("ok", "Done.")
    assert concluded.thread == played.thread
    assert (tmp_path / "a/b.txt").read_text() == "one\ntwo\n"
    shown = [text for text in map(render, played.events) if text]
    assert shown == [
        "▸ write a/b.txt",
        "▸ append a/b.txt",
        "Half way.",
        "▸ run wc -l < a/b.txt; echo oops >&2",
        "2",
        "oops",
        "Done.",
    ]


def test_usage_adds_up(tmp_path: Path) -> None:
    """Each `usage` is one report; the attempt's usage is their sum."""
    concluded = play(
        tmp_path, "usage = {input_tokens = 10, cost_microusd = 5}", "usage = {input_tokens = 1, output_tokens = 2}"
    )
    assert concluded.usage == Usage(input_tokens=11, output_tokens=2, cost_microusd=5)


def test_actions_can_belong_to_one_attempt(tmp_path: Path) -> None:
    """An action with `attempt` is played in that attempt alone; each attempt plays the rest from the start."""
    actions = ('append = {path = "log", text = "x"}', "exit = 1\nattempt = 1", 'say = "second"\nattempt = 2')
    assert play(tmp_path, *actions, attempt=1).outcome == "error"
    assert play(tmp_path, *actions, attempt=2).text == "second"
    assert (tmp_path / "log").read_text() == "xx"


def test_a_limit_states_its_reset(tmp_path: Path) -> None:
    """`limit` ends the attempt with a structured limit, its reset counted from now; other kinds can be had too."""
    played = Play(tmp_path, '[[do]]\nlimit = {reset_in = "5s"}\n[[do]]\nwrite = {path = "no", text = ""}\n')
    concluded = played.end()
    assert concluded.outcome == "quota"
    assert concluded.reset is not None
    assert 5_000_000 <= concluded.reset - played.started_us <= 15_000_000
    assert not (tmp_path / "no").exists()
    unknown = play(tmp_path, 'limit = {kind = "overloaded"}')
    assert (unknown.outcome, unknown.reset) == ("overloaded", None)


def test_it_ends_as_told(tmp_path: Path) -> None:
    """`exit` gives its code, 0 is a success; `crash` dies by SIGKILL without a word."""
    failed = play(tmp_path, "exit = 3")
    assert (failed.outcome, failed.error) == ("error", "the script said exit 3")
    assert play(tmp_path, "exit = 0", "exit = 3").outcome == "ok"
    assert play(tmp_path, "crash = true").outcome == "crashed"


def test_a_command_that_fails_ends_the_script(tmp_path: Path) -> None:
    """The first command that fails makes the attempt fail, with its code."""
    concluded = play(tmp_path, 'run = "echo before; exit 7"', 'write = {path = "no", text = ""}')
    assert (concluded.outcome, concluded.error) == ("error", "run 'echo before; exit 7' exited with 7")
    assert not (tmp_path / "no").exists()


def test_a_process_left_in_the_background_does_not_hold_it_up(tmp_path: Path) -> None:
    """A command is over when its shell is, although a child it left behind still holds the pipe."""
    played = Play(tmp_path, '[[do]]\nrun = "sleep 60 & echo started"\n')
    concluded = played.end()
    end_marked(played.marker)
    assert concluded.outcome == "ok"
    assert "started" in [render(event) for event in played.events]


def test_a_hang_is_silent_until_a_signal(tmp_path: Path) -> None:
    """`hang` does nothing for ever, and a TERM ends it at once."""
    played = Play(tmp_path, '[[do]]\nwrite = {path = "up", text = ""}\n[[do]]\nhang = true\n')
    until((tmp_path / "up").exists)
    played.process.send_signal(signal.SIGTERM)
    assert played.end().outcome == "crashed"
    assert played.process.returncode == -signal.SIGTERM


def test_a_link_cannot_lead_out_of_the_workspace(tmp_path: Path) -> None:
    """A symbolic link that leads elsewhere is not followed."""
    inside = tmp_path / "inside"
    inside.mkdir()
    (inside / "out").symlink_to(tmp_path)
    concluded = play(inside, 'write = {path = "out/x", text = ""}')
    assert concluded.outcome == "error"
    assert not (tmp_path / "x").exists()


def test_it_is_up_at_once(tmp_path: Path) -> None:
    """It starts with the standard library alone: nothing of what the daemon needs is loaded."""
    assert play(tmp_path, 'say = "hi"').outcome == "ok"
    argv = [*AGENT.command, *AGENT.start]
    assert argv[1:3] == ["-I", "-S"]


@pytest.mark.parametrize(
    ("script", "problem"),
    [
        ("do = [", "the script is not TOML"),
        ("", "no [[do]] table"),
        ("do = 5", "do must be an array of tables"),
        ('[[done]]\nsay = "x"', "unknown key 'done'; did you mean 'do'?"),
        ('[[do]]\nsya = "x"', "do[0]: unknown action 'sya'; did you mean 'say'?"),
        ('[[do]]\nsay = "x"\nrun = "y"', "do[0]: needs exactly one of write, append"),
        ("[[do]]\nattempt = 1", "do[0]: needs exactly one of"),
        ('[[do]]\nsay = "x"\nattempt = 0', "do[0]: attempt must be a whole number from 1"),
        ('[[do]]\nsay = ""', "do[0]: say must be a text that is not empty"),
        ("[[do]]\nsleep = 2", 'do[0]: sleep must be a duration such as "2s"'),
        ('[[do]]\nsleep = "2 sec"', "do[0]: sleep is wrong: '2 sec' is not a duration"),
        ('[[do]]\nwrite = {path = "../x", text = ""}', "do[0]: write path '../x' leaves the workspace"),
        ('[[do]]\nwrite = {path = "/x", text = ""}', "leaves the workspace"),
        ('[[do]]\nwrite = {path = ".git/config", text = ""}', "inside git's own folder"),
        ('[[do]]\nwrite = {path = "x"}', "do[0]: write needs a text"),
        ('[[do]]\nwrite = {pth = "x", text = ""}', "unknown key 'pth'; did you mean 'path'?"),
        ("[[do]]\nusage = {input_tokens = -1}", "do[0]: usage input_tokens must be a whole number from 0"),
        ("[[do]]\nusage = {tokens = 1}", "unknown key 'tokens'"),
        ("[[do]]\nlimit = {reset_in = 5}", "do[0]: limit reset_in must be a duration"),
        ('[[do]]\nlimit = {kind = "qouta"}', "do[0]: limit kind must be one of quota"),
        ("[[do]]\nhang = false", "do[0]: hang must be true"),
        ("[[do]]\nexit = true", "do[0]: exit must be an exit code from 0 to 255"),
    ],
)
def test_what_it_does_not_understand_it_refuses(tmp_path: Path, script: str, problem: str) -> None:
    """A script with a mistake is refused whole, with the mistake named, before anything is done."""
    found = problems(script)
    assert any(problem in each for each in found), found


def test_a_bad_script_does_nothing(tmp_path: Path) -> None:
    """A mistake anywhere in the script fails the attempt before its first action."""
    concluded = play(tmp_path, 'write = {path = "no", text = ""}', 'sya = "x"')
    assert concluded.outcome == "error"
    assert "unknown action 'sya'" in concluded.error
    assert not (tmp_path / "no").exists()
