"""No call of git holds a session, a user's halt or the daemon's end for ever."""

from pathlib import Path

import pytest

from marathond.workspace import call as calls
from marathond.workspace.git import GitError
from tests.support.box import Box
from tests.support.jobs import is_alive, read_pid
from tests.support.repositories import Project, new_project

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(60)]


@pytest.fixture
async def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    return await new_project(tmp_path, monkeypatch)


async def test_a_filter_that_waits_for_ever_is_ended(
    project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Git and what it started are killed after the bound, with an error that says so; the next call works."""
    base = project.git("rev-parse", "HEAD")
    workspace = await project.made(base)
    project.git("config", "filter.slow.clean", f"echo $$ > {tmp_path}/pid; sleep 300")
    (workspace.path / ".gitattributes").write_text("*.slow filter=slow\n")
    (workspace.path / "a.slow").write_text("x")
    monkeypatch.setattr(calls, "GIT_SECONDS_MAX", 1.0)
    with pytest.raises(GitError, match="did not end within 1 s"):
        await project.candidate(workspace, base)
    assert not is_alive(read_pid(tmp_path / "pid"))
    (workspace.path / "a.slow").unlink()
    assert (await project.candidate(workspace, base)).changed == (".gitattributes",)


HANGING = """
[[task]]
id = "a"
run = "echo '*.slow filter=slow' > .gitattributes; echo x > a.slow"
attempts = 1
"""


def _hanging(box: Box) -> tuple[str, int]:
    """A session whose candidate hangs in a filter; its id, and the pid of the filter."""
    pid = box.root / "pid"
    box.git("config", "filter.slow.clean", f"test -e {box.root}/quick && cat || {{ echo $$ > {pid}; sleep 300; }}")
    session = box.start(HANGING)
    box.until(lambda: pid.exists() and pid.read_text().strip(), "the filter hangs")
    return session, int(pid.read_text())


def _goes_on(box: Box, session: str) -> None:
    assert box.wait(session, "done", "failed", "held", "waiting")["state"] == "done", box.ctl("why", session).out
    assert [t["attempts"] for t in box.status(session)["tasks"]] == [1]
    assert box.git("show", "marathon/a:a.slow") == "x\n"


def test_a_halt_ends_a_call_that_hangs(box: Box) -> None:
    """`halt` comes through though a filter of the user's waits for ever, and `resume` makes the same commit."""
    session, pid = _hanging(box)
    assert box.ctl("halt", session, timeout=30).code == 0
    box.until(lambda: not is_alive(pid), "the filter is gone")
    (box.root / "quick").touch()
    assert box.ctl("resume", session).code == 0
    _goes_on(box, session)


def test_an_abort_ends_a_call_that_hangs(box: Box) -> None:
    """So does `abort`; the session has ended."""
    session, pid = _hanging(box)
    assert box.ctl("abort", session, timeout=30).code == 0
    box.until(lambda: not is_alive(pid), "the filter is gone")
    assert box.status(session)["state"] == "aborted"


def test_the_daemon_ends_though_a_call_hangs(box: Box) -> None:
    """On SIGTERM the daemon lets go of a git that hangs, and the next one makes the commit."""
    session, pid = _hanging(box)
    assert box.stop_daemon() == 0
    box.until(lambda: not is_alive(pid), "the filter is gone")
    (box.root / "quick").touch()
    box.daemon_up()
    _goes_on(box, session)
