"""No git, no repository, a bare one, or none of its commits: each has its own error."""

import subprocess
from pathlib import Path

import pytest

from marathond.domain.errors import GIT_UNUSABLE, NO_COMMIT, NO_REPOSITORY, MarathonError
from marathond.workspace.repository import Repository
from tests.support.repositories import Project, new_project

pytestmark = pytest.mark.anyio


@pytest.fixture
async def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    return await new_project(tmp_path, monkeypatch)


async def refusal(path: Path, state: Path) -> MarathonError:
    with pytest.raises(MarathonError) as refused:
        await Repository.open(path, state)
    return refused.value


async def test_a_folder_outside_a_checkout_is_refused(project: Project, tmp_path: Path) -> None:
    """Plain folders, bare repositories and the inside of `.git` are no place to work."""
    (tmp_path / "plain").mkdir()
    subprocess.run(["git", "init", "-q", "--bare", str(tmp_path / "bare.git")], check=True)
    for path in (tmp_path / "plain", tmp_path / "bare.git", project.root / ".git", tmp_path / "absent"):
        error = await refusal(path, project.places.state)
        assert error.kind is NO_REPOSITORY, path
        assert str(path) in error.message


async def test_a_subfolder_and_a_linked_worktree_find_their_checkout(project: Project, tmp_path: Path) -> None:
    """The top folder is found from below, and all worktrees share one common folder."""
    below = await Repository.open(project.root / "sub", project.places.state)
    assert below.top == project.root
    odd = tmp_path / "odd\nname ☃"
    project.git("worktree", "add", "-q", "--detach", str(odd))
    linked = await Repository.open(odd, project.places.state)
    assert linked.top == odd
    assert linked.common_dir == below.common_dir == project.root / ".git"
    assert {worktree.path for worktree in await below.worktrees()} == {project.root, odd}


async def test_a_revision_without_a_commit_is_refused(project: Project) -> None:
    """A name that is none, one that looks like an option, and a tree."""
    assert await project.repository.resolve("main") == project.git("rev-parse", "HEAD")
    for revision in ("nonsense", "--all", "HEAD:sub", ""):
        with pytest.raises(MarathonError) as refused:
            await project.repository.resolve(revision)
        assert refused.value.kind is NO_COMMIT


async def test_a_missing_or_old_git_is_told(project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without git, and with one from before `merge-tree --write-tree`, nothing is tried."""
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    assert (await refusal(project.root, project.places.state)).kind is GIT_UNUSABLE
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "git").write_text("#!/bin/sh\necho git version 2.37.1\n")
    (tmp_path / "bin" / "git").chmod(0o755)
    error = await refusal(project.root, project.places.state)
    assert error.kind is GIT_UNUSABLE
    assert "2.37" in error.message
