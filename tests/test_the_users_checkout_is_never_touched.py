"""The user's HEAD, index, branches, configuration, stash and files are as they were, and no hook of theirs runs."""

import hashlib
from pathlib import Path

import pytest

from marathond.delivery.branch import deliver
from marathond.workspace.candidate import Candidate
from marathond.workspace.checkpoint import advance
from marathond.workspace.integrate import Integrated, integrate
from marathond.workspace.isolation import Removed
from marathond.workspace.refs import rescue_ref
from tests.support.repositories import AT, SESSION, Project, configure_git, new_project, open_project

pytestmark = pytest.mark.anyio


@pytest.fixture
async def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    return await new_project(tmp_path, monkeypatch)


def what_the_user_sees(project: Project) -> dict[str, str]:
    """Everything of a repository that is the user's; the index by its bytes."""
    git_dir = project.root / ".git"
    files = {str(p): p.read_bytes().hex() for p in project.root.rglob("*") if p.is_file() and git_dir not in p.parents}
    return files | {
        "index": hashlib.sha256((git_dir / "index").read_bytes()).hexdigest(),
        "HEAD": (git_dir / "HEAD").read_text(),
        "config": (git_dir / "config").read_text(),
        "hooks": ",".join(sorted(p.name for p in (git_dir / "hooks").iterdir())),
        "status": project.git("--no-optional-locks", "status", "--porcelain=v2", "--branch"),
        "reflog": project.git("reflog", "--all"),
        "stash": project.git("stash", "list"),
        "heads": project.git("for-each-ref", "refs/heads", "refs/tags", "refs/stash"),
        "exclude": (git_dir / "info" / "exclude").read_text(),
    }


async def whole_cycle(project: Project, base: str) -> str:
    """Two parallel tasks from workspace to integrated checkpoint, a fresh start and a removal; the last checkpoint."""
    one, two = [await project.made(base, task) for task in ("one", "two")]
    (one.path / "one.txt").write_text("1")
    project.git("add", "-A", cwd=one.path)
    project.git("commit", "-qm", "by the agent", cwd=one.path)
    (two.path / "two.txt").write_text("2")
    await two.reset_fresh(base, rescue_ref(SESSION, "two", 1), AT)
    (two.path / "two.txt").write_text("2")
    tip, old = base, None
    for task, workspace in (("one", one), ("two", two)):
        candidate = await project.candidate(workspace, base, task)
        result = await integrate(project.repository, candidate, tip, "replayed\n", AT)
        assert isinstance(result, Integrated)
        await workspace.checkout(result.commit, AT)
        assert await advance(project.repository, SESSION, task, result.commit, old)
        assert await workspace.remove(None, AT) == Removed()
        tip = old = result.commit
    return tip


async def test_a_full_cycle_changes_nothing_of_the_users(project: Project) -> None:
    """With staged, unstaged, untracked and stashed work about, a cycle up to the delivery leaves all of it alone."""
    base = project.git("rev-parse", "HEAD")
    (project.root / "a.txt").write_text("stashed\n")
    project.git("stash")
    (project.root / "a.txt").write_text("staged\n")
    project.git("add", "a.txt")
    (project.root / "sub" / "b.txt").write_text("unstaged\n")
    (project.root / "new.txt").write_text("untracked\n")
    before = what_the_user_sees(project)

    tip = await whole_cycle(project, base)
    assert what_the_user_sees(project) == before

    delivered = await deliver(project.repository, "marathon/job", tip)
    assert project.files(f"refs/heads/{delivered.branch}") == [".gitignore", "a.txt", "one.txt", "sub/b.txt", "two.txt"]
    after = what_the_user_sees(project)
    assert {k for k in after if after[k] != before[k]} == {"heads", "reflog"}, "only the new branch"
    assert set(after["heads"].splitlines()) - set(before["heads"].splitlines()) == {
        f"{tip} commit\trefs/heads/marathon/job"
    }


async def test_hooks_and_fsmonitor_of_the_repository_never_run(project: Project, tmp_path: Path) -> None:
    """A repository whose hooks and fsmonitor would leave a mark is worked on, and there is no mark."""
    base, mark = project.git("rev-parse", "HEAD"), tmp_path / "mark"
    trap = f"#!/bin/sh\necho $0 >> {mark}\n"
    for name in [
        "post-checkout",
        "reference-transaction",
        "pre-commit",
        "post-commit",
        "post-index-change",
        "commit-msg",
        "post-merge",
        "post-rewrite",
        "pre-auto-gc",
        "prepare-commit-msg",
        "pre-merge-commit",
        "fsmonitor",
    ]:
        hook = project.root / ".git" / "hooks" / name
        hook.write_text(trap)
        hook.chmod(0o755)
    project.git("config", "core.fsmonitor", str(project.root / ".git/hooks/fsmonitor"))
    project.git("status")
    assert mark.exists(), "the trap works"
    mark.unlink()

    workspace = await project.made(base)
    (workspace.path / "x").write_text("x")
    candidate = await project.candidate(workspace, base)
    await workspace.checkout(candidate.commit, AT)
    await workspace.reset_fresh(base, rescue_ref(SESSION, "task", 1), AT)
    await advance(project.repository, SESSION, "task", candidate.commit, None)
    await deliver(project.repository, "job", candidate.commit)
    await project.repository.changes()
    await workspace.remove(None, AT)
    assert not mark.exists(), mark.read_text()


async def test_a_steering_environment_has_no_effect(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """GIT_DIR, GIT_INDEX_FILE and their like in the daemon's environment do not lead git elsewhere."""
    base = project.git("rev-parse", "HEAD")
    with monkeypatch.context() as patch:
        for name in ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_OBJECT_DIRECTORY", "GIT_EXTERNAL_DIFF"):
            patch.setenv(name, "/nowhere")
        workspace = await project.made(base)
        (workspace.path / "x").write_text("x")
        candidate = await project.candidate(workspace, base)
    assert candidate.changed == ("x",)


async def test_commits_carry_the_users_identity_or_ours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The configured user makes the commits; where none is configured it is Marathon, not a guess from the host name."""
    configure_git(monkeypatch, tmp_path / "home")
    project = await open_project(tmp_path)
    base = project.git("rev-parse", "HEAD")
    assert await _author(project, base) == "Una User <una@example.org> 1800000000 +0000"

    monkeypatch.setenv("GIT_CONFIG_COUNT", "0")
    bare = type(project.repository)
    project.repository = await bare.open(project.root, project.places.state)
    assert await _author(project, base) == "Marathon <marathon@localhost> 1800000000 +0000"


async def _author(project: Project, base: str) -> str:
    tree = await project.repository.tree_of(base)
    commit = await project.repository.commit_tree(tree, [base], "m\n", AT)
    return project.git("log", "-1", "--format=%an <%ae> %ad", "--date=raw", commit)


async def test_without_isolation_head_branches_and_index_stay_the_users(project: Project) -> None:
    """In the checkout itself only files change; HEAD, branches, index and reflog are as before."""
    base = project.git("rev-parse", "HEAD")
    before = what_the_user_sees(project)
    workspace = await project.made(base, isolation="none")
    (workspace.path / "a.txt").write_text("by the agent\n")
    (workspace.path / "new.txt").write_text("new\n")
    candidate = await project.candidate(workspace, base)
    assert isinstance(candidate, Candidate)
    await workspace.checkout(candidate.commit, AT)
    await workspace.reset_fresh(base, rescue_ref(SESSION, "task", 1), AT)
    workspace.release()
    after = what_the_user_sees(project)
    assert {k for k in after if after[k] != before[k]} == set()
    assert project.files(candidate.commit) == [".gitignore", "a.txt", "new.txt", "sub/b.txt"]
