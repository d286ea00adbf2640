"""`isolation = "worktree"`: a detached, locked git worktree outside the user's checkout."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import anyio.to_thread

from marathond.places import Places
from marathond.store.files import make_folder, write_durably
from marathond.workspace.git import GitError
from marathond.workspace.include import IncludeError, include_files
from marathond.workspace.isolation import Created, Existing, Kept, Removed, WorkspaceMissing
from marathond.workspace.leaks import Forbidden
from marathond.workspace.nested import find_nested, unsaved_submodules, update_submodules
from marathond.workspace.refs import session_refs
from marathond.workspace.repository import Repository
from marathond.workspace.rescue import Rescued, let_go, rescue, take
from marathond.workspace.tree import WorkingTree


@dataclass
class Worktree:
    """A worktree at `path`, the same for all attempts of a task."""

    repository: Repository
    path: Path

    @classmethod
    def of(cls, repository: Repository, places: Places, session: str, task: str) -> "Worktree":
        """The worktree of a task, at its place in the state folder. Nothing is touched."""
        return cls(repository, places.workspaces.resolve() / session / task)

    @property
    def tree(self) -> WorkingTree:
        """The files. Raises WorkspaceMissing; `ensure` makes the worktree again, and sets aside what took its place."""
        admin = self._admin()
        if admin is None or not self._is_folder():
            raise WorkspaceMissing(f"{self.path} is not a worktree that git knows")
        return WorkingTree(self.path, admin, admin / "marathon", owns_head=True)

    async def ensure(self, commit: str, reason: str, at: int, forbidden: Forbidden | None = None) -> Created | Existing:
        """Makes the worktree at `commit`, locked with `reason`, unless it is there and complete.

        What cannot be trusted is renamed, never deleted: a folder that git does not know as this worktree, or one
        whose making was cut off. Where the folder is gone and git still knows it, it is made anew. A `.git` that does
        not lead where it should is set aside and written again. An existing worktree costs no process, a new one two,
        and one for `.worktreeinclude` and submodules where there are any.
        Raises GitError, IncludeError.
        """
        if await anyio.to_thread.run_sync(self._is_complete):
            await anyio.to_thread.run_sync(self._mend_link, self.tree.git_dir)
            return Existing()
        async with self.repository.lock():
            quarantined = await anyio.to_thread.run_sync(self._clear_way)
            forced = ("--force", "--force") if self._admin() else ()
            await self.repository.git.run(
                "worktree",
                "add",
                *forced,
                "--detach",
                "--no-checkout",
                "--lock",
                "--reason",
                reason,
                "--",
                str(self.path),
                commit,
            )
        try:
            await self._fill(commit)
        except (GitError, IncludeError):
            await self._unregister()  # nobody has worked in it yet
            raise
        return Created(quarantined)

    async def checkout(self, commit: str, at: int, forbidden: Forbidden | None = None) -> None:
        """Three processes, two right after a candidate of the same files; more when the tree has submodules."""
        tree = self.tree
        await anyio.to_thread.run_sync(self._mend_link, tree.git_dir)
        for nested in await tree.put(commit):  # left there, they would get into the next candidate
            await anyio.to_thread.run_sync(set_aside, self.path / os.fsdecode(nested), self.path)
        await self._submodules(tree)

    async def rescue(self, ref: str, at: int, forbidden: Forbidden | None = None) -> Rescued:
        """See `rescue.rescue`."""
        return await rescue(self.repository, self.tree, ref, at, forbidden)

    async def reset_fresh(self, commit: str, rescue_ref: str, at: int, forbidden: Forbidden | None = None) -> Rescued:
        """Rescue, then checkout. Nested repositories of the agent are set aside whole, with their history.

        What was withheld is gone with that: it was in this workspace alone.
        """
        kept = await self.rescue(rescue_ref, at, forbidden)
        if kept.commits_withheld:
            await self.tree.leave(commit)
        await self.checkout(commit, at)
        return kept

    async def remove(self, rescue_ref: str | None, at: int, forbidden: Forbidden | None = None) -> Removed | Kept:
        """Ignored files, being build products and copies, go with the worktree, and what was withheld. Thirteen processes at most."""
        admin = self._admin()
        if admin is None or not self._is_folder():
            return Removed() if self._is_absent() else Kept("git does not know it as a worktree")
        tree = self.tree
        if forbidden is not None:
            await let_go(tree, forbidden)
        if (self.path / ".gitmodules").exists() and (unsaved := await unsaved_submodules(tree.discovered)):
            return Kept("; ".join(unsaved))
        if await find_nested(tree.git):
            return Kept("it holds a git repository of its own")
        rescued = None
        if await self._is_unsaved(tree):
            if rescue_ref is None:
                return Kept("it holds work that is saved nowhere else")
            rescued = await self.rescue(rescue_ref, at, forbidden)
        await self._unregister()
        return Removed(rescued)

    def release(self) -> None:
        """A worktree is nobody else's: there is nothing to give back."""

    async def _unregister(self) -> None:
        """Twice `--force`: it is locked, and it may hold ignored files."""
        async with self.repository.lock():
            await self.repository.git.run("worktree", "remove", "--force", "--force", "--", str(self.path))

    # --- making -----------------------------------------------------------------------------------------
    async def _fill(self, commit: str) -> None:
        tree = self.tree
        await tree.put(commit, clean=False)
        included = await include_files(self.repository, self.path)
        if included:
            data = b"".join(path + b"\0" for path in included)
            await anyio.to_thread.run_sync(write_durably, tree.private / "included", data)
        await self._submodules(tree)
        await anyio.to_thread.run_sync(tree.remember, commit)

    async def _submodules(self, tree: WorkingTree) -> None:
        if (self.path / ".gitmodules").exists():
            await update_submodules(tree.discovered)

    def _clear_way(self) -> Path | None:
        """Renames what is at `path` unless it is nothing or an empty folder; the new name."""
        make_folder(self.path.parent)
        if self._is_absent():
            return None
        if self._is_folder() and not any(self.path.iterdir()):
            return None
        return set_aside(self.path, self.path)

    # --- looking ----------------------------------------------------------------------------------------
    def _is_complete(self) -> bool:
        admin = self._admin()
        return self._is_folder() and admin is not None and (admin / "marathon" / "placed.json").exists()

    def _is_folder(self) -> bool:
        """A link in its place could lead to the user's own checkout."""
        return self.path.is_dir() and not self.path.is_symlink()

    def _is_absent(self) -> bool:
        return not os.path.lexists(self.path)

    def _admin(self) -> Path | None:
        """The folder in which git keeps this worktree (gitrepository-layout(5), `worktrees/<id>/gitdir`)."""
        mine = str(self.path / ".git")
        return next((folder for folder, link in _links(self.repository.common_dir) if link == mine), None)

    def _mend_link(self, admin: Path) -> None:
        """Agents and checks find the repository by `.git`; without it git would look in the folders above."""
        link = self.path / ".git"
        if not link.is_symlink() and link.is_file() and link.read_bytes() == _pointer(admin):
            return
        if os.path.lexists(link):
            set_aside(link, self.path)
        write_durably(link, _pointer(admin))

    async def _is_unsaved(self, tree: WorkingTree) -> bool:
        """Whether the files are no commit's, or HEAD is below no ref. Candidates and checkpoints are the session's commits."""
        head, snapshot = await take(self.repository, tree)
        if snapshot.changes:
            mine = session_refs(self.path.parent.name) + "/"
            saved = await self.repository.git.run("for-each-ref", "--format=%(tree)", "--", mine)
            if snapshot.tree not in saved.text.splitlines():
                return True
        kept = await self.repository.git.run("for-each-ref", "--count=1", "--contains", head)
        return not kept.stdout


def set_aside(path: Path, beside: Path) -> Path:
    """Renames `path` to the first free `<beside>.quarantine-<k>` and returns that name. Nothing is deleted."""
    k = 1
    while os.path.lexists(aside := beside.with_name(f"{beside.name}.quarantine-{k}")):
        k += 1
    path.rename(aside)
    return aside


def _pointer(admin: Path) -> bytes:
    return b"gitdir: " + os.fsencode(admin) + b"\n"


def _links(common_dir: Path) -> Iterator[tuple[Path, str]]:
    """Each linked worktree's folder and the `.git` file it belongs to."""
    for link in (common_dir / "worktrees").glob("*/gitdir"):
        try:
            yield link.parent, os.fsdecode(link.read_bytes()).removesuffix("\n")
        except FileNotFoundError:
            continue  # made or removed by somebody else at this moment
