"""Verbs that change something start a daemon: exactly one, and with a clear word when it cannot live."""

import fcntl
import json
import os
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import cast

import pytest

from marathonctl.client import Client
from marathonctl.spawn import connect_or_start, start_detached
from marathonctl.streams import Reconnector
from marathond.domain.errors import CONFIG_INVALID, DAEMON_UNREACHABLE, MarathonError
from marathond.places import Places, find_places
from tests.support.ctl import ctl, environment, until
from tests.support.scripted_daemon import ScriptedDaemon

TINY = Path(__file__).parent / "support" / "tiny_daemon.py"


@pytest.fixture
def state(tmp_path: Path) -> Iterator[Path]:
    """A state folder whose tiny daemons are asked to stop, and have stopped, when the test is over."""
    yield tmp_path
    (tmp_path / "stop").touch()
    for pid in pids(tmp_path):
        until(lambda pid=pid: not Path(f"/proc/{pid}/cmdline").exists() or is_zombie(pid))


def pids(state: Path) -> list[int]:
    """The daemons that came to serve."""
    file = state / "pids"
    return [int(line) for line in file.read_text().split()] if file.exists() else []


def is_zombie(pid: int) -> bool:
    """Whether a process has ended and only waits to be reaped."""
    try:
        return "State:\tZ" in Path(f"/proc/{pid}/status").read_text()
    except FileNotFoundError:
        return True


def start(state: Path, *words: str) -> Places:
    """Starts a tiny daemon for `state`."""
    env = environment(state)
    places = find_places(env)
    start_detached(places, env, [sys.executable, str(TINY), *words])
    return places


def test_a_started_daemon_answers_and_is_no_part_of_our_session(state: Path) -> None:
    """The daemon is ready when the call returns, in a session of its own with nothing of our terminal."""
    places = start(state)
    with Client(places.socket) as client:
        pid = client.call("daemon/info")["pid"]
    assert os.getsid(pid) == pid
    assert os.readlink(f"/proc/{pid}/cwd") == "/"
    assert os.readlink(f"/proc/{pid}/fd/0") == os.readlink(f"/proc/{pid}/fd/1") == "/dev/null"
    assert os.readlink(f"/proc/{pid}/fd/2") == str(places.log)
    assert places.log.stat().st_mode & 0o777 == 0o600


def test_two_clients_that_start_one_at_once_both_reach_the_winner(state: Path) -> None:
    """The daemon that loses the lock exits 1; its client connects to the other one."""
    failures: list[BaseException] = []

    def one() -> None:
        try:
            start(state)
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=one) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert not failures
    assert len(pids(state)) == 1


def test_the_loser_waits_until_the_winner_serves(state: Path) -> None:
    """A client whose daemon lost the lock waits for the socket of the one that holds it."""
    places = find_places(environment(state))
    lock = os.open(state / "lock", os.O_CREAT | os.O_RDWR)
    fcntl.flock(lock, fcntl.LOCK_EX)
    done: list[BaseException | None] = []

    def one() -> None:
        try:
            start(state)
            done.append(None)
        except BaseException as error:
            done.append(error)

    thread = threading.Thread(target=one)
    thread.start()
    until(lambda: places.log.exists() and "already owns it" in places.log.read_text())
    until(lambda: not Path(f"/proc/self/task/{thread.native_id}/children").read_text())  # it was seen to end
    with ScriptedDaemon(places.socket, {}):
        thread.join(20)
    os.close(lock)
    assert done == [None]


def test_a_daemon_that_dies_at_once_gives_its_exit_code_and_last_words(state: Path) -> None:
    """What the daemon said last and its exit code are the client's own."""
    with pytest.raises(MarathonError) as caught:
        start(state, "--die")
    assert caught.value.kind.slug == DAEMON_UNREACHABLE.slug
    assert caught.value.kind.exit == 65
    assert "It cannot be: the ledger is none" in caught.value.message
    assert "marathond.log" in caught.value.hint


def test_a_follower_outlasts_daemons_that_are_killed_as_they_start() -> None:
    """Each one is a loss like any other and the next is started; one that says why it cannot run is the end."""
    client, notes = cast("Client", object()), list[str]()
    killed = MarathonError(DAEMON_UNREACHABLE, path="s", reason="it was killed")
    told = MarathonError(CONFIG_INVALID, path="c", reason="no")
    answers: list[Client | MarathonError] = [killed, killed, client, killed, told]

    def absent() -> Client:
        raise MarathonError(DAEMON_UNREACHABLE, path="s", reason="none")

    def start() -> Client:
        answer = answers.pop(0)
        if isinstance(answer, MarathonError):
            raise answer
        return answer

    back = Reconnector(absent, start, notes.append, grace_seconds=0.01)
    assert back.after(killed) is client
    assert notes == ["The daemon is gone; waiting for the next one …", "Connected again."]
    with pytest.raises(MarathonError) as caught:
        back.after(killed)
    assert caught.value is told


def test_a_daemon_that_is_killed_as_it_starts_is_started_once_more(state: Path) -> None:
    """The second one serves; where it is killed too, that is a loss of the daemon, after which `run` starts the next one."""
    env = environment(state)
    killed_once = f"test -e {state}/before || {{ touch {state}/before; kill -9 $$; }}; exec {sys.executable} {TINY}"
    start_detached(find_places(env), env, ["/bin/sh", "-c", killed_once])
    assert len(pids(state)) == 1


def test_a_daemon_that_is_killed_as_it_starts_is_a_loss_of_the_daemon(state: Path) -> None:
    """So `run` starts the next one; a daemon that ended by itself is not tried again."""
    env, tries = environment(state), state / "tries"
    with pytest.raises(MarathonError) as caught:
        start_detached(find_places(env), env, ["/bin/sh", "-c", f"echo >> {tries}; kill -9 $$"])
    assert caught.value.kind is DAEMON_UNREACHABLE
    assert "signal 9" in caught.value.message
    assert len(tries.read_text()) == 2


def test_a_real_daemon_that_refuses_to_run_gives_its_own_error(tmp_path: Path) -> None:
    """The daemon's slug, message, hint and exit code are the client's, with `--json` and without."""
    (tmp_path / "config").mkdir()
    config = tmp_path / "config" / "config.toml"
    config.write_text("slotz = 3\n")
    done = ctl(tmp_path, "daemon", "start", "--json")
    assert done.returncode == 65, done.stderr
    told = json.loads(done.stdout)["error"]
    assert (told["slug"], told["code"], told["exit"]) == ("config_invalid", CONFIG_INVALID.code, 65)
    assert told["message"].startswith(f"{config}: ")
    assert "did you mean 'slots'?" in told["message"]
    assert told["hint"] == CONFIG_INVALID.hint
    done = ctl(tmp_path, "daemon", "start")
    assert done.returncode == 65
    assert done.stderr.splitlines() == [f"marathonctl: {told['message']}", f"  hint: {told['hint']}"]


def test_a_state_folder_that_cannot_be_made_is_explained(tmp_path: Path) -> None:
    """Exit 77 with the folder's name, and no incident."""
    (tmp_path / "file").touch()
    done = ctl(tmp_path / "file", "daemon", "start", cwd=tmp_path)
    assert done.returncode == 77
    assert f"The state folder {tmp_path / 'file'} cannot be used" in done.stderr


def test_a_daemon_that_answers_is_used(state: Path) -> None:
    """No second daemon is started beside one that answers."""
    places = start(state)
    client, started = connect_or_start(places, environment(state), may_start=True)
    client.close()
    assert not started
    assert len(pids(state)) == 1


def test_nothing_is_started_where_it_is_forbidden(state: Path) -> None:
    """`--no-spawn`, a reading verb, and a process inside an attempt leave it at exit 69."""
    plan = state / "plan.toml"
    plan.write_text("")
    for words, more in (
        (["--no-spawn", "start", str(plan)], {}),
        (["status"], {}),
        (["start", str(plan)], {"MARATHON_ATTEMPT": "k3f9x2ab01cd/a/1"}),
    ):
        done = ctl(state, *words, **more)
        assert done.returncode == 69, done.stderr
        assert "hint:" in done.stderr
        assert not (state / "marathond.log").exists()
