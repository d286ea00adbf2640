"""A candidate whose start is no longer the tip is replayed onto it, or the conflict is told in full."""

from pathlib import Path

import pytest

from marathond.workspace.integrate import Conflict, Integrated, integrate
from tests.support.repositories import AT, Project, new_project

pytestmark = pytest.mark.anyio


@pytest.fixture
async def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    return await new_project(tmp_path, monkeypatch)


async def candidates(project: Project, base: str, *texts: dict[str, str]):
    """One candidate for each set of files, all from `base`."""
    made = []
    for k, files in enumerate(texts):
        workspace = await project.made(base, f"task{k}")
        for name, text in files.items():
            (workspace.path / name).write_text(text)
        made.append(await project.candidate(workspace, base, f"task{k}"))
    return made


async def test_on_an_unmoved_tip_the_candidate_is_the_result(project: Project) -> None:
    """Nothing is made when there is nothing to merge."""
    base = project.git("rev-parse", "HEAD")
    (one,) = await candidates(project, base, {"x": "x"})
    assert await integrate(project.repository, one, base, "m", AT) == Integrated(one.commit, one.tree, base, False)


async def test_changes_in_different_places_are_joined(project: Project) -> None:
    """Two parallel tasks that change different lines of a file both end in the tip, each as its own commit."""
    base = project.git("rev-parse", "HEAD")
    numbers = (project.root / "a.txt").read_text()
    one, two = await candidates(
        project, base, {"a.txt": numbers.replace("1\n", "one\n")}, {"a.txt": numbers.replace("9\n", "nine\n"), "n": "n"}
    )
    result = await integrate(project.repository, two, one.commit, "replayed\n", AT, ref="refs/marathon/s/replayed")
    assert isinstance(result, Integrated)
    assert project.show(result.commit, "a.txt").splitlines()[::8] == ["one", "nine"]
    assert project.git("log", "--format=%H", f"{base}..{result.commit}").split() == [result.commit, one.commit]
    assert project.git("rev-parse", "refs/marathon/s/replayed") == result.commit
    assert not result.empty
    again = await integrate(project.repository, two, one.commit, "replayed\n", AT)
    assert again == result, "the same replay gives the same commit"


async def test_a_change_that_is_in_the_tip_already_adds_nothing(project: Project) -> None:
    """Two tasks that did the same thing do not conflict; the second is empty."""
    base = project.git("rev-parse", "HEAD")
    one, two = await candidates(project, base, {"a.txt": "same\n"}, {"a.txt": "same\n"})
    result = await integrate(project.repository, two, one.commit, "m", AT)
    assert isinstance(result, Integrated)
    assert result.empty


async def test_a_conflict_names_all_paths_and_gives_the_patch(project: Project) -> None:
    """Every path that does not fit is named, and the old patch is there for the next attempt; nothing is committed."""
    base = project.git("rev-parse", "HEAD")
    one, two = await candidates(
        project,
        base,
        {"a.txt": "mine\n", "sub/b.txt": "mine\n", "née\n.txt": "mine"},
        {"a.txt": "yours\n", "sub/b.txt": "yours\n", "née\n.txt": "yours", "fine": "f"},
    )
    result = await integrate(project.repository, two, one.commit, "m", AT, ref="refs/marathon/s/replayed")
    assert isinstance(result, Conflict)
    assert result.paths == ("a.txt", "née\n.txt", "sub/b.txt")
    assert "+yours" in result.patch
    assert "b/fine" in result.patch
    assert project.git("for-each-ref", "refs/marathon/s") == ""


async def test_the_merge_base_is_the_candidates_parent(project: Project) -> None:
    """What the tip undid since is not brought back, and history that only looks related does not mislead the merge."""
    base = project.git("rev-parse", "HEAD")
    start = project.commit_object({"a.txt": "start\n", "gone": "g"}, base)
    (one,) = await candidates(project, start, {"x": "x"})
    unrelated = project.commit_object({"a.txt": "tip\n", "other": "o"}, base)
    result = await integrate(project.repository, one, unrelated, "m", AT)
    assert isinstance(result, Integrated)
    assert project.files(result.commit) == ["a.txt", "other", "x"]
    assert project.show(result.commit, "a.txt") == "tip"
