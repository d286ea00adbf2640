"""`isolation = "none"`: attempts work in the user's own checkout, under a lease and with nothing lost.

Only files change there. HEAD, branches and the index are the user's: candidates are made with an index of ours in the
state folder, so that for the user the session's work appears as changes that are not committed. Because the folder is
shared, a contract with this isolation runs one task at a time. What an agent commits itself moves the user's branch as
if the user had done it; it is never taken back.
"""

import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import anyio.to_thread

from marathond.domain.errors import CHECKOUT_BUSY, DIRTY_CHECKOUT, MarathonError
from marathond.places import Places
from marathond.store.files import make_folder, write_durably
from marathond.workspace.apart import apart
from marathond.workspace.isolation import Created, Existing, Kept, Removed
from marathond.workspace.leaks import Forbidden
from marathond.workspace.locks import Lease, lock_path
from marathond.workspace.repository import Repository
from marathond.workspace.rescue import Rescued, rescue
from marathond.workspace.tree import WorkingTree

_FILES_SHOWN: Final = 5

_leases: dict[Path, tuple[str, Lease]] = {}
"""The leases of this process by lock file, with the session they are for: all tasks of a session share one."""


@dataclass
class Checkout:
    """The user's checkout as the workspace of a task; `folder` is where what we remember of it lies."""

    repository: Repository
    session: str
    task: str
    folder: Path

    @classmethod
    def of(cls, repository: Repository, places: Places, session: str, task: str) -> "Checkout":
        """The checkout as the workspace of a task. Nothing is touched."""
        return cls(repository, session, task, places.workspaces.resolve() / session / task)

    @property
    def path(self) -> Path:
        """The checkout's top folder."""
        return self.repository.top

    @property
    def tree(self) -> WorkingTree:
        """The files, with our own index."""
        return WorkingTree(self.path, self.repository.git_dir, self.folder, owns_head=False)

    async def ensure(self, commit: str, reason: str, at: int, forbidden: Forbidden | None = None) -> Created | Existing:
        """Takes the session's lease on the checkout and, for a task that is new there, puts the files of `commit` there.

        Raises MarathonError: CHECKOUT_BUSY when another session has the lease, DIRTY_CHECKOUT when the session is new
        there and the checkout holds changes. `reason` has no use here.
        """
        del reason
        self._take_lease()
        if self.tree.placed() is not None:
            return Existing()
        started = self.folder.with_name("checkout.started")
        if not started.exists():
            await self._refuse_changes()
            await anyio.to_thread.run_sync(make_folder, self.folder.parent)
            await anyio.to_thread.run_sync(write_durably, started, b"")
        await anyio.to_thread.run_sync(make_folder, self.folder)
        await self._put(commit, "0", at, forbidden)
        await anyio.to_thread.run_sync(self.tree.remember, await self.repository.resolve("HEAD"))
        return Created()

    async def checkout(self, commit: str, at: int, forbidden: Forbidden | None = None) -> None:
        """Files that are `commit`'s already are left alone. Otherwise their state is kept first, see `_put`. Three processes."""
        await self._put(commit, "checkout", at, forbidden)

    async def rescue(self, ref: str, at: int, forbidden: Forbidden | None = None) -> Rescued:
        """See `rescue.rescue`."""
        return await rescue(self.repository, self.tree, ref, at, forbidden)

    async def reset_fresh(self, commit: str, rescue_ref: str, at: int, forbidden: Forbidden | None = None) -> Rescued:
        """Rescue, then the files of `commit`."""
        kept = await self.rescue(rescue_ref, at, forbidden)
        await self._overwrite(commit, kept)
        return kept

    async def remove(self, rescue_ref: str | None, at: int, forbidden: Forbidden | None = None) -> Removed | Kept:
        """The checkout is the user's: it stays, with the result in it."""
        del rescue_ref, at, forbidden
        return Removed()

    def release(self) -> None:
        """Gives the session's lease back; more than once is harmless."""
        path = self._lease_path()
        session, lease = _leases.get(path, ("", None))
        if lease is not None and session == self.session:
            del _leases[path]
            lease.release()

    def _take_lease(self) -> None:
        path = self._lease_path()
        owner = _leases[path][0] if path in _leases else None
        if owner is None and (lease := Lease.take(path, self.session)) is not None:
            _leases[path] = (self.session, lease)
        elif owner != self.session:
            raise MarathonError(CHECKOUT_BUSY, owner=owner or Lease.owner(path), repo=self.path)

    def _lease_path(self) -> Path:
        return lock_path(self.repository.state, "checkout", self.path)

    async def _refuse_changes(self) -> None:
        changes = await self.repository.changes()
        if changes:
            self.release()
            more = f" and {len(changes) - _FILES_SHOWN} more" if len(changes) > _FILES_SHOWN else ""
            shown = ", ".join(changes[:_FILES_SHOWN]).encode("utf-8", "backslashreplace").decode() + more
            raise MarathonError(DIRTY_CHECKOUT, repo=self.path, files=shown)

    async def _put(self, commit: str, name: str, at: int, forbidden: Forbidden | None = None) -> None:
        """The user may be editing here too, so what differs from `commit` is kept under the rescue ref `name` first."""
        async with apart(self.repository, self.tree) as (there, _):
            snapshot = await there.snapshot(commit)
        if not snapshot.changes:
            await self.tree.adopt(snapshot.index_file, commit)
            return
        kept = await self.rescue(f"refs/marathon/{self.session}/rescue/{self.task}/{name}", at, forbidden)
        await self._overwrite(commit, kept)

    async def _overwrite(self, commit: str, kept: Rescued) -> None:
        """What no ref may hold is moved into the state folder first: here it can be the user's own."""
        await anyio.to_thread.run_sync(self._set_aside, kept.withheld)
        await self.tree.put(commit)

    def _set_aside(self, paths: Sequence[str]) -> None:
        k = 1
        while (aside := self.folder.with_name(f"{self.folder.name}.withheld-{k}")).exists():
            k += 1
        for path in paths:
            if os.path.lexists(self.path / path):
                make_folder((aside / path).parent)
                shutil.move(self.path / path, aside / path)
