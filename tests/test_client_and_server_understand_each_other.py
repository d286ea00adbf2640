"""The command line against the real server, as a real process with services in memory."""

import json
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from marathonctl.client import Client
from marathonctl.spawn import start_detached
from marathond.places import find_places
from tests.support.ctl import ctl, ctl_running, environment, until


@pytest.fixture
def state(tmp_path: Path) -> Iterator[Path]:
    """A state folder with a daemon that was started as the client starts one."""
    env = environment(tmp_path)
    places = find_places(env)
    start_detached(places, env, [sys.executable, "-m", "tests.support.memory_daemon"])
    pid = int(places.lock.read_text())
    yield tmp_path
    os.kill(pid, signal.SIGTERM)
    until(lambda: not places.socket.exists())


def test_the_verbs_get_their_answers(state: Path) -> None:
    """What the client sends is what the server takes, for every verb that changes a session."""
    (state / "plan.toml").write_text("")
    started = json.loads(ctl(state, "start", "plan.toml", "--json", "--unsandboxed", "--key", "k").stdout)
    again = json.loads(ctl(state, "start", "plan.toml", "--json", "--key", "k").stdout)
    assert (started["created"], again["created"]) == (True, False)
    session = started["session_id"]
    quick = ctl(state, "start", "nowhere.toml", "--json")
    assert quick.returncode == 66
    for words, wanted in (
        (["halt", "--drain"], "halted"),
        (["resume", "--now"], "running"),
        (["answer", session, "yes", "--question", "q7"], "running"),
        (["amend", "--wall", "8h", "--parallel", "3"], "running"),
        (["retry", session, "lint"], "running"),
        (["abort", session[:4]], "aborted"),
    ):
        done = ctl(state, *words, "--json")
        assert done.returncode == 0, (words, done.stdout)
        assert json.loads(done.stdout)["state"] == wanted
    assert json.loads(ctl(state, "verify", "--json").stdout)["ok"] is True
    assert json.loads(ctl(state, "list", "--all", "--json").stdout) == {"sessions": []}
    assert json.loads(ctl(state, "check", "plan.toml", "--json").stdout)["name"] == "demo"


def test_logs_follow_to_the_end_of_the_task(state: Path) -> None:
    """`logs -f` prints what there is, goes on, and ends with the task."""
    (state / "plan.toml").write_text("")
    session = json.loads(ctl(state, "start", "plan.toml", "--json").stdout)["session_id"]
    with ctl_running(state, "logs", "-f", session, "work") as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "hello\n"
        with Client(find_places(environment(state)).socket) as client:
            client.call("session/abort", session=session)
        assert process.wait(10) == 0


def test_every_subscription_kind_is_accepted(state: Path) -> None:
    """Scopes of `tail` are scopes that the server knows."""
    assert ctl(state, "tail", "--system", "--no-follow").returncode == 0
    with Client(find_places(environment(state)).socket) as client:
        for scope in ({}, {"stream": "system"}):
            answer = client.call("ledger/subscribe", after=0, **scope)
            assert client.call("ledger/unsubscribe", subscription=answer["subscription"]) == {}
