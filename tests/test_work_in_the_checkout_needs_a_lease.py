"""Without isolation one session at a time works in the checkout, from a clean start, and nothing there is lost."""

import subprocess
import sys
from pathlib import Path

import pytest

from marathond.domain.errors import CHECKOUT_BUSY, DIRTY_CHECKOUT, MarathonError
from marathond.workspace.isolation import Created, Existing, Removed
from marathond.workspace.locks import lock_path
from marathond.workspace.refs import rescue_ref
from tests.support.repositories import AT, SESSION, Project, new_project

pytestmark = pytest.mark.anyio


@pytest.fixture
async def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    return await new_project(tmp_path, monkeypatch)


async def test_a_dirty_checkout_is_refused_at_the_start_only(project: Project) -> None:
    """Changes and new files refuse a session's start and are named; once it works there, they are its own."""
    base = project.git("rev-parse", "HEAD")
    workspace = project.workspace(isolation="none")
    (project.root / "new ☃").write_text("n")
    (project.root / "a.txt").write_text("changed\n")
    with pytest.raises(MarathonError) as refused:
        await workspace.ensure(base, "r", AT)
    assert refused.value.kind is DIRTY_CHECKOUT
    assert "a.txt, new ☃" in refused.value.message
    project.git("stash", "--include-untracked")
    assert await workspace.ensure(base, "r", AT) == Created()
    (project.root / "a.txt").write_text("by the agent\n")
    assert await workspace.ensure(base, "r", AT) == Existing()
    assert await project.workspace("second", "none").ensure(base, "r", AT) == Created()
    workspace.release()


async def test_another_session_has_to_wait(project: Project) -> None:
    """The lease is a session's: its tasks share it, others are refused, in this process or another, until it is given back."""
    base = project.git("rev-parse", "HEAD")
    first = await project.made(base, isolation="none")
    other = project.workspace("task", "none", session="s00000000002")
    with pytest.raises(MarathonError) as refused:
        await other.ensure(base, "r", AT)
    assert refused.value.kind is CHECKOUT_BUSY
    assert SESSION in refused.value.message
    first.release()
    first.release()
    assert await other.ensure(base, "r", AT) == Created()
    other.release()

    lock = lock_path(project.repository.state, "checkout", project.root)
    code = "import fcntl,sys; f=open(sys.argv[1],'r+'); fcntl.flock(f,2); print('held',flush=True); sys.stdin.read()"
    with subprocess.Popen(
        [sys.executable, "-c", code, str(lock)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as holder:
        assert holder.stdout is not None
        holder.stdout.readline()
        with pytest.raises(MarathonError):
            await first.ensure(base, "r", AT)
        holder.communicate()
    assert await first.ensure(base, "r", AT) == Existing()
    first.release()


async def test_what_differs_before_a_check_is_kept_first(project: Project) -> None:
    """The user may edit while a session works here: what a checkout would overwrite goes under a ref."""
    base = project.git("rev-parse", "HEAD")
    workspace = await project.made(base, isolation="none")
    (project.root / "x").write_text("by the agent")
    candidate = await project.candidate(workspace, base)
    await workspace.checkout(candidate.commit, AT)
    assert project.git("for-each-ref", "refs/marathon/*/rescue") == ""
    (project.root / "a.txt").write_text("by the user\n")
    (project.root / "idea").write_text("by the user\n")
    await workspace.checkout(candidate.commit, AT)
    assert not (project.root / "idea").exists()
    kept = f"refs/marathon/{SESSION}/rescue/task/checkout"
    assert project.show(kept, "a.txt") == project.show(kept, "idea") == "by the user"
    workspace.release()


async def test_the_result_stays_in_the_checkout(project: Project) -> None:
    """A fresh start goes back to the tip with the rest kept; removing the workspace removes nothing."""
    base = project.git("rev-parse", "HEAD")
    workspace = await project.made(base, isolation="none")
    (project.root / "x").write_text("x")
    kept = (await workspace.reset_fresh(base, rescue_ref(SESSION, "task", 2), AT)).commit
    assert project.show(kept, "x") == "x"
    assert project.git("status", "--porcelain") == ""
    (project.root / "y").write_text("y")
    candidate = await project.candidate(workspace, base)
    assert await workspace.remove(None, AT) == Removed()
    assert project.git("status", "--porcelain") == "?? y"
    assert project.files(candidate.commit)[-1] == "y"
    workspace.release()
