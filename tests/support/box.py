"""A whole Marathon in a temporary folder: real daemon, real client, real git.

    with Box(tmp_path) as box:
        session = box.start(contract_text)
        box.wait(session, "done")

The daemon is a process of its own; `kill_daemon` is `kill -9`, `stop_daemon` a hand-over. Leaving the block ends every process
that carries the box's attempt markers, and the daemon, by pid.
"""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

from marathonctl.client import Client
from marathonctl.render import json as json_lines
from marathonctl.streams import read_pages
from marathond.attempt import lifecycle
from marathond.domain.errors import MarathonError
from marathond.places import Places, find_places
from tests.support.ledgers import tamper

PACE_SECONDS = 0.02
GIT_CONFIG = {
    "user.name": "A User",
    "user.email": "user@example.org",
    "init.defaultBranch": "main",
    "commit.gpgSign": "false",
}


class Result:
    """What a command said. `json` is its standard output, decoded."""

    def __init__(self, done: subprocess.CompletedProcess[str]) -> None:
        self.code, self.out, self.err = done.returncode, done.stdout, done.stderr

    @property
    def json(self) -> Any:
        return json.loads(self.out)

    @property
    def lines(self) -> list[Any]:
        return [json.loads(line) for line in self.out.splitlines()]

    def __repr__(self) -> str:
        return f"exit {self.code}\n{self.out}{self.err}"


class Box:
    """See the module."""

    def __init__(self, root: Path, env: Mapping[str, str] | None = None) -> None:
        self.root = root
        self.repo = root / "repo"
        self.state = root / "state"
        self.config = root / "config"
        home = root / "home"
        for folder in (self.repo, self.config, home):
            folder.mkdir(parents=True, exist_ok=True)
        keep = {k: v for k, v in os.environ.items() if not k.startswith(("GIT_", "XDG_", "MARATHON_"))}
        self.env = {
            **keep, "HOME": str(home), "MARATHON_STATE_DIR": str(self.state), "MARATHON_CONFIG_DIR": str(self.config),
            "GIT_CONFIG_NOSYSTEM": "1", "GIT_CONFIG_GLOBAL": str(self._git_config(home)), **(env or {}),
        }  # fmt: skip
        self.daemon: subprocess.Popen[bytes] | None = None
        self.git("init", "-q", ".")
        (self.repo / "README").write_text("a repository\n")
        self.git("add", "README")
        self.git("commit", "-qm", "base")

    def _git_config(self, home: Path) -> Path:
        path = home / "gitconfig"
        lines = [f"[{name.split('.')[0]}]\n\t{name.split('.')[1]} = {value}\n" for name, value in GIT_CONFIG.items()]
        path.write_text("".join(lines))
        return path

    @property
    def places(self) -> Places:
        return find_places(self.env)

    # --- commands ---------------------------------------------------------------------------------

    def git(self, *args: str, check: bool = True) -> str:
        """Git in the user's repository."""
        done = subprocess.run(["git", *args], cwd=self.repo, env=self.env, capture_output=True, text=True, check=False)
        assert not check or done.returncode == 0, done.stderr
        return done.stdout

    def ctl(self, *args: str, timeout: float = 60, env: Mapping[str, str] | None = None) -> Result:
        """`marathonctl` in the repository's folder."""
        command = [sys.executable, "-m", "marathonctl", *args]
        return Result(
            subprocess.run(
                command, cwd=self.repo, env={**self.env, **(env or {})}, capture_output=True, text=True, check=False,
                timeout=timeout, stdin=subprocess.DEVNULL,
            )
        )  # fmt: skip

    def ctl_process(self, *args: str, env: Mapping[str, str] | None = None) -> "subprocess.Popen[str]":
        """`marathonctl` as a process that goes on; the caller waits for it."""
        return subprocess.Popen(
            [sys.executable, "-m", "marathonctl", *args], cwd=self.repo, env={**self.env, **(env or {})}, text=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip

    def write_plan(self, text: str, name: str = "plan.toml") -> Path:
        """A contract file beside the repository: it leaves the checkout clean."""
        path = self.root / name
        path.write_text(text if "[workspace]" in text else f'{text}\n[workspace]\nrepo = "repo"\n')
        return path

    def start(self, plan: str, *args: str) -> str:
        """Starts a session and returns its id."""
        self.daemon_up()
        result = self.ctl("start", str(self.write_plan(plan)), "--json", *args)
        assert result.code == 0, result
        return str(result.json["session_id"])

    # --- the daemon -------------------------------------------------------------------------------

    def daemon_up(self) -> None:
        """Starts a daemon when none of ours lives, and waits until it answers."""
        if self.daemon_spawned():
            self.until(self.answers, "the daemon answers", more=lambda: self.log[-3000:])

    def answers(self) -> bool:
        """Whether a daemon answers. Raises MarathonError when ours has ended and none does.

        A connection alone is no answer: a process that a killed daemon was just starting holds its socket for a moment more.
        """
        ended = self.daemon is not None and self.daemon.poll() is not None
        try:
            with Client(self.places.socket) as client:
                client.call("daemon/info")
        except MarathonError:
            if ended:
                raise
            return False
        return True

    def daemon_spawned(self) -> bool:
        """Starts a daemon when none of ours lives, and does not wait; whether it did."""
        if self.daemon is not None and self.daemon.poll() is None:
            return False
        self._spawn_daemon("-m", "marathond", "--foreground")
        return True

    def daemon_from(self, code: str, *args: str) -> None:
        """Starts a daemon by Python code that is given `args`, in place of one that has ended, and waits until it answers."""
        self._spawn_daemon("-c", code, *args)
        self.until(self.answers, "the daemon answers", more=lambda: self.log[-3000:])

    def _spawn_daemon(self, *args: str) -> None:
        with (self.root / "daemon.err").open("ab") as log:
            self.daemon = subprocess.Popen(
                [sys.executable, *args], cwd=self.root, env=self.env,
                stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=log,
            )  # fmt: skip

    def kill_daemon(self) -> None:
        """`kill -9`."""
        assert self.daemon is not None
        self.daemon.kill()
        self.daemon.wait()

    def stop_daemon(self) -> int:
        """SIGTERM: a hand-over. Returns its exit code."""
        assert self.daemon is not None
        self.daemon.terminate()
        return self.daemon.wait(timeout=20)

    @property
    def log(self) -> str:
        path = self.root / "daemon.err"
        return path.read_text() if path.exists() else ""

    # --- waiting and looking: over a connection, since a process for each look would be most of a test's time ---------

    def status(self, session: str) -> dict[str, Any]:
        with Client(self.places.socket) as client:
            return dict(client.call("session/status", session=session))

    def wait(self, session: str, *states: str, seconds: float = 60) -> dict[str, Any]:
        """Follows the ledger until the session is in one of `states`."""
        found: dict[str, Any] = {}

        def there() -> bool:
            found.update(self.status(session))
            return found["state"] in states

        self.until(there, f"{session} is {states}", seconds, lambda: f"{found}\n{self.log[-3000:]}")
        return found

    def until(self, holds: Any, what: str, seconds: float = 60, more: Any = lambda: "") -> None:
        """Looks again and again, for a bounded time."""
        end = time.monotonic() + seconds
        while not holds():
            assert time.monotonic() < end, f"not within {seconds} s: {what}\n{more()}"
            time.sleep(PACE_SECONDS)

    def entries(self, session: str | None = None) -> list[dict[str, Any]]:
        """The committed entries of a session, or of all streams."""
        scope = {"session": session} if session else {}
        with Client(self.places.socket) as client:
            return [json_lines.entry(row) for row in read_pages(client, 0, scope)]

    def kinds(self, session: str) -> list[str]:
        return [entry["kind"] for entry in self.entries(session)]

    def task(self, session: str, task: str) -> dict[str, Any]:
        return next(t for t in self.status(session)["tasks"] if t["id"] == task)

    def running(self, session: str, task: str) -> bool:
        return bool(self.task(session, task)["state"] == "running")

    def processes(self, session: str) -> list[str]:
        """The command lines of all that runs with the session's marker: attempts, checks, and what they have left."""
        found = []
        for process in Path("/proc").glob("[0-9]*"):
            try:
                if f"MARATHON_ATTEMPT={session}/".encode() in (process / "environ").read_bytes():
                    found.append((process / "cmdline").read_bytes().replace(b"\0", b" ").decode())
            except OSError:
                continue
        return found

    # --- the ledger's files -----------------------------------------------------------------------

    def tamper(self, *statements: str, values: tuple[object, ...] = ()) -> None:
        """See `ledgers.tamper`."""
        tamper(self.places, *statements, values=values)

    def until_anchored(self) -> None:
        """Waits until the head outside is the ledger's own: what is missing from then on shows."""
        outside = lambda: int(self.places.head.read_text().split()[1])  # noqa: E731
        self.until(lambda: outside() == self.entries()[-1]["seq"], "the head is outside")

    # --- the end ----------------------------------------------------------------------------------

    def close(self) -> None:
        for lock in (self.state / "marathond.lock",):
            try:
                pid = int(lock.read_text())
                os.kill(pid, signal.SIGKILL) if _is_ours(pid, self.state) else None
            except (OSError, ValueError):
                pass
        if self.daemon is not None and self.daemon.poll() is None:
            self.daemon.kill()
            self.daemon.wait()
        attempts = self.state / "attempts"
        for folder in attempts.glob("*/*/*") if attempts.exists() else ():
            lifecycle.sweep("/".join(folder.parts[-3:]))

    def __enter__(self) -> "Box":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None:
            print(self.log[-5000:])
        self.close()


def _is_ours(pid: int, state: Path) -> bool:
    try:
        environ = Path(f"/proc/{pid}/environ").read_bytes()
    except OSError:
        return False
    return f"MARATHON_STATE_DIR={state}".encode() in environ.split(b"\0")


def script(*actions: str) -> str:
    """A scripted prompt, as a TOML literal string."""
    return "'''\n" + "".join(f"[[do]]\n{action}\n" for action in actions) + "'''"


def append(path: str, text: str) -> str:
    """An action that appends a line."""
    return f'append = {{ path = "{path}", text = "{text}\\n" }}'


def write(path: str, text: str) -> str:
    """An action that writes a file."""
    return f'write = {{ path = "{path}", text = "{text}\\n" }}'
