"""The tip moves by compare-and-swap: whoever comes second is told, and a crash in between does no harm."""

from pathlib import Path

import anyio
import pytest

from marathond.workspace.checkpoint import advance, tip
from marathond.workspace.git import GitError
from marathond.workspace.refs import checkpoint_ref, session_refs, tip_ref
from tests.support.repositories import SESSION, Project, new_project

pytestmark = pytest.mark.anyio


@pytest.fixture
async def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    return await new_project(tmp_path, monkeypatch)


async def test_the_tip_and_the_tasks_checkpoint_move_together(project: Project) -> None:
    """After an advance both refs name the commit; one from the wrong place moves neither."""
    base = project.git("rev-parse", "HEAD")
    one, two = (project.commit_object({"x": text}, base) for text in "12")
    repository = project.repository
    assert await tip(repository, SESSION) is None
    assert await advance(repository, SESSION, "one", one, None)
    assert not await advance(repository, SESSION, "two", two, None)
    assert not await advance(repository, SESSION, "two", two, base)
    assert await repository.refs(session_refs(SESSION)) == {
        tip_ref(SESSION): one,
        checkpoint_ref(SESSION, "one"): one,
    }
    assert await advance(repository, SESSION, "two", two, one)
    assert await tip(repository, SESSION) == two


async def test_of_many_that_advance_from_one_tip_one_wins(project: Project) -> None:
    """Eight at once from the same place: one moves the tip, the others are told."""
    base = project.git("rev-parse", "HEAD")
    commits = [project.commit_object({"x": str(k)}, base) for k in range(8)]
    results: list[bool] = []

    async def try_it(k: int) -> None:
        results.append(await advance(project.repository, SESSION, f"t{k}", commits[k], None))

    async with anyio.create_task_group() as group:
        for k in range(8):
            group.start_soon(try_it, k)
    assert sorted(results) == [False] * 7 + [True]
    assert len(await project.repository.refs(session_refs(SESSION))) == 2


async def test_a_move_without_its_record_is_recognised(project: Project) -> None:
    """A tip that is there already counts as moved, and a checkpoint that was not set yet is set."""
    base = project.git("rev-parse", "HEAD")
    one = project.commit_object({"x": "1"}, base)
    assert await advance(project.repository, SESSION, "one", one, None)
    assert await advance(project.repository, SESSION, "one", one, None)
    project.git("update-ref", "-d", checkpoint_ref(SESSION, "one"))
    assert await advance(project.repository, SESSION, "one", one, None)
    assert await project.repository.read_ref(checkpoint_ref(SESSION, "one")) == one


async def test_a_ref_that_cannot_be_written_is_an_error(project: Project) -> None:
    """A commit that does not exist is not mistaken for a lost race."""
    with pytest.raises(GitError):
        await advance(project.repository, SESSION, "one", "1" * 40, None)
    assert await tip(project.repository, SESSION) is None
