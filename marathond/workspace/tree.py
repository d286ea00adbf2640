"""A folder of files under an index of our own: taking its state as a git tree, and putting a commit into it.

The index that the user or the agent works with is never used to judge anything: flags in it (`--assume-unchanged`,
`--skip-worktree`) could hide changes, and it may be in the middle of a merge. Ours lies in the `private` folder and is
named after the commit it stands for, `index-<commit>`, so that one rename publishes both. It is only a cache: without
it, files are read instead of being recognised by their time and size.
"""

import os
import shutil
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple

import anyio.to_thread
import msgspec

from marathond.store.files import write_durably
from marathond.workspace.changes import GITLINK, Change, parse_changes
from marathond.workspace.git import Git, GitError
from marathond.workspace.nested import add_nested, find_nested, find_new

_OPERATIONS: Final = ("MERGE_HEAD", "MERGE_MODE", "MERGE_MSG", "CHERRY_PICK_HEAD", "REVERT_HEAD", "BISECT_START")
_OPERATION_FOLDERS: Final = ("rebase-merge", "rebase-apply", "sequencer")


class Snapshot(NamedTuple):
    """The state of the files as a tree in the object database. `changes` are against the commit it was taken from."""

    tree: str
    changes: list[Change]
    index_file: Path


class Placed(msgspec.Struct, frozen=True):
    """What we left: HEAD, and time and size of the index beside it. Its file says that the workspace is complete."""

    head: str
    index_stat: tuple[int, int] | None


@dataclass(frozen=True)
class WorkingTree:
    """Files at `path`, of the repository or worktree at `git_dir`.

    `owns_head`: HEAD and the index in `git_dir` are ours to set (a worktree we made), not the user's. `objects` is where objects are
    written when not into the repository.
    """

    path: Path
    git_dir: Path
    private: Path
    owns_head: bool
    objects: Path | None = None

    @property
    def git(self) -> Git:
        """Git here, naming the git folder and the files outright: a broken `.git` cannot lead it elsewhere."""
        return Git(self.path, git_dir=self.git_dir, work_tree=self.path, objects=self.objects)

    @property
    def discovered(self) -> Git:
        """Git as somebody working in the folder finds it; `git submodule` wants that."""
        return Git(self.path)

    # --- what is remembered -----------------------------------------------------------------------------
    def placed(self) -> Placed | None:
        """What we left here; None as long as the workspace was never complete."""
        try:
            return msgspec.json.decode((self.private / "placed.json").read_bytes(), type=Placed)
        except FileNotFoundError:
            return None

    def remember(self, head: str) -> None:
        """Records, durably, that the workspace is complete and what its HEAD and index are."""
        placed = Placed(head, _stat(self.git_dir / "index"))
        write_durably(self.private / "placed.json", msgspec.json.encode(placed))

    def included(self) -> list[bytes]:
        """Paths that `.worktreeinclude` brought here; they belong to no candidate and survive every clean."""
        try:
            return [p for p in (self.private / "included").read_bytes().split(b"\0") if p]
        except FileNotFoundError:
            return []

    async def head(self) -> str | None:
        """The commit HEAD names; None on a branch without a commit. No process when HEAD is detached."""
        text = await anyio.to_thread.run_sync((self.git_dir / "HEAD").read_text)
        if not text.startswith("ref:"):
            return text.strip()
        asked = await self.git.run("rev-parse", "--verify", "--quiet", "HEAD^{commit}", check=False)
        return asked.text if asked.code == 0 else None

    async def branch(self) -> str | None:
        """The full name of the branch that HEAD is on; None when it is detached."""
        text = await anyio.to_thread.run_sync((self.git_dir / "HEAD").read_text)
        return text.removeprefix("ref:").strip() if text.startswith("ref:") else None

    async def leave(self, commit: str) -> None:
        """Detaches HEAD at `commit`, where it is ours, and forgets where it was. Index and files stay. One process."""
        if not self.owns_head:
            return
        await anyio.to_thread.run_sync(self._drop_operations)
        await self.git.run("update-ref", "--no-deref", "HEAD", commit)
        for name in ("logs/HEAD", "ORIG_HEAD"):  # what they name is kept from being collected
            (self.git_dir / name).unlink(missing_ok=True)

    # --- taking -----------------------------------------------------------------------------------------
    async def snapshot(self, start: str, exclude: Sequence[bytes] = ()) -> Snapshot:
        """Everything that is tracked in `start`, or new and not ignored, or ignored but added by the agent with force.

        Nothing but objects is written. Repositories inside the folder are taken as plain files (see `nested`). Three
        processes; one more when our index stands for another commit, one when the agent used the index.
        Raises GitError, for example on a file that cannot be read.
        """
        index = await anyio.to_thread.run_sync(self._copy_of_index, start)
        git = self.git.with_index(index)
        left_out = [*self.included(), *exclude]
        if not (self.private / f"index-{start}").exists():
            await git.run("read-tree", "--reset", start)
        try:
            await add_all(git, left_out)
            changes = await self._changes(git, start)
            nested = any(c.mode == GITLINK != c.old_mode for c in changes)
        except GitError:
            if not await find_nested(git):
                raise
            nested = True  # one without a commit, which `git add` refuses
        if nested:
            await git.run("read-tree", "--reset", start)
            await add_nested(git, self.private, add_all, left_out)
            changes = await self._changes(git, start)
        if await self._add_forced(git, set(left_out)):
            changes = await self._changes(git, start)
        return Snapshot(await git.text("write-tree"), changes, index)

    async def adopt(self, index: Path, commit: str) -> None:
        """Makes the index of a snapshot ours: it stands for `commit`, whose tree it holds."""
        await anyio.to_thread.run_sync(self._publish, index, commit)

    async def _changes(self, git: Git, start: str) -> list[Change]:
        raw = await git.run("diff-index", "--cached", "--raw", "-r", "-z", "--no-renames", "--no-abbrev", start, "--")
        return parse_changes(raw.items)

    async def _add_forced(self, git: Git, left_out: set[bytes]) -> bool:
        """Adds what the agent's index tracks though it is ignored; whether there was anything new to add."""
        placed = self.placed()
        if placed is None or _stat(self.git_dir / "index") in (None, placed.index_stat):
            return False
        theirs = self.git.with_index(self.git_dir / "index")
        listed = await theirs.run("ls-files", "-z", "--cached", "--ignored", "--exclude-standard", check=False)
        known = await git.run("ls-files", "-z", "--cached", "--ignored", "--exclude-standard")
        # A damaged index of the agent lists nothing; its files are still there and taken by the rules for all.
        new = sorted(set(listed.items) - set(known.items) - left_out)
        forced = await anyio.to_thread.run_sync(_present, self.path, new)
        if forced:
            await git.run(
                "add", "--force", *_PATHS_FROM_INPUT, input=b"".join(b":(literal)" + p + b"\0" for p in forced)
            )
        return bool(forced)

    # --- putting ----------------------------------------------------------------------------------------
    async def put(self, commit: str, *, clean: bool = True) -> list[bytes]:
        """Makes the tracked files those of `commit`, whatever was there; ignored files stay.

        With `clean`, new files that are not ignored go, except those of `.worktreeinclude` and nested repositories,
        whose paths are returned. Three processes where HEAD is ours, else two; one less when the files are right
        already, as they are after a candidate. Raises GitError.
        """
        nested: list[bytes] = []
        if not (clean and await self._is_exactly(commit)):
            index = await anyio.to_thread.run_sync(self._copy_of_index, commit)
            await self.git.with_index(index).run("read-tree", "--reset", "-u", commit)
            await self.adopt(index, commit)
            nested = await self._clean(commit) if clean else []
        if self.owns_head:
            await anyio.to_thread.run_sync(self._drop_operations)
            if await anyio.to_thread.run_sync((self.git_dir / "HEAD").read_text) != f"{commit}\n":
                await self.git.run("update-ref", "--no-deref", "HEAD", commit)
            await anyio.to_thread.run_sync(self._give_index, commit)
        return nested

    async def _is_exactly(self, commit: str) -> bool:
        """Whether our index is that of `commit` and the files are too, with nothing new beside them."""
        index = self.private / f"index-{commit}"
        if not await anyio.to_thread.run_sync(index.exists):
            return False
        which = ("--modified", "--deleted", "--others", "--exclude-standard")
        listed = await self.git.with_index(index).run("ls-files", "-z", *which)
        return set(listed.items) <= set(self.included())

    async def _clean(self, commit: str) -> list[bytes]:
        """Removes what is new and not ignored; the nested repositories that are left. One process, two when needed."""
        git = self.git.with_index(self.private / f"index-{commit}")
        included = self.included()
        new = set(await find_new(git)) - set(included)
        nested = sorted(path.removesuffix(b"/") for path in new if path.endswith(b"/"))
        if len(new) > len(nested):
            kept = [part for path in included for part in ("-e", "/" + _escape_pattern(os.fsdecode(path)))]
            await git.run("clean", "-f", "-d", "-q", *kept)
        return nested

    def _copy_of_index(self, commit: str) -> Path:
        """A fresh index to work on, as near to `commit` as there is one."""
        self.private.mkdir(mode=0o700, parents=True, exist_ok=True)
        working = self.private / "working"
        for leftover in (working, working.with_name("working.lock")):
            leftover.unlink(missing_ok=True)
        exact = self.private / f"index-{commit}"
        best = exact if exact.exists() else next(self.private.glob("index-*"), None)
        if best is not None:
            copy_index(best, working)
        return working

    def _publish(self, index: Path, commit: str) -> None:
        target = self.private / f"index-{commit}"
        index.rename(target)
        for other in self.private.glob("index-*"):
            if other != target:
                other.unlink()

    def _give_index(self, commit: str) -> None:
        """Whoever works here next sees an index that fits HEAD. A lock left there is of a process that is gone."""
        (self.git_dir / "index.lock").unlink(missing_ok=True)
        copy_index(self.private / f"index-{commit}", self.git_dir / "index")
        if self.placed() is not None:  # only its maker says that a workspace is complete
            self.remember(commit)

    def _drop_operations(self) -> None:
        """Ends a merge, rebase or the like that was left half-way: HEAD moves on without it. Its commits stay where they are."""
        (self.git_dir / "HEAD.lock").unlink(missing_ok=True)
        for name in _OPERATIONS:
            (self.git_dir / name).unlink(missing_ok=True)
        for name in _OPERATION_FOLDERS:
            with suppress(FileNotFoundError):
                shutil.rmtree(self.git_dir / name)


_PATHS_FROM_INPUT: Final = ("--pathspec-from-file=-", "--pathspec-file-nul")


async def add_all(git: Git, exclude: Sequence[bytes]) -> None:
    """Brings `git`'s index up to date with its files, less the paths `exclude`. Raises GitError. One process, two with `exclude`."""
    if exclude := await _not_ignored(git, exclude):
        specs = b".\0" + b"".join(b":(exclude,literal,top)" + path + b"\0" for path in exclude)
        await git.run("add", "--all", *_PATHS_FROM_INPUT, input=specs)
    else:
        await git.run("add", "--all")


async def _not_ignored(git: Git, paths: Sequence[bytes]) -> list[bytes]:
    """Those that git would add. To name an ignored file is an error to `git add`, even to leave it out."""
    if not paths:
        return []
    found = await git.run("check-ignore", "-z", "--stdin", input=b"".join(path + b"\0" for path in paths), check=False)
    if found.code > 1:
        raise GitError(("check-ignore",), found.code, found.stderr)
    ignored = set(found.items)
    return [path for path in paths if path not in ignored]


def copy_index(source: Path, target: Path) -> None:
    """Copies a git index with its modification time.

    Git takes an entry whose file is as new as the index for possibly changed (Documentation/technical/racy-git.txt); a
    copy with a later time would hide such a change.
    """
    temporary = target.with_name(f"{target.name}.copy")
    shutil.copy2(source, temporary)
    temporary.rename(target)


def _stat(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    return found.st_mtime_ns, found.st_size


def _present(root: Path, paths: list[bytes]) -> list[bytes]:
    """Those of `paths` that exist below `root`."""
    return [path for path in paths if os.path.lexists(os.fsencode(root) + b"/" + path)]


def _escape_pattern(path: str) -> str:
    """A gitignore pattern that matches exactly `path` (gitignore(5): backslash escapes, also a trailing space)."""
    return "".join("\\" + c if c in "\\*?[]!# \t" else c for c in path)
