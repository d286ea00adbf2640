"""The `marathond` process: lock, log, service manager, hand-over, and errors at the start."""

import os
import select
import signal
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest

ROOT = Path(__file__).resolve().parents[1]
Start = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def env(tmp_path: Path) -> dict[str, str]:
    """An environment with folders of its own."""
    places = {"MARATHON_STATE_DIR": str(tmp_path / "state"), "MARATHON_CONFIG_DIR": str(tmp_path / "config")}
    (tmp_path / "config").mkdir()
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("MARATHON", "XDG", "LISTEN", "NOTIFY"))
    }
    return {**kept, **places, "PYTHONPATH": str(ROOT)}


@pytest.fixture
def start(env: dict[str, str]) -> Iterator[Start]:
    """Starts daemons around services in memory; those that still run at the end are killed."""
    started: list[subprocess.Popen[str]] = []

    def run(*options: str, before: tuple[str, ...] = (), **more: str) -> subprocess.Popen[str]:
        command = [*before, sys.executable, "-m", "tests.support.memory_daemon", *options]
        process = subprocess.Popen(command, env={**env, **more}, cwd=ROOT, text=True, stderr=subprocess.PIPE)
        started.append(process)
        return process

    yield run
    for process in started:
        if process.poll() is None:
            process.kill()
        process.wait()
        assert process.stderr is not None
        process.stderr.close()


def talk(path: Path, method: str = "daemon/info", seconds: float = 10, **params: object) -> dict:
    """One call over a fresh connection, as soon as the daemon answers."""
    request = msgspec.json.encode({"jsonrpc": "2.0", "id": 1, "method": method, "params": params})
    deadline = time.monotonic() + seconds
    while True:
        with socket.socket(socket.AF_UNIX) as sock:
            sock.settimeout(seconds)
            try:
                sock.connect(str(path))
            except (FileNotFoundError, ConnectionRefusedError):
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.01)
                continue
            sock.sendall(request + b"\n")
            return msgspec.json.decode(sock.makefile("rb").readline())


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_means_hand_over(start: Start, tmp_path: Path, number: int) -> None:
    """SIGTERM and SIGINT end the daemon with 0 within two seconds; the socket goes, the lock file stays with the last pid."""
    state = tmp_path / "state"
    process = start("--foreground")
    assert talk(state / "run" / "marathond.sock")["result"]
    assert (state / "marathond.lock").read_text() == f"{process.pid}\n"
    began = time.monotonic()
    process.send_signal(number)
    assert process.wait(5) == 0
    assert time.monotonic() - began < 2
    assert not (state / "run" / "marathond.sock").exists()
    assert not (state / "marathond.log").exists()
    assert process.stderr is not None
    log = process.stderr.read()
    assert " info marathond ready " in log
    assert " handed over complete=True" in log


def test_a_stop_is_answered_before_the_end(start: Start, tmp_path: Path) -> None:
    """`daemon/stop` is answered, then the daemon exits 0; without `--foreground` the log is a private file."""
    state = tmp_path / "state"
    process = start()
    assert talk(state / "run" / "marathond.sock", "daemon/stop")["result"] == {"stopping": True}
    assert process.wait(5) == 0
    assert process.stderr is not None
    assert process.stderr.read() == ""
    assert (state / "marathond.log").stat().st_mode & 0o777 == 0o600
    assert "handed over" in (state / "marathond.log").read_text()


def test_a_second_daemon_leaves_the_first_alone(start: Start, tmp_path: Path) -> None:
    """The loser of the lock says so in one line, exits 1, and the winner's socket is untouched."""
    path = tmp_path / "state" / "run" / "marathond.sock"
    first = start("--foreground")
    assert talk(path)["result"]
    inode = path.stat().st_ino
    second = start("--foreground")
    assert second.wait(10) == 1
    assert second.stderr is not None
    lines = second.stderr.read().splitlines()
    assert lines[-1].startswith(f"marathond: A daemon already owns {tmp_path / 'state'} (pid {first.pid}).")
    assert not any("Traceback" in line for line in lines)
    assert path.stat().st_ino == inode
    assert talk(path)["result"]


@pytest.mark.parametrize(
    ("config", "code", "words"),
    [
        ("slotz = 3", 65, "did you mean 'slots'?"),
        ("slots = ", 65, "config.toml"),
    ],
)
def test_a_bad_start_is_one_clear_line(start: Start, tmp_path: Path, config: str, code: int, words: str) -> None:
    """A daemon that cannot start gives its error's exit code and one line, on stderr and at the end of its log."""
    (tmp_path / "config" / "config.toml").write_text(config)
    process = start()
    assert process.wait(10) == code
    assert process.stderr is not None
    (line,) = process.stderr.read().splitlines()
    assert words in line
    assert words in (tmp_path / "state" / "marathond.log").read_text().splitlines()[-1]


@pytest.mark.parametrize(("options", "told"), [(("--sockt", "x"), "--sockt"), (("--socket",), "expected one argument")])
def test_a_wrong_command_line_is_64(start: Start, options: tuple[str, ...], told: str) -> None:
    """Not argparse's own 2, which says that a person must look at a session."""
    process = start(*options)
    assert process.wait(10) == 64
    assert process.stderr is not None
    assert told in process.stderr.read()


def test_a_state_folder_that_cannot_be_made_is_one_clear_line(start: Start, tmp_path: Path) -> None:
    """Also before there is a log: one line, exit 77."""
    (tmp_path / "file").touch()
    process = start(MARATHON_STATE_DIR=str(tmp_path / "file"))
    assert process.wait(10) == 77
    assert process.stderr is not None
    (line,) = process.stderr.read().splitlines()
    assert line.startswith(f"marathond: The state folder {tmp_path / 'file'} cannot be used")


def test_a_loose_state_folder_is_closed_and_a_shared_one_refused(start: Start, tmp_path: Path) -> None:
    """An empty folder becomes 0700; one that holds other things and that everybody may write to is left alone, exit 77."""
    state, shared = tmp_path / "state", tmp_path / "shared"
    state.mkdir()
    state.chmod(0o777)
    start("--foreground")
    assert talk(state / "run" / "marathond.sock")["result"]
    assert stat.S_IMODE(state.stat().st_mode) == 0o700
    shared.mkdir()
    shared.chmod(0o1777)
    (shared / "something").touch()
    assert start("--foreground", MARATHON_STATE_DIR=str(shared)).wait(10) == 77
    assert os.listdir(shared) == ["something"]


def test_a_socket_path_too_long_is_explained(start: Start, tmp_path: Path) -> None:
    """The error of the listener reaches the user as a line, with exit code 64."""
    process = start("--socket", str(tmp_path / ("x" * 120)))
    assert process.wait(10) == 64
    assert process.stderr is not None
    assert "Linux allows 107" in process.stderr.read()


def test_the_service_manager_is_told(start: Start, tmp_path: Path) -> None:
    """READY=1 when it serves, WATCHDOG=1 while it lives, STOPPING=1 when it ends; also on an abstract address."""
    name = f"@marathon-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind("\0" + name[1:])
        manager.settimeout(10)
        process = start("--foreground", NOTIFY_SOCKET=name, WATCHDOG_USEC="40000")
        told = [manager.recv(100) for _ in range(4)]
        assert told[0] == b"READY=1"
        assert set(told[1:]) == {b"WATCHDOG=1"}
        assert talk(tmp_path / "state" / "run" / "marathond.sock")["result"]
        process.terminate()
        while told[-1] != b"STOPPING=1":
            told.append(manager.recv(100))
        assert process.wait(5) == 0


def test_a_socket_of_systemd_is_taken_over_and_left(start: Start, tmp_path: Path) -> None:
    """Started by socket activation, the daemon serves on the passed socket and does not remove it at the end."""
    path = tmp_path / "activated"
    process = start("--foreground", before=("systemd-socket-activate", f"--listen={path}", *passed_on()))
    assert talk(path)["result"]["version"] == "0"
    process.terminate()
    assert process.wait(5) == 0
    assert path.is_socket()
    assert not (tmp_path / "state" / "run").exists()


def passed_on() -> list[str]:
    """systemd-socket-activate passes few variables on by itself."""
    names = ("MARATHON_STATE_DIR", "MARATHON_CONFIG_DIR", "PYTHONPATH")
    return [f"--setenv={name}" for name in names]


def test_a_client_that_hangs_does_not_delay_the_end(start: Start, tmp_path: Path) -> None:
    """Clients with open subscriptions, half a message or an unread flood do not keep the daemon from ending in time."""
    path = tmp_path / "state" / "run" / "marathond.sock"
    process = start("--foreground")
    talk(path)
    socks = [socket.socket(socket.AF_UNIX) for _ in range(3)]
    texts = (b'{"jsonrpc":"2.0","id":1,"method":"ledger/subscribe"}\n', b"{", b"[]\n" * 100_000)
    for sock, text in zip(socks, texts, strict=True):
        sock.connect(str(path))
        sock.settimeout(0.2)
        try:
            sock.sendall(text)
        except TimeoutError:
            pass  # the flood's answers are not read, so the daemon stops reading too
    select.select(socks[:1], [], [], 10)
    began = time.monotonic()
    process.terminate()
    assert process.wait(5) == 0
    assert time.monotonic() - began < 2
    for sock in socks:
        sock.close()
