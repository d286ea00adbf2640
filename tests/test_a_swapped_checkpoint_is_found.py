"""Whatever replaces a checkpoint's content under its name is found and named."""

import os
import zlib
from pathlib import Path

import pytest

from marathond.workspace.checkpoint import advance, blob_list
from marathond.workspace.proof import verify_checkpoint
from marathond.workspace.refs import tip_ref
from tests.support.repositories import SESSION, Project, new_project

pytestmark = pytest.mark.anyio


@pytest.fixture(params=["sha1", "sha256"])
async def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Project:
    return await new_project(tmp_path, monkeypatch, f"--object-format={request.param}")


async def checkpoint(project: Project) -> tuple[str, str, bytes]:
    """Base, checkpoint and its list of files."""
    base = project.git("rev-parse", "HEAD")
    workspace = await project.made(base)
    (workspace.path / "deep" / "er").mkdir(parents=True)
    (workspace.path / "deep" / "er" / "file").write_text("content\n")
    (workspace.path / "deep" / "link").symlink_to("er/file")
    (workspace.path / "tool").write_text("t")
    (workspace.path / "tool").chmod(0o755)
    (workspace.path / "a.txt").unlink()
    made = await project.candidate(workspace, base)
    assert await advance(project.repository, SESSION, "task", made.commit, None)
    return base, made.commit, await blob_list(project.repository, base, made.commit)


async def problems(project: Project, commit: str, blobs: bytes) -> str:
    return "\n".join(await verify_checkpoint(project.repository, tip_ref(SESSION), commit, blobs))


def overwrite(project: Project, oid: str, kind: str, content: bytes) -> None:
    """Puts other content into the loose object `oid`."""
    path = project.root / ".git" / "objects" / oid[:2] / oid[2:]
    os.chmod(path, 0o644)
    path.write_bytes(zlib.compress(f"{kind} {len(content)}\0".encode() + content))


async def test_an_untouched_checkpoint_has_no_problems(project: Project) -> None:
    """Loose or packed, with all kinds of files, and the base commit by itself before the first checkpoint."""
    base, commit, blobs = await checkpoint(project)
    assert [row.split(b'"')[0] for row in blobs.split(b'"path":"')[1:]] == [b"deep/er/file", b"deep/link", b"tool"]
    assert blobs == await blob_list(project.repository, base, commit)
    assert await problems(project, commit, blobs) == ""
    project.git("repack", "-adq")
    assert await problems(project, commit, blobs) == ""
    assert await verify_checkpoint(project.repository, None, base) == []


async def test_another_commit_at_the_ref_is_found(project: Project) -> None:
    """The ref must name exactly the recorded commit; none there is found too."""
    base, commit, blobs = await checkpoint(project)
    other = project.commit_object({"x": "other"}, base)
    project.git("update-ref", tip_ref(SESSION), other)
    assert f"names {other}" in await problems(project, commit, blobs)
    project.git("update-ref", "-d", tip_ref(SESSION))
    assert "does not exist" in await problems(project, commit, blobs)


async def test_a_replace_ref_changes_nothing(project: Project) -> None:
    """With `git replace` others see another commit; what is verified is the real one."""
    base, commit, blobs = await checkpoint(project)
    project.git("replace", commit, project.commit_object({"x": "other"}, base))
    assert project.files(commit) == ["x"]
    assert await problems(project, commit, blobs) == ""


@pytest.mark.parametrize("which", ["commit", "root", "inner", "blob"])
async def test_a_tampered_object_is_found(project: Project, which: str) -> None:
    """A loose object with other content than its id says, anywhere from the commit down to a file."""
    base, commit, blobs = await checkpoint(project)
    other = project.commit_object({"x": "other"}, base)
    target, source, kind = {
        "commit": (commit, other, "commit"),
        "root": (f"{commit}^{{tree}}", f"{other}^{{tree}}", "tree"),
        "inner": (f"{commit}:deep/er", f"{other}^{{tree}}", "tree"),
        "blob": (f"{commit}:deep/er/file", f"{other}:x", "blob"),
    }[which]
    oid = project.git("rev-parse", target)
    content = project.git("cat-file", kind, project.git("rev-parse", source)).encode("utf-8", "surrogateescape")
    overwrite(project, oid, kind, content)
    assert oid in await problems(project, commit, blobs)


@pytest.mark.parametrize("which", ["^{commit}", "^{tree}", ":deep/er", ":tool"])
async def test_a_missing_or_broken_object_is_found(project: Project, which: str) -> None:
    """An object that is gone, or does not decompress, is a problem and not an exception."""
    _, commit, blobs = await checkpoint(project)
    oid = project.git("rev-parse", commit + which)
    path = project.root / ".git" / "objects" / oid[:2] / oid[2:]
    os.chmod(path, 0o644)
    path.write_bytes(b"\x78\x01rubbish")
    assert await problems(project, commit, blobs) != ""
    path.unlink()
    assert await problems(project, commit, blobs) != ""


async def test_a_list_that_does_not_fit_is_found(project: Project) -> None:
    """A digest, a mode or a path in the list that is not the commit's, and a list that is none."""
    _, commit, blobs = await checkpoint(project)
    row = blobs.index(b'"sha256":"') + 10
    changed = blobs[:row] + (b"0" if blobs[row : row + 1] != b"0" else b"1") + blobs[row + 1 :]
    assert "another SHA-256" in await problems(project, commit, changed)
    assert "tool is not in" in await problems(project, commit, blobs.replace(b"100755", b"100644"))
    assert "slow is not in" in await problems(project, commit, blobs.replace(b'"tool"', b'"slow"'))
    assert "cannot be read" in await problems(project, commit, b"[{]")
