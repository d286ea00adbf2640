"""`tail` and `logs -f`: everything once and in order, across lag, attempts and daemons; Ctrl-C only detaches."""

import json
import signal
from pathlib import Path

import pytest

from marathonctl.client import Client
from marathonctl.streams import EntryStream
from tests.support.ctl import ctl, ctl_running, until
from tests.support.scripted_daemon import ScriptedDaemon
from tests.support.sessions import SESSION, Played, row, socket_in


def test_tail_prints_every_entry_once_across_a_restart_and_ends_with_the_session(tmp_path: Path) -> None:
    """The cursor survives the daemon; the exact record is a string and its fields stand beside it."""
    played = Played()
    played.commit("task.done", task="a")
    path = socket_in(tmp_path)
    with (
        ScriptedDaemon(path, played.handlers()) as first,
        ctl_running(tmp_path, "tail", SESSION[:4], "--json") as process,
    ):
        until(lambda: played.followers)
        played.commit("task.done", task="b")
        until(lambda: len(first.called("session/status")) >= 3)
        first.die()
        played.followers.clear()
        played.commit("task.done", task="c")
        with ScriptedDaemon(path, played.handlers()):
            until(lambda: played.followers)
            played.end("done", "session.completed")
            out, err = process.communicate(timeout=10)
    shown = [json.loads(line) for line in out.splitlines()]
    assert process.returncode == 0
    assert [entry["seq"] for entry in shown] == [1, 2, 3, 4]
    assert [entry["record"] for entry in shown] == [r["record"] for r in played.rows]
    fields = ["seq", "hash", "link", "link_prev", "record", "stream", "n", "at", "kind", "body"]
    assert all(list(entry) == fields for entry in shown)
    assert "The daemon is gone" in err


def test_entries_of_the_end_that_are_still_on_their_way_are_read(tmp_path: Path) -> None:
    """The session has ended when tail comes to look: what was committed is printed all the same, from `--after` on."""
    played = Played()
    for name in "abc":
        played.commit("task.done", task=name)
    played.end("failed", "session.failed", reason="no")
    with ScriptedDaemon(socket_in(tmp_path), played.handlers()):
        done = ctl(tmp_path, "tail", "--after", "2", "--json")
        assert ctl(tmp_path, "tail", "--exit-code").returncode == 4
        assert ctl(tmp_path, "tail", "--no-follow", "--after", "4").stdout == ""
    assert [json.loads(line)["seq"] for line in done.stdout.splitlines()] == [3, 4]
    assert done.returncode == 0


def test_tail_of_a_held_session_goes_on_and_its_exit_code_does_not(tmp_path: Path) -> None:
    """Only `--exit-code` ends where `run` would; a plain tail waits for the session's end, and Ctrl-C detaches."""
    played = Played("held")
    with ScriptedDaemon(socket_in(tmp_path), played.handlers()) as daemon:
        assert ctl(tmp_path, "tail", "--exit-code").returncode == 5
        with ctl_running(tmp_path, "tail") as process:
            until(lambda: len(played.followers) >= 2)
            process.send_signal(signal.SIGINT)
            assert process.wait(10) == 130
        assert daemon.called("session/halt") == []


@pytest.mark.parametrize(("option", "scope"), [("--system", {"stream": "system"}), ("--all", {})])
def test_the_streams_of_the_machine_are_asked_for_by_name(tmp_path: Path, option: str, scope: dict[str, str]) -> None:
    """`--system` reads the system stream, `--all` every stream, with the stream shown."""
    played = Played()
    played.rows.append(row(1, "daemon.started", "system", version="0.1.0", pid=7, boot_id="b"))
    with ScriptedDaemon(socket_in(tmp_path), played.handlers()) as daemon:
        done = ctl(tmp_path, "tail", option, "--no-follow")
        (params,) = daemon.called("ledger/read")
    assert {name: params[name] for name in params if name not in ("after", "limit")} == scope
    assert "system" in done.stdout
    assert "daemon 0.1.0 started" in done.stdout


def test_a_reader_that_lagged_catches_up_from_its_own_cursor(tmp_path: Path) -> None:
    """After `ledger/lagged` the rest is subscribed to anew: no entry is missed, repeated or out of order."""
    played = Played()
    for _ in range(6):
        played.commit("task.done", task="a")
    handlers = played.handlers()

    def subscribe(params, connection):  # type: ignore[no-untyped-def]
        number = len(daemon.called("ledger/subscribe"))
        rows = [r for r in played.rows if r["seq"] > params["after"]]

        def send() -> None:
            for one in [*rows[:2], *rows[:1]]:  # a repeat, as a careless server might send
                connection.notify("ledger/entry", subscription=number, **one)
            if number < 3:
                connection.notify("ledger/lagged", subscription=number, after=rows[1]["seq"])
                connection.notify("ledger/entry", subscription=number, **rows[-1])

        connection.then.append(send)
        return {"subscription": number, "cursor": params["after"]}

    handlers["ledger/subscribe"] = subscribe
    with ScriptedDaemon(socket_in(tmp_path), handlers) as daemon, Client(daemon.path) as client:
        stream = EntryStream(client, 0, {"session": SESSION})
        assert [entry["seq"] for entry in iter(lambda: stream.next(0.5), None) if entry] == [1, 2, 3, 4, 5, 6]


def test_logs_follow_attempts_and_daemons_by_position(tmp_path: Path) -> None:
    """Output comes once and in order: over pages, a dead daemon, a character cut in two, and the next attempt."""
    played = Played()
    played.output = {1: b"first attempt, "}
    path = socket_in(tmp_path)
    with ScriptedDaemon(path, played.handlers()) as first, ctl_running(tmp_path, "logs", "-f", "implement") as process:
        until(lambda: played.output_followers)
        played.write(1, b"which fails. ")
        until(lambda: any(p.get("after") == 28 for p in first.called("attempt/output")))
        first.die()
        played.output_followers.clear()
        played.write(1, b"It does. ")
        with ScriptedDaemon(path, played.handlers()):
            until(lambda: played.output_followers)
            played.write(2, b"second attempt, ")
            played.write(2, b"done.\n", over=True)
            out, err = process.communicate(timeout=10)
    assert out == "first attempt, which fails. It does. second attempt, done.\n"
    assert process.returncode == 0
    assert "--- attempt 2 ---" in err


def test_logs_wait_for_the_first_attempt_and_say_when_none_can_come(tmp_path: Path) -> None:
    """`logs -f` of a task that has not begun waits for it; without `-f` it exits 66."""
    played = Played()
    with ScriptedDaemon(socket_in(tmp_path), played.handlers()):
        assert ctl(tmp_path, "logs", "implement").returncode == 66
        with ctl_running(tmp_path, "logs", "implement", "--follow") as process:
            until(lambda: played.followers)
            played.output = {1: b"hello"}
            played.output_over = True
            played.commit("attempt.started", task="implement", attempt=1, pid=1)
            assert process.communicate(timeout=10)[0] == "hello"
        played.output = {}
        played.state = played.state | {"state": "aborted"}
        assert ctl(tmp_path, "logs", "implement", "-f").returncode == 66
