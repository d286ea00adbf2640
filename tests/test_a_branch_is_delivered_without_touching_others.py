"""The delivered branch is made or moved by compare-and-swap, and nobody else's branch ever is."""

from pathlib import Path

import pytest

from marathond.delivery.branch import Delivered, deliver
from tests.support.repositories import Project, new_project

pytestmark = pytest.mark.anyio


@pytest.fixture
async def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    return await new_project(tmp_path, monkeypatch)


def results(project: Project) -> tuple[str, str, str]:
    """The base commit and two results, one on the other."""
    base = project.git("rev-parse", "HEAD")
    one = project.commit_object({"x": "1"}, base)
    return base, one, project.commit_object({"x": "2"}, one)


async def test_a_free_name_is_made_and_a_second_try_finds_it(project: Project) -> None:
    """A crash between the making of the branch and its record leaves no `-2` behind."""
    _, one, _ = results(project)
    assert await deliver(project.repository, "marathon/job", one) == Delivered("marathon/job", True, False)
    assert await deliver(project.repository, "marathon/job", one) == Delivered("marathon/job", False, False)
    assert project.git("for-each-ref", "--format=%(refname)", "refs/heads/marathon") == "refs/heads/marathon/job"


async def test_a_session_moves_its_own_branch_forward(project: Project) -> None:
    """After a retry the same branch holds the new result, also when the first try of the move was cut off."""
    _, one, two = results(project)
    await deliver(project.repository, "job", one)
    assert await deliver(project.repository, "job", two, ("job", one)) == Delivered("job", True, False)
    assert await deliver(project.repository, "job", two, ("job", one)) == Delivered("job", False, False)
    assert project.git("rev-parse", "refs/heads/job") == two


async def test_a_name_that_others_have_is_left_alone(project: Project) -> None:
    """The next free number is taken and said; so it is for an own branch that somebody moved, or removed and took."""
    base, one, two = results(project)
    project.git("branch", "job")
    project.git("branch", "job-2")
    assert await deliver(project.repository, "job", one) == Delivered("job-3", True, True)
    project.git("update-ref", "refs/heads/job-3", base)
    assert await deliver(project.repository, "job", two, ("job-3", one)) == Delivered("job-4", True, True)
    assert {project.git("rev-parse", name) for name in ("job", "job-2", "job-3")} == {base}


async def test_an_own_branch_that_the_user_deleted_is_made_again(project: Project) -> None:
    """The session's result is not lost because its first branch is gone."""
    _, one, two = results(project)
    assert await deliver(project.repository, "job", two, ("job", one)) == Delivered("job", True, False)


async def test_a_branch_that_is_checked_out_is_never_touched(project: Project, tmp_path: Path) -> None:
    """Not when a worktree has it, not when it is unborn there, and not in the middle of a rebase."""
    _, one, two = results(project)
    await deliver(project.repository, "job", one)
    project.git("worktree", "add", "-q", str(tmp_path / "other"), "job")
    assert await deliver(project.repository, "job", two, ("job", one)) == Delivered("job-2", True, True)
    assert project.git("status", "--porcelain", cwd=tmp_path / "other") == ""

    project.git("checkout", "-q", "--orphan", "unborn", cwd=tmp_path / "other")
    assert await deliver(project.repository, "unborn", one) == Delivered("unborn-2", True, True)

    project.git("checkout", "-q", "job", cwd=tmp_path / "other")
    with pytest.raises(AssertionError):
        project.git("rebase", "--exec", "false", "HEAD~1", cwd=tmp_path / "other")
    assert "detached" in project.git("worktree", "list", "--porcelain")
    assert await deliver(project.repository, "job", two, ("job", one)) == Delivered("job-2", False, True)
    assert project.git("rev-parse", "refs/heads/job") == one


async def test_names_that_git_cannot_have_side_by_side_are_written_with_a_dash(project: Project) -> None:
    """A branch `marathon` rules out `marathon/x`, and the reverse; the stand-in is readable and numbered if need be."""
    _, one, two = results(project)
    project.git("branch", "marathon")
    assert await deliver(project.repository, "marathon/x", one) == Delivered("marathon-x", True, True)
    assert await deliver(project.repository, "marathon/x", two) == Delivered("marathon-x-2", True, True)
    project.git("branch", "deep/er/est")
    assert await deliver(project.repository, "deep/er", one) == Delivered("deep-er", True, True)
    assert await deliver(project.repository, "deep", one) == Delivered("deep-2", True, True)
    project.git("pack-refs", "--all")
    assert await deliver(project.repository, "marathon/y", one) == Delivered("marathon-y", True, True)
