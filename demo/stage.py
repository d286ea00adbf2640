"""Where the demo plays: a real repository, a Marathon of its own, and the processes of both, all in one temporary folder.

Leaving the stage ends the daemon and every attempt, by process id, and removes the folder.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any

HERE = Path(__file__).resolve().parent
PATIENCE_SECONDS = 30.0
PACE_SECONDS = 0.05
INTERRUPTS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
MARKER = "MARATHON_ATTEMPT"
"""The variable that Marathon sets for every process of an attempt."""


class Stage:
    """See the module."""

    def __init__(self) -> None:
        self.root = Path(tempfile.mkdtemp(prefix="marathon-demo-"))
        self.repo = self.root / "wordtools"
        self.plan = self.root / "plan.toml"
        self.session = ""
        keep = {name: value for name, value in os.environ.items() if not name.startswith(("GIT_", "MARATHON_"))}
        self.env = {
            **keep,
            "PATH": f"{Path(sys.executable).parent}:{keep.get('PATH', os.defpath)}",  # the plan's checks say `python3`
            "MARATHON_STATE_DIR": str(self.root / "state"),
            "MARATHON_CONFIG_DIR": str(self.root / "config"),
            "GIT_CONFIG_GLOBAL": os.devnull,
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_CONFIG_COUNT": "2",
            "GIT_CONFIG_KEY_0": "user.name",
            "GIT_CONFIG_VALUE_0": "A Developer",
            "GIT_CONFIG_KEY_1": "user.email",
            "GIT_CONFIG_VALUE_1": "developer@example.org",
            "PYTHONDONTWRITEBYTECODE": "1",
        }

    def __enter__(self) -> "Stage":
        for number in INTERRUPTS:
            signal.signal(number, signal.default_int_handler)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number in INTERRUPTS:
            signal.signal(number, signal.SIG_IGN)  # a second Ctrl-C must not leave processes behind
        self.end_processes()
        shutil.rmtree(self.root, ignore_errors=True)

    # --- the repository ---------------------------------------------------------------------------

    def make_repository(self) -> None:
        """A small Python package with a test, committed, and the contract beside it."""
        shutil.copytree(HERE / "project", self.repo, ignore=shutil.ignore_patterns("__pycache__"))
        shutil.copy(HERE / "plan.toml", self.plan)
        self.git("init", "-q", "-b", "main", ".")
        self.git("add", ".")
        self.git("commit", "-q", "-m", "A tiny package with a test")

    def git(self, *words: str) -> str:
        """Git in the repository; what it printed."""
        command = ["git", *words]
        return subprocess.run(command, cwd=self.repo, env=self.env, capture_output=True, text=True, check=True).stdout

    # --- Marathon ---------------------------------------------------------------------------------

    def ctl(self, *words: str) -> str:
        """`marathonctl` in the repository; what it printed. Raises CalledProcessError when it does not exit 0."""
        command = [sys.executable, "-m", "marathonctl", *words]
        return subprocess.run(command, cwd=self.repo, env=self.env, capture_output=True, text=True, check=True).stdout

    def ctl_process(self, *words: str) -> "subprocess.Popen[str]":
        """`marathonctl` at work; its output, remarks included, comes through a pipe."""
        return subprocess.Popen(
            [sys.executable, "-m", "marathonctl", *words],
            cwd=self.repo,
            env=self.env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,  # Ctrl-C is ours: we end everything in order
        )

    def status(self) -> dict[str, Any]:
        """The session as it is."""
        return dict(json.loads(self.ctl("status", self.session, "--json")))

    def entries(self) -> list[dict[str, Any]]:
        """The session's ledger."""
        return [json.loads(line) for line in self.ctl("tail", self.session, "--json", "--no-follow").splitlines()]

    # --- processes --------------------------------------------------------------------------------

    def daemon(self) -> int | None:
        """The process id of the daemon that lives now; the lock file names the last one."""
        try:
            pid = int((self.root / "state" / "marathond.lock").read_text())
        except (OSError, ValueError):
            return None
        return pid if f"MARATHON_STATE_DIR={self.root / 'state'}" in environment_of(pid) else None

    def agents(self) -> dict[str, int]:
        """The agents at work: task → process id. Each process of an attempt carries the attempt's name in its environment."""
        found: dict[str, int] = {}
        for pid, marker in self._marked():
            task = marker.split("/")[1]
            found[task] = max(pid, found.get(task, 0))  # the supervisor is older than the agent that it started
        return found

    def _marked(self) -> Iterator[tuple[int, str]]:
        """The processes of the session's attempts, with `<session>/<task>/<attempt>`."""
        prefix = f"{MARKER}={self.session}/"
        for pid in pids() if self.session else ():
            for variable in environment_of(pid):
                if variable.startswith(prefix):
                    yield pid, variable.partition("=")[2]

    def _ours(self) -> set[int]:
        """Every process that belongs to this stage: clients and daemons know its state folder, attempts its session."""
        known = f"MARATHON_STATE_DIR={self.root / 'state'}"
        return {pid for pid in pids() if known in environment_of(pid)} | {pid for pid, _ in self._marked()}

    def end_processes(self) -> None:
        """Ends them all, again and again: one that was about to start another may have done so meanwhile."""

        def none_left() -> bool:
            for pid in self._ours():
                end(pid)
            return not self._ours()

        until(none_left, "the demo's processes have ended")


def pids() -> list[int]:
    """All process ids."""
    return [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()]


def environment_of(pid: int) -> list[str]:
    """The environment that a process was started with; nothing for one that is gone or somebody else's."""
    try:
        return Path(f"/proc/{pid}/environ").read_bytes().decode(errors="replace").split("\0")
    except OSError:
        return []


def end(pid: int) -> None:
    """`kill -9`; a process that has gone by itself is fine."""
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        pass


def until(holds: Callable[[], bool], what: str) -> None:
    """Looks again and again, for a bounded time. Raises TimeoutError."""
    give_up = time.monotonic() + PATIENCE_SECONDS
    while not holds():
        if time.monotonic() > give_up:
            raise TimeoutError(f"not within {PATIENCE_SECONDS:g} s: {what}")
        time.sleep(PACE_SECONDS)
