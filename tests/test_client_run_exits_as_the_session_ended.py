"""`run` follows to the end: its exit codes, Ctrl-C, and a daemon that dies under it."""

import json
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from marathond.domain.errors import CONSENT_NEEDED, GATE_REFUSED, LOCK_HELD, MarathonError
from tests.support.ctl import ctl, ctl_running, until
from tests.support.scripted_daemon import ScriptedDaemon
from tests.support.sessions import SESSION, Played, socket_in, status, task


@pytest.fixture
def plan(tmp_path: Path) -> str:
    """A file to start from; the scripted daemon does not read it."""
    (tmp_path / "plan.toml").write_text("")
    return str(tmp_path / "plan.toml")


@pytest.fixture
def played() -> Played:
    """A session that runs."""
    return Played()


@pytest.fixture
def daemon(tmp_path: Path, played: Played) -> Iterator[ScriptedDaemon]:
    """A daemon with that session."""
    with ScriptedDaemon(socket_in(tmp_path), played.handlers()) as daemon:
        yield daemon


ENDS = [
    ("done", "session.completed", {"branch": "marathon/x"}, 0),
    ("failed", "session.failed", {"reason": "implement: no attempt left"}, 4),
    ("held", "question.asked", {"question": "q1", "about": "wall", "text": "The wall is spent."}, 5),
    ("halted", "session.halted", {}, 130),
    ("aborted", "session.aborted", {}, 130),
    ("quarantined", "gate.refused", {"points": [], "quarantine": True}, 2),
]


@pytest.mark.parametrize(("state", "kind", "body", "code"), ENDS)
def test_the_state_in_which_nothing_goes_on_is_the_exit_code(
    tmp_path: Path,
    plan: str,
    played: Played,
    daemon: ScriptedDaemon,
    state: str,
    kind: str,
    body: dict[str, object],
    code: int,
) -> None:
    """Each ending has its documented exit code, and the events up to it have been printed."""
    with ctl_running(tmp_path, "run", plan) as process:
        until(lambda: played.followers)
        played.commit("task.done", task="implement")
        played.end(state, kind, **body)
        out, err = process.communicate(timeout=10)
    assert process.returncode == code, err
    assert "implement is done" in out
    assert state in out
    assert err == ""


def test_waiting_is_followed_through_unless_no_wait_is_said(
    tmp_path: Path, plan: str, played: Played, daemon: ScriptedDaemon
) -> None:
    """`--no-wait` exits 0 when the session waits, with the due time; without it waiting is followed."""
    played.state = status("waiting", due_at="2026-11-25T23:00:00.000000Z")
    done = ctl(tmp_path, "run", plan, "--no-wait")
    assert done.returncode == 0
    assert "goes on by itself" in done.stdout
    with ctl_running(tmp_path, "run", plan) as process:
        until(lambda: played.followers and len(daemon.called("session/status")) >= 2)
        played.commit("timer.fired", timer="t")
        assert process.poll() is None
        played.end("done", "session.completed")
        assert process.wait(10) == 0


def test_json_prints_one_final_object_with_the_exit_code(
    tmp_path: Path, plan: str, played: Played, daemon: ScriptedDaemon
) -> None:
    """`run --json` prints the last status as one object with `exit`."""
    played.state = status("failed", task("implement", "failed"))
    done = ctl(tmp_path, "run", plan, "--json")
    shown = json.loads(done.stdout)
    assert done.returncode == shown["exit"] == 4
    assert shown["session_id"] == SESSION
    assert [t["state"] for t in shown["tasks"]] == ["failed"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_halts_the_session(
    tmp_path: Path, plan: str, played: Played, daemon: ScriptedDaemon, number: signal.Signals
) -> None:
    """Ctrl-C or SIGTERM to `run` halts the session and exits 130."""
    with ctl_running(tmp_path, "run", plan) as process:
        until(lambda: played.followers)
        process.send_signal(number)
        out, _ = process.communicate(timeout=10)
    assert process.returncode == 130
    assert daemon.called("session/halt") == [{"session": SESSION}]
    assert "marathonctl resume" in out


def test_an_interrupt_while_the_session_is_being_started_halts_it_too(
    tmp_path: Path, plan: str, played: Played, daemon: ScriptedDaemon
) -> None:
    """An interrupt between the request and its answer is acted on when the session's id is known."""
    answer = daemon.handlers["session/start"]

    with ctl_running(tmp_path, "run", plan) as process:

        def start(params, connection):  # type: ignore[no-untyped-def]
            process.send_signal(signal.SIGINT)
            until(lambda: "ShdPnd:\t0000000000000000" in Path(f"/proc/{process.pid}/status").read_text())
            return answer(params, connection)

        daemon.handlers["session/start"] = start
        process.communicate(timeout=10)
    assert process.returncode == 130
    assert daemon.called("session/halt") == [{"session": SESSION}]


def test_a_second_interrupt_leaves_at_once(tmp_path: Path, plan: str, played: Played, daemon: ScriptedDaemon) -> None:
    """While the halt takes its time, a second Ctrl-C exits 130 without waiting for it."""
    daemon.handlers["session/halt"] = lambda params, connection: None
    with ctl_running(tmp_path, "run", plan) as process:
        until(lambda: played.followers)
        process.send_signal(signal.SIGINT)
        until(lambda: daemon.called("session/halt"))
        process.send_signal(signal.SIGINT)
        assert process.wait(10) == 130


def test_a_session_that_ended_before_the_interrupt_keeps_its_own_exit_code(
    tmp_path: Path, plan: str, played: Played, daemon: ScriptedDaemon
) -> None:
    """A halt that comes too late is no halt."""
    from marathond.domain.errors import SESSION_ENDED

    def too_late(params, connection):  # type: ignore[no-untyped-def]
        played.state = status("done")
        raise MarathonError(SESSION_ENDED, session=SESSION, state="done", verb="halted", hint="")

    daemon.handlers["session/halt"] = too_late
    with ctl_running(tmp_path, "run", plan) as process:
        until(lambda: played.followers)
        process.send_signal(signal.SIGINT)
        assert process.wait(10) == 0


def test_a_daemon_that_dies_is_waited_for_and_nothing_is_missed(tmp_path: Path, plan: str, played: Played) -> None:
    """`run` goes on with the next daemon from where it was: every event once, and it says so on standard error."""
    path = socket_in(tmp_path)
    with ScriptedDaemon(path, played.handlers()) as first, ctl_running(tmp_path, "--no-spawn", "run", plan) as process:
        until(lambda: played.followers)
        played.commit("task.done", task="one")
        until(lambda: len(first.called("session/status")) >= 2)
        first.die()
        played.followers.clear()
        played.commit("task.done", task="two")
        with ScriptedDaemon(path, played.handlers()):
            until(lambda: played.followers)
            played.commit("task.done", task="three")
            played.end("done", "session.completed")
            out, err = process.communicate(timeout=10)
    assert process.returncode == 0
    assert [out.count(f"{name} is done") for name in ("one", "two", "three")] == [1, 1, 1]
    assert "The daemon is gone" in err
    assert "Connected again" in err


def test_an_answer_lost_with_the_daemon_is_asked_for_again_under_the_same_key(
    tmp_path: Path, plan: str, played: Played, daemon: ScriptedDaemon
) -> None:
    """A start whose answer is lost is repeated with the same key, so no second session comes of it."""
    answer = daemon.handlers["session/start"]

    def start(params, connection):  # type: ignore[no-untyped-def]
        if len(daemon.called("session/start")) == 1:
            connection.hang_up()
            return None
        return answer(params, connection)

    daemon.handlers["session/start"] = start
    done = ctl(tmp_path, "start", plan, "--json")
    assert done.returncode == 0
    assert json.loads(done.stdout)["session_id"] == SESSION
    keys = [params["key"] for params in daemon.called("session/start")]
    assert len(keys) == 2
    assert len(set(keys)) == 1


def test_a_start_passes_on_everything_it_was_told(tmp_path: Path, plan: str, daemon: ScriptedDaemon) -> None:
    """The options, the absolute path and the environment reach the daemon."""
    words = ["start", "plan.toml", "--key", "k", "--unsandboxed", "--allow-secrets", "--from", "abc"]
    assert ctl(tmp_path, *words, MY_NAME="v").returncode == 0
    (params,) = daemon.called("session/start")
    assert params.pop("env")["MY_NAME"] == "v"
    assert params == {
        "path": plan,
        "key": "k",
        "unsandboxed": True,
        "allow_secrets": True,
        "from_session": "abc",
    }


def test_a_prompt_is_a_contract_of_one_task(tmp_path: Path, played: Played, daemon: ScriptedDaemon) -> None:
    """`run --prompt` needs no file: prompt, checks and agent become a task, and braces in the prompt mean themselves."""
    played.state = status("done")
    words = [
        "run",
        "--prompt",
        "Fix {{ it }} now\nplease",
        "--check",
        "true",
        "--check",
        "pytest -q",
        "--agent",
        "codex",
    ]
    assert ctl(tmp_path, *words).returncode == 0
    (params,) = daemon.called("session/start")
    assert params["root"] == str(tmp_path)
    assert params["contract"]["name"] == "fix-it-now"
    assert params["contract"]["task"] == [
        {
            "id": "work",
            "prompt": "Fix {{{{ it }} now\nplease",
            "agent": "codex",
            "check": [{"run": "true"}, {"run": "pytest -q"}],
        }
    ]


REFUSALS = [
    (LOCK_HELD, {"session": SESSION, "reason": "run 2 is live"}, 1),
    (GATE_REFUSED, {"session": SESSION, "reason": "point 3 failed", "hint": "Look at it."}, 2),
    (CONSENT_NEEDED, {"agent": "claude"}, 77),
]


@pytest.mark.parametrize(("kind", "fields", "code"), REFUSALS)
def test_a_refused_resume_exits_with_its_code_and_shows_the_gate(
    tmp_path: Path,
    daemon: ScriptedDaemon,
    kind,
    fields,
    code,  # type: ignore[no-untyped-def]
) -> None:
    """A refusal's exit code is the error's; as JSON the gate's points stand beside `error`."""
    points = [{"point": n, "verdict": "fail" if n == 3 else "pass", "detail": ""} for n in range(1, 7)]
    data = {"gate": points, "session_id": SESSION, "run_id": None}

    def refuse(params, connection):  # type: ignore[no-untyped-def]
        raise MarathonError(kind, data=data, **fields)

    daemon.handlers["session/resume"] = refuse
    done = ctl(tmp_path, "resume", SESSION, "--json")
    shown = json.loads(done.stdout)
    assert done.returncode == code
    assert shown | {"error": None} == data | {"error": None}
    assert set(shown["error"]) == {"code", "slug", "message", "hint", "exit"}
    assert shown["error"]["exit"] == code
    plain = ctl(tmp_path, "resume", SESSION, "--follow")
    assert plain.returncode == code
    assert "✗ 3 the contract is the frozen one" in plain.stderr or "x 3" in plain.stderr
    assert plain.stdout == ""
