"""Runs `marathonctl` as a user does: a process with its own environment."""

import os
import select
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

REPOSITORY = Path(__file__).parents[2]


def environment(state: Path, **more: str) -> dict[str, str]:
    """An environment in which all places are below `state`."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("MARATHON_", "XDG_"))}
    own = {
        "MARATHON_STATE_DIR": str(state),
        "MARATHON_CONFIG_DIR": str(state / "config"),
        "PYTHONPATH": str(REPOSITORY),
    }
    return kept | own | more


def ctl(state: Path, *words: str, cwd: Path | None = None, **more: str) -> subprocess.CompletedProcess[str]:
    """Runs one command line to its end, at most 30 seconds."""
    return subprocess.run(
        [sys.executable, "-m", "marathonctl", *words],
        env=environment(state, **more),
        cwd=cwd or state,
        capture_output=True,
        check=False,
        text=True,
        timeout=30,
        stdin=subprocess.DEVNULL,
    )


@contextmanager
def ctl_running(state: Path, *words: str, **more: str) -> Iterator[subprocess.Popen[str]]:
    """A command line that goes on while the test does; killed at the end if it still runs."""
    process = subprocess.Popen(
        [sys.executable, "-m", "marathonctl", *words],
        env=environment(state, **more),
        cwd=state,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate()


def until(condition: Callable[[], object], seconds: float = 10.0) -> None:
    """Waits until `condition` holds; fails the test when it does not within `seconds`."""
    give_up = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < give_up, "it did not happen in time"
        select.select([], [], [], 0.01)
