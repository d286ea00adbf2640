"""One lock per repository, whatever worktree of it somebody works from."""

from pathlib import Path

import anyio
import pytest

from marathond.workspace.repository import Repository
from tests.support.repositories import Project, new_project

pytestmark = pytest.mark.anyio


@pytest.fixture
async def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    return await new_project(tmp_path, monkeypatch)


async def test_more_waiters_than_threads_take_turns(project: Project, tmp_path: Path) -> None:
    """Sixty at once, half of them from a linked worktree: never two inside, and the holder can still run git."""
    project.git("worktree", "add", "-q", "--detach", str(tmp_path / "linked"))
    linked = await Repository.open(tmp_path / "linked", project.places.state)
    inside, seen = 0, []

    async def work(repository: Repository) -> None:
        nonlocal inside
        async with repository.lock():
            inside += 1
            seen.append(inside)
            await repository.read_ref("HEAD")
            inside -= 1

    async with anyio.create_task_group() as group:
        for _ in range(30):
            group.start_soon(work, project.repository)
            group.start_soon(work, linked)
    assert seen == [1] * 60


async def test_a_cancelled_waiter_leaves_the_lock_free(project: Project) -> None:
    """Whoever gives up waiting neither holds the lock afterwards nor keeps others from it."""
    waiting = anyio.Event()

    async def wait() -> None:
        waiting.set()
        async with project.repository.lock():
            pytest.fail("it was cancelled before")

    async with anyio.create_task_group() as group, project.repository.lock():
        group.start_soon(wait)
        await waiting.wait()
        group.cancel_scope.cancel()
    with anyio.fail_after(5):
        async with project.repository.lock():
            pass
