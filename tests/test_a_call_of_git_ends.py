"""No call of git holds a session for ever."""

from pathlib import Path

import pytest

from marathond.workspace import git as calls
from marathond.workspace.git import GitError
from tests.support.jobs import is_alive, read_pid
from tests.support.repositories import Project, new_project

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(30)]


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
