"""Starts a daemon when none answers: through the user's systemd unit where there is one, else detached.

Several clients may do so at once: one daemon wins the lock, the others exit 1 and their clients connect to the winner.
"""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from time import monotonic, sleep

from marathonctl.client import Client, RemoteError
from marathond.domain.errors import DAEMON_RUNNING, DAEMON_UNREACHABLE, NOT_PERMITTED, REGISTRY, MarathonError
from marathond.places import Places, find_places

START_SECONDS_MAX = 20.0
"""How long a daemon may take until its socket answers; usually it is well under a second."""

UNIT = "marathond.service"
_LOST_THE_RACE = DAEMON_RUNNING.exit
_LOG_TAIL_BYTES = 16 * 1024


def connect_or_start(places: Places, environ: Mapping[str, str], *, may_start: bool) -> tuple[Client, bool]:
    """A client, and whether a daemon had to be started for it.

    Raises `MarathonError` of kind `daemon_unreachable` when none answers and none may be or could be started, and the
    daemon's own error when the one that was started says why it cannot run (`not_a_ledger`, for example).
    """
    try:
        return Client(places.socket), False
    except MarathonError as error:
        if error.kind is not DAEMON_UNREACHABLE or not may_start or "MARATHON_ATTEMPT" in environ:
            raise  # a daemon started from inside an attempt would die with it
    if not _start_unit(places, environ):
        start_detached(places, environ)
    return Client(places.socket), True


def start_detached(places: Places, environ: Mapping[str, str], command: Sequence[str] = ()) -> None:
    """Starts `command` (default: this Python's `marathond`) in a session of its own and waits until the socket answers.

    Its standard error goes to the log in the state folder, so that what it says before it can log is kept too. One that a
    signal ends before it answers is started once more: that is a loss of the daemon like any other.
    """
    argv = list(command) or [sys.executable, "-P", "-m", "marathond", "--json"]
    log = _open_log(places)
    try:
        for last in (False, True):
            began = os.fstat(log).st_size
            daemon = subprocess.Popen(
                argv,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=log,
                cwd="/",
                env=_absolute(places, environ),
                start_new_session=True,
            )
            if _wait_until_it_answers(places, daemon, log, began, last=last):
                return
    finally:
        os.close(log)


def _open_log(places: Places) -> int:
    """The daemon's log, in a state folder that is made if need be. Raises NOT_PERMITTED."""
    try:
        places.state.mkdir(mode=0o700, parents=True, exist_ok=True)
        return os.open(places.log, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    except OSError as error:
        reason = f"The state folder {places.state} cannot be used ({error.strerror})"
        raise MarathonError(
            NOT_PERMITTED, reason=reason, hint="Set MARATHON_STATE_DIR to a folder of yours."
        ) from error


def _wait_until_it_answers(
    places: Places, daemon: subprocess.Popen[bytes], log: int, began: int, *, last: bool
) -> bool:
    """False when a signal ended it and it was not the last try. Raises where it will not answer."""
    give_up = monotonic() + START_SECONDS_MAX
    pause = 0.005
    while monotonic() < give_up:
        if _answers(places):
            # It usually outlives us; should it die first, it must not stay behind as our zombie.
            threading.Thread(target=daemon.wait, daemon=True).start()
            return True
        code = daemon.poll()
        if code is not None and code < 0 and not last:
            return False
        if code not in (None, 0, _LOST_THE_RACE):
            raise _died(places, code or 0, _last_line(log, began))
        sleep(pause)
        pause = min(pause * 1.5, 0.1)
    line = _last_line(log, began)
    told = _told(line)
    words = told.message if told else line or "its log is silent"
    reason = f"one was started but did not answer within {START_SECONDS_MAX:g} s ({words})"
    raise MarathonError(DAEMON_UNREACHABLE, path=places.socket, reason=reason)


def _answers(places: Places) -> bool:
    try:
        Client(places.socket).close()
    except MarathonError as error:
        if error.kind is DAEMON_UNREACHABLE:
            return False
        raise
    return True


def _died(places: Places, code: int, last_line: str) -> MarathonError:
    told = _told(last_line)
    if told is not None and told.kind.exit == code:
        return told
    how = f"exit code {code}" if code > 0 else f"signal {-code}"
    reason = f"the one that was started ended at once ({how}): {last_line or 'it said nothing'}"
    error = MarathonError(DAEMON_UNREACHABLE, path=places.socket, reason=reason.removesuffix("."))
    if code in {kind.exit for kind in REGISTRY.values()}:
        error.kind = DAEMON_UNREACHABLE._replace(exit=code)
    error.hint = f"Its log is {places.log}."
    return error


def _told(line: str) -> RemoteError | None:
    """The error object with which `marathond --json` says why it cannot run; None when the line is none."""
    try:
        return RemoteError(json.loads(line))
    except (ValueError, TypeError, AttributeError):
        return None


def _last_line(log: int, began: int) -> str:
    """The last line that was written to the log since `began`."""
    size = os.fstat(log).st_size
    start = max(began, size - _LOG_TAIL_BYTES)
    text = os.pread(log, size - start, start).decode(errors="replace")
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1].removeprefix("marathond: ") if lines else ""


def _absolute(places: Places, environ: Mapping[str, str]) -> dict[str, str]:
    """The environment for a daemon whose working directory is not ours: the places that we use, written out."""
    env = dict(environ)
    if "MARATHON_STATE_DIR" in env:
        env["MARATHON_STATE_DIR"] = str(places.state)
    if "MARATHON_CONFIG_DIR" in env:
        env["MARATHON_CONFIG_DIR"] = str(places.config)
    env["MARATHON_SOCKET"] = str(places.socket)
    return env


def _start_unit(places: Places, environ: Mapping[str, str]) -> bool:
    """Starts the installed user unit; False when there is none that would serve these places."""
    usual = {name: value for name, value in environ.items() if not name.startswith("MARATHON_")}
    if places != find_places(usual) or not _has_unit(environ):
        return False
    done = subprocess.run(
        ["systemctl", "--user", "start", UNIT], capture_output=True, text=True, check=False, env=dict(environ)
    )
    if done.returncode == 0:
        return True
    if "connect to bus" in done.stderr:
        return False  # no user manager answers here: a container, a bare ssh command
    reason = f"systemctl could not start {UNIT}"
    error = MarathonError(DAEMON_UNREACHABLE, path=places.socket, reason=reason)
    error.hint = f"See `systemctl --user status {UNIT}` and `journalctl --user -u {UNIT}`."
    raise error


def _has_unit(environ: Mapping[str, str]) -> bool:
    """Whether the unit file is where systemd's user manager looks (systemd.unit(5)) and `systemctl` is at hand."""
    home = Path(environ.get("HOME", "/nonexistent"))
    folders = (
        Path(environ.get("XDG_CONFIG_HOME") or home / ".config") / "systemd/user",
        Path(environ.get("XDG_DATA_HOME") or home / ".local/share") / "systemd/user",
        Path("/etc/systemd/user"),
        Path("/usr/local/lib/systemd/user"),
        Path("/usr/lib/systemd/user"),
    )
    if not any((folder / UNIT).is_file() for folder in folders):
        return False
    return any((Path(folder) / "systemctl").exists() for folder in environ.get("PATH", "").split(":") if folder)
