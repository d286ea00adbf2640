"""What an attempt left in its workspace, and nothing else, is in the candidate."""

import os
import time
from pathlib import Path

import pytest

from marathond.workspace.candidate import Refused
from marathond.workspace.refs import agent_ref, candidate_ref
from tests.support.jobs import until
from tests.support.repositories import AT, SESSION, Project, configure_git, new_project, open_project

pytestmark = pytest.mark.anyio


@pytest.fixture
async def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    return await new_project(tmp_path, monkeypatch)


async def test_new_changed_and_deleted_files_are_in_and_ignored_ones_are_not(project: Project) -> None:
    """Tracked files as they are, new files that are not ignored; names, modes and links exactly."""
    base = project.git("rev-parse", "HEAD")
    workspace = await project.made(base)
    root = workspace.path
    (root / "a.txt").write_text("changed\n")
    (root / "sub" / "b.txt").unlink()
    names = ["naïve ☃.txt", "two\nlines", "tab\there", ' "quoted" ', "-dash", ":(exclude)odd", "star*.txt"]
    for name in names:
        (root / name).write_text(name)
    Path(os.fsdecode(os.fsencode(root) + b"/latin-\xe9")).write_text("not UTF-8")
    (root / "tool.sh").write_text("#!/bin/sh\n")
    (root / "tool.sh").chmod(0o755)
    (root / "link").symlink_to("/etc/passwd")
    (root / "debug.log").write_text("ignored")
    os.mkfifo(root / "pipe")

    made = await project.candidate(workspace, base)

    assert set(project.files(made.commit)) == {".gitignore", "a.txt", "tool.sh", "link", "latin-\udce9", *names}
    assert made.changed_files == 12
    assert not made.empty
    assert project.git("rev-parse", f"{made.commit}^") == base
    assert project.git("ls-tree", made.commit, "tool.sh").startswith("100755")
    assert project.git("ls-tree", made.commit, "link").startswith("120000")
    assert project.show(made.commit, "link") == "/etc/passwd"
    assert project.git("rev-parse", candidate_ref(SESSION, "task", 1)) == made.commit


async def test_the_same_files_and_date_give_the_same_commit(project: Project) -> None:
    """Making a candidate again after a crash makes the same one; the workspace is as it was."""
    base = project.git("rev-parse", "HEAD")
    workspace = await project.made(base)
    (workspace.path / "x").write_text("x")
    first = await project.candidate(workspace, base)
    status = project.git("status", "--porcelain", cwd=workspace.path)
    assert await project.candidate(workspace, base) == first
    assert project.git("status", "--porcelain", cwd=workspace.path) == status == "?? x"


async def test_a_change_in_the_same_instant_and_of_the_same_size_is_seen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Our index is a cache by time and size; a file that is as new as the index is read again."""
    configure_git(monkeypatch, tmp_path / "home", core__trustctime="false")
    project = await open_project(tmp_path)
    base = project.git("rev-parse", "HEAD")
    workspace = await project.made(base)
    file = workspace.path / "sub" / "b.txt"
    instant = (AT // 10**6 - 10**8,) * 2  # long ago: by now the copy of an index would be much newer
    file.write_text("1\n")
    os.utime(file, instant)
    first = await project.candidate(workspace, base)
    (index,) = workspace.tree.private.glob("index-*")
    os.utime(index, instant)
    file.write_text("2\n")
    os.utime(file, instant)
    second = await project.candidate(workspace, first.commit, attempt=2)
    assert project.show(second.commit, "sub/b.txt") == "2"


async def test_a_change_that_is_disguised_is_seen(project: Project) -> None:
    """A change of the same size whose time was set back is in the candidate, whatever the repository's configuration trusts."""
    for name, value in (("trustctime", "false"), ("checkStat", "minimal"), ("ignoreStat", "true")):
        project.git("config", f"core.{name}", value)
    base = project.git("rev-parse", "HEAD")
    workspace = await project.made(base)
    file = workspace.path / "sub" / "b.txt"
    long_ago = (AT // 10**6 - 10**8,) * 2
    os.utime(file, long_ago)
    first = await project.candidate(workspace, base)
    until(lambda: int(time.time()) > int(file.stat().st_ctime))  # git compares whole seconds
    file.write_text("2\n")
    os.utime(file, long_ago)
    second = await project.candidate(workspace, first.commit, attempt=2)
    assert project.show(second.commit, "sub/b.txt") == "2"


async def test_nothing_done_is_an_empty_candidate(project: Project) -> None:
    """An attempt that changed nothing gives a candidate that says so."""
    base = project.git("rev-parse", "HEAD")
    made = await project.candidate(await project.made(base), base)
    assert made.empty
    assert made.tree == project.git("rev-parse", f"{base}^{{tree}}")


async def test_the_agents_own_commits_are_squashed_and_kept(project: Project) -> None:
    """On whatever branch the agent committed, the candidate is one commit on the start, and the agent's stays reachable."""
    base = project.git("rev-parse", "HEAD")
    workspace = await project.made(base)
    project.git("checkout", "-q", "--orphan", "elsewhere", cwd=workspace.path)
    project.commit({"one": "1"}, cwd=workspace.path)
    theirs = project.commit({"two": "2"}, cwd=workspace.path)
    (workspace.path / "three").write_text("3")

    made = await project.candidate(workspace, base)

    assert made.agent_commit == theirs == project.git("rev-parse", agent_ref(SESSION, "task", 1))
    assert project.git("rev-list", "--count", f"{base}..{made.commit}") == "1"
    assert project.files(made.commit) == [".gitignore", "a.txt", "one", "sub/b.txt", "three", "two"]


async def test_flags_and_locks_in_the_agents_index_hide_nothing(project: Project) -> None:
    """Changes behind --assume-unchanged and --skip-worktree are taken, and a lock that a dead git left is no obstacle."""
    base = project.git("rev-parse", "HEAD")
    workspace = await project.made(base)
    project.git("update-index", "--assume-unchanged", "a.txt", cwd=workspace.path)
    project.git("update-index", "--skip-worktree", "sub/b.txt", cwd=workspace.path)
    (workspace.path / "a.txt").write_text("hidden\n")
    (workspace.path / "sub" / "b.txt").write_text("hidden too\n")
    git_dir = Path(project.git("rev-parse", "--git-dir", cwd=workspace.path))
    (git_dir / "index.lock").write_text("")

    made = await project.candidate(workspace, base)
    assert made.changed == ("a.txt", "sub/b.txt")

    await workspace.checkout(base, AT)
    assert project.git("status", "--porcelain", cwd=workspace.path) == ""
    assert (workspace.path / "sub" / "b.txt").read_text() == "b\n"


async def test_an_ignored_file_that_the_agent_added_with_force_is_taken(project: Project) -> None:
    """`git add --force` is meant: the file is in the candidate, committed by the agent or only staged."""
    base = project.git("rev-parse", "HEAD")
    workspace = await project.made(base)
    (workspace.path / "build").mkdir()
    (workspace.path / "build" / "wanted").write_text("w")
    (workspace.path / "build" / "other").write_text("o")
    project.git("add", "--force", "build/wanted", cwd=workspace.path)
    made = await project.candidate(workspace, base)
    assert made.changed == ("build/wanted",)


async def test_a_damaged_index_of_the_agent_is_no_obstacle(project: Project) -> None:
    """The agent's index is not what a candidate is made from."""
    base = project.git("rev-parse", "HEAD")
    workspace = await project.made(base)
    git_dir = Path(project.git("rev-parse", "--git-dir", cwd=workspace.path))
    (git_dir / "index").write_bytes(b"rubbish")
    (workspace.path / "x").write_text("x")
    assert (await project.candidate(workspace, base)).changed == ("x",)


async def test_a_file_that_becomes_ignored_between_attempts_leaves_the_candidate(project: Project) -> None:
    """Each candidate goes by its start and the ignore rules now, not by what an earlier candidate held."""
    base = project.git("rev-parse", "HEAD")
    workspace = await project.made(base)
    (workspace.path / "cache.bin").write_text("c")
    first = await project.candidate(workspace, base)
    assert first.changed == ("cache.bin",)
    await workspace.checkout(first.commit, AT)
    (workspace.path / ".gitignore").write_text("*.log\nbuild/\n*.bin\n")
    second = await project.candidate(workspace, base, attempt=2)
    assert second.changed == (".gitignore",)


@pytest.mark.parametrize("committed", [False, True])
async def test_files_of_a_repository_the_agent_made_are_taken_as_files(project: Project, committed: bool) -> None:
    """A nested repository, with or without a commit and at any depth, enters as its files, by its own ignore rules."""
    base = project.git("rev-parse", "HEAD")
    workspace = await project.made(base)
    outer, inner = workspace.path / "new" / "outer", workspace.path / "new" / "outer" / "in ner"
    for folder in (outer, inner):
        folder.mkdir(parents=True)
        project.git("init", "-q", cwd=folder)
        (folder / ".gitignore").write_text("secret\n")
        (folder / "secret").write_text("s")
        (folder / "file").write_text(folder.name)
        if committed:
            project.git("add", ".gitignore", "file", cwd=folder)
            project.git("commit", "-qm", "inner", cwd=folder)
    (workspace.path / "plain").write_text("p")

    made = await project.candidate(workspace, base)

    expected = [
        "new/outer/.gitignore",
        "new/outer/file",
        "new/outer/in ner/.gitignore",
        "new/outer/in ner/file",
        "plain",
    ]
    assert sorted(made.changed) == expected
    assert "160000" not in project.git("ls-tree", "-r", made.commit)

    await workspace.checkout(made.commit, AT)
    (outer / "file").write_text("more")
    (outer / "late").write_text("late")
    again = await project.candidate(workspace, made.commit, attempt=2)
    assert sorted(again.changed) == ["new/outer/file", "new/outer/late"]
    assert (outer / ".git").is_dir(), "their history stays in the workspace"


async def test_a_candidate_with_a_secret_is_refused(project: Project) -> None:
    """A secret in a new file, a link's target, a name or across the border of two windows is found, and nothing is kept."""
    base = project.git("rev-parse", "HEAD")
    workspace = await project.made(base)
    secret = b"hunter2-hunter2"
    root = workspace.path
    (root / "plain").write_bytes(b"x" + secret + b"y")
    (root / "link").symlink_to("/tmp/" + secret.decode())
    (root / ("named-" + secret.decode())).write_text("")
    (root / "large").write_bytes(b"." * (8 * 1024 * 1024 - 7) + secret + b"." * 1024 * 1024)
    (root / "harmless").write_text("h")

    refused = await project.try_candidate(workspace, base, forbidden=lambda data: secret in data)

    assert isinstance(refused, Refused)
    assert refused.paths == ("large", "link", "named-hunter2-hunter2", "plain")
    assert secret.decode() not in refused.reason
    assert project.git("for-each-ref", "refs/marathon") == ""
    allowed = await project.try_candidate(workspace, base, forbidden=lambda data: b"absent" in data)
    assert not isinstance(allowed, Refused)


async def test_what_only_this_workspace_has_of_a_submodule_refuses_the_candidate(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Submodules are checked out; changes in them, or commits that no remote has, would be lost and are told."""
    configure_git(monkeypatch, tmp_path / "home", protocol__file__allow="always")
    (tmp_path / "library").mkdir()
    library = await open_project(tmp_path / "library")
    project = await open_project(tmp_path)
    project.git("submodule", "--quiet", "add", str(library.root), "lib")
    project.git("commit", "-qm", "with a submodule")
    base, config = project.git("rev-parse", "HEAD"), (project.root / ".git" / "config").read_text()
    workspace = await project.made(base)
    assert (workspace.path / "lib" / "a.txt").exists()
    assert (project.root / ".git" / "config").read_text() == config

    assert (await project.candidate(workspace, base)).empty
    (workspace.path / "lib" / "a.txt").write_text("changed\n")
    refused = await project.try_candidate(workspace, base)
    assert isinstance(refused, Refused)
    assert "lib has changes" in refused.reason

    project.commit({"c": "c"}, cwd=workspace.path / "lib")
    refused = await project.try_candidate(workspace, base)
    assert isinstance(refused, Refused)
    assert "on no remote branch" in refused.reason

    project.git("push", "-q", "origin", "HEAD:refs/heads/feature", cwd=workspace.path / "lib")
    assert (await project.candidate(workspace, base)).changed == ("lib",)
