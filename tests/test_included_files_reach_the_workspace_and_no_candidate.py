"""`.worktreeinclude` brings untracked regular files of the checkout along, and they go no further."""

import os
from pathlib import Path

import pytest

from marathond.workspace import include
from marathond.workspace.include import IncludeError
from marathond.workspace.refs import rescue_ref
from tests.support.repositories import AT, SESSION, Project, new_project

pytestmark = pytest.mark.anyio


@pytest.fixture
async def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    made = await new_project(tmp_path, monkeypatch)
    made.commit({".worktreeinclude": ".env*\nconf/\n!conf/not\n*.pem\n#star\n"})
    return made


async def test_named_files_are_copied_with_their_mode(project: Project) -> None:
    """By gitignore's rules, ignored or not, with their permissions; files git tracks come from the commit."""
    base = project.git("rev-parse", "HEAD")
    for name in (".env", ".env.local", "conf/a", "conf/b [x]*?", "other", "build/key.pem"):
        (project.root / name).parent.mkdir(exist_ok=True)
        (project.root / name).write_text(name)
    (project.root / ".env").chmod(0o600)
    root = (await project.made(base)).path
    found = sorted(str(p.relative_to(root)) for p in root.rglob("*") if p.is_file())
    ours = [".env", ".env.local", "build/key.pem", "conf/a", "conf/b [x]*?"]
    assert found == sorted([*ours, ".git", ".gitignore", ".worktreeinclude", "a.txt", "sub/b.txt"])
    assert (root / ".env").stat().st_mode & 0o777 == 0o600


async def test_links_and_foreign_repositories_are_not_followed(project: Project, tmp_path: Path) -> None:
    """Neither a link, nor a file behind one in the checkout or in the workspace, nor anything of another repository."""
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "leak.pem").write_text("leak")
    (project.root / "out").symlink_to(outside)
    base = project.commit({"more": "m"})
    (project.root / ".env").symlink_to(outside / "leak.pem")
    (project.root / "conf").symlink_to(outside)
    (project.root / "inner").mkdir()
    project.git("init", "-q", cwd=project.root / "inner")
    (project.root / "inner" / "key.pem").write_text("k")
    os.mkfifo(project.root / "pipe.pem")
    root = (await project.made(base)).path
    assert sorted(os.listdir(root)) == [".git", ".gitignore", ".worktreeinclude", "a.txt", "more", "out", "sub"]
    assert os.listdir(outside) == ["leak.pem"]


async def test_a_link_in_the_commit_does_not_lead_a_copy_out(project: Project, tmp_path: Path) -> None:
    """When the commit has a link where the checkout has a folder, nothing is written through it."""
    outside = tmp_path / "outside"
    outside.mkdir()
    (project.root / "conf").symlink_to(outside)
    base = project.commit({"more": "m"})
    (project.root / "conf").unlink()
    project.git("rm", "-q", "--cached", "conf")
    (project.root / "conf").mkdir()
    (project.root / "conf" / "a").write_text("a")
    await project.made(base)
    assert os.listdir(outside) == []


async def test_a_file_of_the_commit_is_not_overwritten(project: Project) -> None:
    """What the commit has under the same name wins, and stays part of candidates."""
    base = project.commit({".env": "of the commit"})
    project.git("rm", "-q", "--cached", ".env")
    (project.root / ".env").write_text("of the user")
    workspace = await project.made(base)
    assert (workspace.path / ".env").read_text() == "of the commit"
    (workspace.path / ".env").write_text("by the agent")
    assert (await project.candidate(workspace, base)).changed == (".env",)


async def test_copies_are_in_no_candidate_and_survive_every_clean(project: Project) -> None:
    """Even when not ignored: not in a candidate, not in a rescue, and still there after checkout and fresh start."""
    base = project.git("rev-parse", "HEAD")
    names = [".env", "conf/a", "conf/b [x]*?", "conf/!c ", "conf/\\d"]
    for name in names:
        (project.root / name).parent.mkdir(exist_ok=True)
        (project.root / name).write_text(name)
    workspace = await project.made(base)
    (workspace.path / "conf" / "new").write_text("by the agent")
    candidate = await project.candidate(workspace, base)
    assert candidate.changed == ("conf/new",)
    await workspace.checkout(candidate.commit, AT)
    (workspace.path / "conf" / "left over").write_text("l")
    kept = (await workspace.reset_fresh(base, rescue_ref(SESSION, "task", 2), AT)).commit
    assert ".env" not in project.files(kept)
    assert sorted(os.listdir(workspace.path / "conf")) == sorted(n.removeprefix("conf/") for n in names[1:])
    assert (workspace.path / ".env").exists()


async def test_too_much_is_refused(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """More files or bytes than the limits allow is an error that says so."""
    base = project.git("rev-parse", "HEAD")
    (project.root / ".env").write_text("12345")
    (project.root / ".env2").write_text("12345")
    for limit, value, word in (("INCLUDE_BYTES_MAX", 9, "bytes"), ("INCLUDE_FILES_MAX", 1, "files")):
        with monkeypatch.context() as patch:
            patch.setattr(include, limit, value)
            with pytest.raises(IncludeError, match=word):
                await project.made(base)
    assert not project.workspace().path.exists(), "nothing half made is left"
    assert (await project.made(base)).path.exists()
