"""Whatever happens to a workspace, work in it is kept: in place, under a ref, or in a folder set aside."""

import os
import shutil
from pathlib import Path

import anyio
import pytest

from marathond.workspace.isolation import Created, Existing, Kept, Removed, WorkspaceMissing
from marathond.workspace.refs import rescue_ref
from tests.support.repositories import AT, SESSION, Project, new_project

pytestmark = pytest.mark.anyio
RESCUE = rescue_ref(SESSION, "task", 2)


@pytest.fixture
async def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    return await new_project(tmp_path, monkeypatch)


async def test_an_existing_workspace_is_left_as_it_is(project: Project) -> None:
    """Ensuring a workspace again changes no file in it, even when another commit is asked for."""
    base = project.git("rev-parse", "HEAD")
    other = project.commit({"a.txt": "other\n"})
    workspace = await project.made(base)
    (workspace.path / "a.txt").write_text("unsaved\n")
    assert await workspace.ensure(other, "again", AT) == Existing()
    assert (workspace.path / "a.txt").read_text() == "unsaved\n"
    listed = project.git("worktree", "list", "--porcelain")
    assert f"worktree {workspace.path}\nHEAD {base}\ndetached\nlocked marathon {SESSION}" in listed


async def test_a_fresh_start_keeps_everything_under_a_ref_and_ignored_files_in_place(project: Project) -> None:
    """After a reset the files are the tip's, the set-up environment is there, and the rescue ref holds the rest."""
    base = project.git("rev-parse", "HEAD")
    workspace = await project.made(base)
    root = workspace.path
    (root / "build").mkdir()
    (root / "build" / "cache").write_text("expensive")
    theirs = project.commit({"committed": "c"}, cwd=root)
    (root / "a.txt").write_text("changed\n")
    (root / "new").mkdir()
    (root / "new" / "file").write_text("n")
    tip = project.commit_object({"a.txt": "tip\n", ".gitignore": "build/\n"}, base)

    kept = (await workspace.reset_fresh(tip, RESCUE, AT)).commit

    assert sorted(os.listdir(root)) == [".git", ".gitignore", "a.txt", "build"]
    assert (root / "build" / "cache").read_text() == "expensive"
    assert (root / "a.txt").read_text() == "tip\n"
    assert project.git("rev-parse", "HEAD", cwd=root) == tip
    assert project.git("status", "--porcelain", cwd=root) == ""
    assert kept == project.git("rev-parse", RESCUE)
    assert project.git("rev-parse", f"{kept}^") == theirs
    assert project.show(kept, "a.txt") == "changed"
    assert project.show(kept, "new/file") == "n"


async def test_a_second_rescue_keeps_the_first(project: Project) -> None:
    """A crash between rescue and reset, and more work before the next, lose nothing of either state."""
    base = project.git("rev-parse", "HEAD")
    workspace = await project.made(base)
    (workspace.path / "x").write_text("first")
    first = (await workspace.rescue(RESCUE, AT)).commit
    assert (await workspace.rescue(RESCUE, AT)).commit == first
    (workspace.path / "x").write_text("second")
    second = (await workspace.reset_fresh(base, RESCUE, AT)).commit
    assert project.show(second, "x") == "second"
    assert project.git("merge-base", "--is-ancestor", first, second) == ""


async def test_a_fresh_start_sets_the_agents_repositories_aside_whole(project: Project) -> None:
    """A nested repository leaves the fresh tree by rename, with its history and its ignored files."""
    base = project.git("rev-parse", "HEAD")
    workspace = await project.made(base)
    nested = workspace.path / "nes ted"
    nested.mkdir()
    project.git("init", "-q", cwd=nested)
    inner = project.commit({"file": "f"}, cwd=nested)
    kept = (await workspace.reset_fresh(base, RESCUE, AT)).commit
    assert not nested.exists()
    assert project.git("rev-parse", "HEAD", cwd=Path(f"{workspace.path}.quarantine-1")) == inner
    assert project.show(kept, "nes ted/file") == "f"
    assert (await project.candidate(workspace, base)).empty


async def test_a_half_finished_merge_of_the_agent_is_taken_and_ended(project: Project) -> None:
    """Conflict markers are work like any other: rescued; then the workspace is plain again."""
    base = project.git("rev-parse", "HEAD")
    workspace = await project.made(base)
    other = project.commit_object({"a.txt": "other\n"}, base)
    project.commit({"a.txt": "mine\n"}, cwd=workspace.path)
    with pytest.raises(AssertionError):
        project.git("merge", other, cwd=workspace.path)
    kept = (await workspace.reset_fresh(base, RESCUE, AT)).commit
    assert "<<<<<<<" in project.show(kept, "a.txt")
    assert "nothing to commit" in project.git("status", cwd=workspace.path)


async def test_removal_refuses_or_rescues_what_is_not_saved(project: Project) -> None:
    """Unsaved files, commits on no ref and repositories of the agent keep a workspace; a rescue ref lets it go."""
    base = project.git("rev-parse", "HEAD")
    workspace = await project.made(base)
    (workspace.path / "x").write_text("x")
    assert isinstance(await workspace.remove(None, AT), Kept)
    project.commit({"x": "x"}, cwd=workspace.path)
    assert isinstance(await workspace.remove(None, AT), Kept), "a detached commit would be lost"
    nested = workspace.path / "nested"
    nested.mkdir()
    project.git("init", "-q", cwd=nested)
    assert isinstance(await workspace.remove(RESCUE, AT), Kept)
    shutil.rmtree(nested)
    removed = await workspace.remove(RESCUE, AT)
    assert isinstance(removed, Removed)
    assert removed.rescued
    assert project.show(removed.rescued.commit, "x") == "x"
    assert not workspace.path.exists()
    assert await workspace.remove(None, AT) == Removed()
    assert project.git("worktree", "list").count("\n") == 0


async def test_a_folder_in_the_way_is_set_aside(project: Project) -> None:
    """A folder that git does not know as this worktree is renamed, with all that is in it."""
    base = project.git("rev-parse", "HEAD")
    workspace = project.workspace()
    workspace.path.mkdir(parents=True)
    (workspace.path / "precious").write_text("p")
    made = await workspace.ensure(base, "r", AT)
    assert isinstance(made, Created)
    assert made.quarantined
    assert (made.quarantined / "precious").read_text() == "p"
    assert (workspace.path / "a.txt").exists()


async def test_a_missing_folder_is_made_again(project: Project) -> None:
    """Where somebody removed the folder of a locked worktree, it is made anew at the commit that is asked for."""
    base = project.git("rev-parse", "HEAD")
    workspace = await project.made(base)
    shutil.rmtree(workspace.path)
    assert await workspace.ensure(base, "r", AT) == Created()
    assert project.git("status", "--porcelain", cwd=workspace.path) == ""
    assert len(list((project.root / ".git" / "worktrees").iterdir())) == 1


async def test_a_workspace_whose_making_was_cut_off_is_made_again(project: Project) -> None:
    """Registered and half filled is not complete: it is set aside and made anew."""
    base = project.git("rev-parse", "HEAD")
    workspace = project.workspace()
    workspace.path.parent.mkdir(parents=True)
    project.git("worktree", "add", "-q", "--detach", "--lock", "--no-checkout", str(workspace.path), base)
    (workspace.path / "a.txt").write_text("half")
    made = await workspace.ensure(base, "r", AT)
    assert isinstance(made, Created)
    assert made.quarantined
    assert project.git("status", "--porcelain", cwd=workspace.path) == ""


@pytest.mark.parametrize("damage", ["gone", "repository", "link"])
async def test_a_damaged_git_file_cannot_lead_git_elsewhere(project: Project, damage: str) -> None:
    """With `.git` removed or replaced, the candidate is still this workspace's; ensure writes `.git` again."""
    base = project.git("rev-parse", "HEAD")
    workspace = await project.made(base)
    (workspace.path / "x").write_text("x")
    (workspace.path / ".git").unlink()
    if damage == "repository":
        project.git("init", "-q", cwd=workspace.path)
    elif damage == "link":
        (workspace.path / ".git").symlink_to(project.root / ".git")
    assert (await project.candidate(workspace, base)).changed == ("x",)
    assert await workspace.ensure(base, "r", AT) == Existing()
    assert project.git("rev-parse", "--show-toplevel", cwd=workspace.path) == str(workspace.path)
    assert os.path.lexists(f"{workspace.path}.quarantine-1") == (damage != "gone")


async def test_a_link_in_the_place_of_a_workspace_is_not_followed(project: Project) -> None:
    """An agent that replaces its workspace by a link to the checkout does not get the checkout overwritten."""
    base = project.git("rev-parse", "HEAD")
    workspace = await project.made(base)
    workspace.path.rename(workspace.path.with_name("moved"))
    workspace.path.symlink_to(project.root)
    (project.root / "precious").write_text("p")
    with pytest.raises(WorkspaceMissing):
        await workspace.checkout(base, AT)
    with pytest.raises(WorkspaceMissing):
        await project.candidate(workspace, base)
    assert isinstance(await workspace.remove(None, AT), Kept)
    assert isinstance(await workspace.ensure(base, "r", AT), Created)
    assert (project.root / "precious").exists()
    assert not (workspace.path / "precious").exists()


async def test_a_check_sees_the_commit_and_the_environment(project: Project) -> None:
    """Before checks the tracked files are the commit's, leftovers are gone, and ignored files are there."""
    base = project.git("rev-parse", "HEAD")
    workspace = await project.made(base)
    root = workspace.path
    (root / "build").mkdir()
    (root / "build" / "env").write_text("e")
    (root / "x").write_text("x")
    candidate = await project.candidate(workspace, base)
    (root / "a.txt").unlink()
    (root / "sub" / "b.txt").write_text("changed by a check\n")
    (root / "left over").write_text("l")
    (root / "x").unlink()
    (root / "x").mkdir()
    (root / "x" / "y").write_text("in the way")
    await workspace.checkout(candidate.commit, AT)
    assert project.git("status", "--porcelain", cwd=root) == ""
    assert project.git("rev-parse", "HEAD", cwd=root) == candidate.commit
    assert (root / "build" / "env").exists()
    assert (root / "x").read_text() == "x"
    assert not (root / "left over").exists()


async def test_many_workspaces_can_be_made_at_once(project: Project) -> None:
    """Twelve tasks that start together each get theirs."""
    base = project.git("rev-parse", "HEAD")
    async with anyio.create_task_group() as group:
        for k in range(12):
            group.start_soon(project.made, base, f"task{k}")
    for k in range(12):
        assert project.git("status", "--porcelain", cwd=project.workspace(f"task{k}").path) == ""
