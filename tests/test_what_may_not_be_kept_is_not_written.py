"""Files are looked through before git has them: what may not be kept is in no object, and all else is kept whole."""

from functools import partial
from pathlib import Path

import pytest

from marathond.workspace.apart import apart
from marathond.workspace.candidate import Candidate, Refused
from marathond.workspace.rescue import rescue
from tests.support.repositories import AT, Project, new_project

pytestmark = pytest.mark.anyio

SECRET = b"s3cret-value"
RESCUE = "refs/marathon/s00000000001/rescue/task/2"


@pytest.fixture(params=["plain", 'a:"b" c\\d é'])
async def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Project:
    root = tmp_path / request.param
    root.mkdir()
    return await new_project(root, monkeypatch)


def objects(project: Project) -> str:
    return project.git("cat-file", "--batch-all-objects", "--batch", "--buffer")


def forbidden(data: bytes) -> bool:
    return SECRET in data


@pytest.mark.parametrize("size", [10, 100_000], ids=["loose", "packed"])
async def test_a_candidate_is_written_whole_or_not_at_all(project: Project, size: int) -> None:
    """Also of files that git stores in packs of their own, and whatever the path of the repository is."""
    project.git("config", "core.bigFileThreshold", "50k")
    base = project.git("rev-parse", "HEAD")
    workspace = await project.made(base)
    for name in ("one", "two"):
        (workspace.path / name).write_bytes(name.encode() * size)
    (workspace.path / "bad").write_bytes(b"x" * size + SECRET)
    before = objects(project)
    refused = await project.try_candidate(workspace, base, forbidden=forbidden)
    assert isinstance(refused, Refused)
    assert refused.paths == ("bad",)
    assert objects(project) == before
    (workspace.path / "bad").unlink()
    made = await project.try_candidate(workspace, base, forbidden=forbidden)
    assert isinstance(made, Candidate)
    assert project.show(made.commit, "two") == "two" * size
    project.git("fsck", "--full", "--strict")
    assert not list((project.root / ".git/objects").glob("tmp_*"))
    again = await project.try_candidate(workspace, base, forbidden=forbidden)
    assert again == made


async def test_what_a_crash_left_apart_is_cleared_away(project: Project) -> None:
    """Objects that were written apart by a daemon that died are gone with the next look at the same workspace."""
    base = project.git("rev-parse", "HEAD")
    workspace = await project.made(base)
    (workspace.path / "bad").write_bytes(SECRET)
    left = apart(workspace.repository, workspace.tree)
    there, _ = await left.__aenter__()  # and no exit
    await there.snapshot(base)
    assert list((project.root / ".git/objects").glob("tmp_objdir-marathon-*/??/*"))
    (workspace.path / "bad").unlink()
    await project.try_candidate(workspace, base, forbidden=forbidden)
    assert not list((project.root / ".git/objects").glob("tmp_*"))
    await left.__aexit__(None, None, None)


async def test_a_rescue_keeps_all_but_that(project: Project) -> None:
    """Of commits and files with a secret the rest is kept on the commit that we left; a second rescue says the same."""
    base = project.git("rev-parse", "HEAD")
    workspace = await project.made(base)
    keep = partial(rescue, workspace.repository, workspace.tree, RESCUE, AT)
    project.commit({"a.txt": SECRET.decode(), "work": "long"}, cwd=workspace.path)
    (workspace.path / "nested").mkdir()
    project.git("init", "-q", cwd=workspace.path / "nested")
    (workspace.path / "nested/in").write_bytes(SECRET)
    (workspace.path / "nested/out").write_bytes(b"fine")
    kept = await keep(forbidden)
    assert kept.commits_withheld
    assert kept.withheld == ("a.txt", "nested/in")
    assert project.git("rev-parse", f"{kept.commit}^@") == base
    assert project.show(kept.commit, "a.txt") == project.show(base, "a.txt")
    assert project.show(kept.commit, "work") == "long"
    assert project.show(kept.commit, "nested/out") == "fine"
    assert "nested/in" not in project.files(kept.commit)
    assert (await keep(forbidden)).commit == kept.commit
    assert SECRET.decode() not in project.git("log", "-p", "--root", RESCUE)
