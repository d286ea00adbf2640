"""`make demo`: short, true to what the README shows of it, and gone without a trace, also when it is interrupted."""

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[1]
COMMAND = [sys.executable, str(REPOSITORY / "demo" / "run.py")]


@pytest.fixture
def folder() -> Iterator[Path]:
    """A temporary folder with a short path: the demo's socket is in it."""
    path = Path(tempfile.mkdtemp(prefix="md-"))
    yield path
    shutil.rmtree(path, ignore_errors=True)


def processes_of(folder: Path) -> list[int]:
    """Processes whose environment or folder is in `folder`."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            told = (entry / "environ").read_bytes() + os.fsencode(os.readlink(entry / "cwd"))
        except OSError:
            continue
        if f"{folder}/marathon-demo-".encode() in told:
            found.append(int(entry.name))
    return found


def general(text: str) -> list[str]:
    """The lines without what differs from one time to the next: times, ids, hashes, process ids, counts of entries."""
    for pattern, word in (
        (r"\d\d:\d\d:\d\d", "TIME"),
        (r"\b[0-9a-f]{7,64}\b", "HASH"),
        (r"session \w{12}\b|run \w{12}\.\d", "SESSION"),
        (r"pid \d+|kill -9 \d+", "PID"),
        (r"\b[\d.]+m?s\b|\d+ seconds|\d+ entries|seq \d+", "N"),
    ):
        text = re.sub(pattern, word, text)
    return [line.strip() for line in text.splitlines() if line.strip()]


def test_the_demo_runs_and_the_readme_shows_its_output(folder: Path) -> None:
    """Within a minute it exits 0 and leaves nothing; every line that the README shows of it was printed."""
    began = time.monotonic()
    env = {**os.environ, "TMPDIR": str(folder)}
    done = subprocess.run(COMMAND, env=env, capture_output=True, text=True, check=False, timeout=110)
    assert done.returncode == 0, done.stdout + done.stderr
    assert time.monotonic() - began < 60
    assert list(folder.iterdir()) == []
    assert processes_of(folder) == []
    shown = re.search(r"<!-- demo -->\n```text\n(.*?)```", (REPOSITORY / "README.md").read_text(), re.DOTALL)
    assert shown, "the README shows no output of the demo"
    printed = general(done.stdout)
    missing = [line for line in general(shown[1]) if line != "…" and line not in printed]
    assert missing == [], done.stdout


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_demo_leaves_no_process(folder: Path, number: signal.Signals) -> None:
    """Ctrl-C at the worst moment, just after the daemon was killed, ends agents and daemons and removes the folder."""
    env = {**os.environ, "TMPDIR": str(folder)}
    with subprocess.Popen(COMMAND, env=env, stdout=subprocess.PIPE, text=True) as demo:
        try:
            for line in demo.stdout or ():
                if "No daemon lives" in line:
                    demo.send_signal(number)
            assert demo.wait(timeout=30) == 130
        finally:
            demo.kill()
    assert processes_of(folder) == []
    assert list(folder.iterdir()) == []
