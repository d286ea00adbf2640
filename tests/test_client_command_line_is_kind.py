"""The command line: every verb explains itself, mistakes get the nearest right word, and no traceback reaches a user."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from marathonctl.commands import names
from tests.support.ctl import REPOSITORY, ctl, environment
from tests.support.scripted_daemon import ScriptedDaemon
from tests.support.sessions import INFO, SESSION, Played, row, socket_in, status, task


@pytest.mark.parametrize("verb", names())
def test_every_verb_has_help_with_an_example(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    """`VERB --help` needs no daemon, exits 0 and shows an example and the global options."""
    from marathonctl.cli import main

    assert main([verb, "--help"]) == 0
    shown = capsys.readouterr().out
    assert f"example:\n  marathonctl {verb}" in shown
    assert "--no-spawn" in shown


def test_the_help_names_every_verb_and_exit_code(tmp_path: Path) -> None:
    """`--help` is the whole map; without any word it goes to standard error with exit 64."""
    done = ctl(tmp_path, "--help")
    assert done.returncode == 0
    assert all(f"\n  {verb} " in done.stdout for verb in names())
    bare = ctl(tmp_path)
    assert (bare.returncode, bare.stdout, bare.stderr) == (64, "", done.stdout)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["statsu"], "Did you mean `status`?"),
        (["tail", "--no-folow"], "Did you mean `--no-follow`?"),
        (["frobnicate"], "marathonctl --help"),
        (["status", "a", "b"], "no room for 'b'"),
        (["start"], "FILE"),
        (["run"], "either FILE or --prompt"),
        (["run", "f", "--check", "true"], "belong to --prompt"),
        (["answer", "maybe"], "yes or no"),
        (["amend"], "--wall, --deadline or --parallel"),
        (["amend", "--parallel", "two"], "not a whole number from 1 to 64"),
        (["amend", "--parallel", "0"], "not a whole number from 1 to 64"),
        (["tail", "--after", "-1"], "not a whole number from 0 on"),
        (["logs", "x", "--attempt", "0"], "not a whole number from 1 on"),
        (["stat"], "Did you mean `status`?"),
        (["ls"], "Did you mean `list`?"),
        (["info"], "Did you mean `daemon info`?"),
        (["daemon", "stpo"], "Did you mean `stop`?"),
        (["show", "nonsense"], "invalid choice"),
        (["show", "diffs"], "Did you mean `diff`?"),
        (["show", "task"], "which task"),
        (["tail", "x", "--all"], "one of SESSION, --system and --all"),
        (["--socket"], "expected one argument"),
    ],
)
def test_a_mistake_is_exit_64_with_one_sentence(tmp_path: Path, words: list[str], told: str) -> None:
    """A command line that cannot be understood is explained in a line, with the nearest right word."""
    done = ctl(tmp_path, *words)
    assert done.returncode == 64
    assert told.lower() in done.stderr.lower()
    assert done.stdout == ""
    assert len(done.stderr.splitlines()) <= 2


def test_help_is_a_word_too(tmp_path: Path) -> None:
    """`help` and `help VERB` are `--help` and `VERB --help`."""
    assert ctl(tmp_path, "help").stdout == ctl(tmp_path, "--help").stdout
    assert ctl(tmp_path, "help", "tail").stdout == ctl(tmp_path, "tail", "--help").stdout


def test_global_options_go_before_and_after_the_verb(tmp_path: Path) -> None:
    """`--json` and `--socket` mean the same on either side of the verb."""
    with ScriptedDaemon(tmp_path / "own", Played().handlers()):
        before = ctl(tmp_path, "--json", "--socket", str(tmp_path / "own"), "status")
        after = ctl(tmp_path, "status", "--socket", "own", "--json")
    assert before.returncode == after.returncode == 0
    assert json.loads(before.stdout) == json.loads(after.stdout) == status("running")


@pytest.mark.parametrize("words", [["status"], ["statsu"], ["status", "--wrong"], ["start", "no-such-file.toml"]])
def test_with_json_every_refusal_is_one_object_on_standard_output(tmp_path: Path, words: list[str]) -> None:
    """`{error{code, slug, message, hint, exit}}`, and nothing on standard error."""
    done = ctl(tmp_path, *words, "--json")
    error = json.loads(done.stdout)["error"]
    assert set(error) == {"code", "slug", "message", "hint", "exit"}
    assert error["exit"] == done.returncode
    assert done.stderr == ""


def test_problems_of_a_contract_are_all_shown_with_their_lines(tmp_path: Path) -> None:
    """Exit 65: each problem with line, key path and nearest right word; as JSON beside `error`."""
    from marathond.domain.errors import CONTRACT_INVALID, MarathonError

    problems = [
        {"path": "task[1].neds", "line": 12, "message": "there is no such key", "suggestion": "needs"},
        {"path": "name", "line": None, "message": "it is missing", "suggestion": None},
    ]

    def refuse(params, connection):  # type: ignore[no-untyped-def]
        raise MarathonError(CONTRACT_INVALID, count=2, data={"problems": problems})

    (tmp_path / "plan.toml").write_text("")
    with ScriptedDaemon(socket_in(tmp_path), {"contract/check": refuse}):
        plain = ctl(tmp_path, "check", "plan.toml")
        shown = json.loads(ctl(tmp_path, "check", "plan.toml", "--json").stdout)
    assert plain.returncode == 65
    assert "line 12: task[1].neds: there is no such key (did you mean 'needs'?)" in plain.stderr
    assert "name: it is missing" in plain.stderr
    assert shown["problems"] == problems
    assert shown["error"]["exit"] == 65


def test_no_traceback_reaches_a_user(tmp_path: Path) -> None:
    """What nobody foresaw is exit 70, one sentence and a file with the details."""
    with ScriptedDaemon(socket_in(tmp_path), {"session/status": lambda p, c: {"odd": 1}}):
        done = ctl(tmp_path, "status")
    log = tmp_path / "marathonctl.log"
    assert done.returncode == 70
    assert "Traceback" not in done.stderr
    assert str(log) in done.stderr
    assert "KeyError" in log.read_text()
    assert log.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    ("line", "code", "told"),
    [
        ("list >&- 2>&-", 69, ""),
        ("list >&-", 69, "daemon start"),
        ("mkdir gone && cd gone && rmdir ../gone && $M init", 64, "does not exist any more"),
        ("mkdir gone && cd gone && rmdir ../gone && $M check x", 64, "does not exist any more"),
    ],
)
def test_closed_streams_and_a_removed_folder_are_no_surprise(tmp_path: Path, line: str, code: int, told: str) -> None:
    """What the shell can do to a program leaves no traceback and no incident."""
    command = line if "$M" in line else f"$M {line}"
    env = environment(tmp_path, M=f"{sys.executable} -P -m marathonctl", PYTHONPATH=str(REPOSITORY))
    done = subprocess.run(["sh", "-c", command], cwd=tmp_path, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == code, done.stderr
    assert told in done.stderr
    assert not any(word in done.stderr for word in ("Traceback", "incident"))


@pytest.mark.parametrize(
    ("line", "code", "told"),
    [
        ("list > /dev/full", 70, "marathonctl: Standard output cannot be written: No space left on device."),
        ("list --json > /dev/full", 70, "marathonctl: Standard output cannot be written: No space left on device."),
        (
            "tail --no-follow > /dev/full",
            70,
            "marathonctl: Standard output cannot be written: No space left on device.",
        ),
        ("no-such-verb --json > /dev/full", 64, "marathonctl: There is no verb 'no-such-verb'."),
        ("no-such-verb 2> /dev/full", 64, ""),
    ],
)
def test_a_full_disk_is_said_in_one_line(tmp_path: Path, line: str, code: int, told: str) -> None:
    """Output that cannot be written is no fault of ours: no incident, no traceback, and a refusal keeps its own exit code."""
    played = Played("done")
    played.rows = [row(n, "task.done", task="a") for n in range(1, 500)]
    handlers = played.handlers() | {"session/list": lambda p, c: {"sessions": []}}
    env = environment(tmp_path, M=f"{sys.executable} -P -m marathonctl")
    with ScriptedDaemon(socket_in(tmp_path), handlers):
        done = subprocess.run(
            ["sh", "-c", f"$M {line}"], cwd=tmp_path, env=env, capture_output=True, text=True, check=False
        )
    assert done.returncode == code, done.stderr
    assert (done.stderr.splitlines() or [""])[0] == told
    assert not any(word in done.stderr for word in ("Traceback", "incident", "Exception ignored"))
    assert not (tmp_path / "marathonctl.log").exists()


def test_bytes_that_are_no_text_are_named(tmp_path: Path) -> None:
    """A word that cannot travel as JSON is a mistake of the command line."""
    with ScriptedDaemon(tmp_path / "s", {}):
        done = ctl(tmp_path, "--socket", "s", "status", os.fsdecode(b"\xff"))
    assert done.returncode == 64
    assert "\\udcff" in done.stderr
    assert "no UTF-8" in done.stderr


def test_a_reader_that_goes_away_ends_us_quietly(tmp_path: Path) -> None:
    """`tail | head` leaves nothing on standard error."""
    played = Played("done")
    played.rows = [row(n, "task.done", task="a") for n in range(1, 3000)]
    with ScriptedDaemon(socket_in(tmp_path), played.handlers()):
        done = subprocess.run(
            ["bash", "-c", f'"{sys.executable}" -m marathonctl tail --json | head -n 1; echo "${{PIPESTATUS[0]}}"'],
            env=environment(tmp_path),
            cwd=tmp_path,
            capture_output=True,
            check=False,
            text=True,
            timeout=30,
        )
    first, code = done.stdout.splitlines()
    assert json.loads(first)["seq"] == 1
    assert code == "141"
    assert done.stderr == ""


def test_the_version_shows_both_sides(tmp_path: Path) -> None:
    """`--version` names the daemon's version too when one answers, and is no error when none does."""
    assert "does not answer" in ctl(tmp_path, "--version").stdout
    with ScriptedDaemon(socket_in(tmp_path), {"daemon/info": lambda p, c: INFO | {"version": "9.9"}}):
        assert "9.9 (pid 4242)" in ctl(tmp_path, "--version").stdout
        assert json.loads(ctl(tmp_path, "--version", "--json").stdout)["daemon"] == "9.9"


def test_a_single_word_is_a_session_if_it_is_one_and_else_a_task(tmp_path: Path) -> None:
    """`why`, `retry` and `show diff` take `[SESSION] [TASK]`; a word that could be both is refused."""
    played = Played()
    played.state = status("failed", task("implement", "failed"), task("k3", "failed"))
    other = status("failed") | {"session_id": "k3zzzzzzzzzz"}
    handlers = played.handlers()
    handlers["session/why"] = lambda p, c: {"session_id": SESSION, "state": "failed", "reasons": []}
    one = handlers["session/status"]
    handlers["session/status"] = lambda p, c: other if p.get("session") == "k3" else one(p, c)
    with ScriptedDaemon(socket_in(tmp_path), handlers) as daemon:
        assert ctl(tmp_path, "why", SESSION[:5]).returncode == 0
        assert ctl(tmp_path, "why", "implement").returncode == 0
        assert ctl(tmp_path, "why", SESSION, "implement").returncode == 0
        both = ctl(tmp_path, "why", "k3")
        calls = daemon.called("session/why")
    assert calls == [
        {"session": SESSION},
        {"cwd": str(tmp_path), "task": "implement"},
        {"session": SESSION, "task": "implement"},
    ]
    assert both.returncode == 64
    assert "Give both" in both.stderr


def test_options_may_stand_between_words(tmp_path: Path) -> None:
    """`logs SESSION -f TASK` is understood as `logs SESSION TASK -f`."""
    played = Played()
    played.output, played.output_over = {1: b"x"}, True
    with ScriptedDaemon(socket_in(tmp_path), played.handlers()):
        assert ctl(tmp_path, "logs", SESSION, "-f", "implement").stdout == "x"


def test_the_hot_path_imports_nothing_heavy(tmp_path: Path) -> None:
    """`status` loads the standard library and a handful of our modules: no msgspec, asyncio, subprocess or daemon code."""
    code = (
        "import sys; sys.argv = ['marathonctl', 'status']\n"
        "from marathonctl.cli import main\n"
        "assert main() == 0\n"
        "print(*sorted(sys.modules), file=sys.stderr)"
    )
    with ScriptedDaemon(socket_in(tmp_path), Played().handlers()):
        done = subprocess.run(
            [sys.executable, "-I", "-S", "-c", f"import sys; sys.path.insert(0, {str(REPOSITORY)!r})\n{code}"],
            env=os.environ | environment(tmp_path),
            cwd=tmp_path,
            capture_output=True,
            check=False,
            text=True,
            timeout=30,
        )
    assert done.returncode == 0, done.stderr
    loaded = set(done.stderr.split())
    assert not loaded & {"msgspec", "anyio", "asyncio", "subprocess", "shutil", "datetime", "difflib", "logging"}
    ours = {name for name in loaded if name.startswith("marathond")}
    assert ours == {
        "marathond",
        "marathond.places",
        "marathond.domain",
        "marathond.domain.errors",
        "marathond.domain.limits",
    }
