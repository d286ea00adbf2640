"""What the engine sees of a workspace, whatever its isolation."""

from pathlib import Path
from typing import NamedTuple, Protocol

from marathond.workspace.leaks import Forbidden
from marathond.workspace.repository import Repository
from marathond.workspace.rescue import Rescued
from marathond.workspace.tree import WorkingTree


class Created(NamedTuple):
    """The workspace was made, at the commit that was asked for; `quarantined` is where something in its way went."""

    quarantined: Path | None = None


class Existing(NamedTuple):
    """The workspace was there and complete; its files are as they were."""


class Removed(NamedTuple):
    """The workspace is gone; `rescued` is what was kept of what was not saved, if there was anything."""

    rescued: Rescued | None = None


class Kept(NamedTuple):
    """The workspace was not removed, because it holds what is saved nowhere else."""

    reason: str


class WorkspaceMissing(FileNotFoundError):  # noqa: N818 - it says what is the case
    """The workspace is not where it should be: removed, never made, or replaced by something else."""


class Workspace(Protocol):
    """The folder a task's attempts work in. Its methods are called by one caller at a time, with no attempt alive.

    Commits are full ids; `at` is an instant in microseconds; what `forbidden` is true of goes under no ref. All raise GitError when git fails,
    and all but `ensure` WorkspaceMissing when there is none.
    """

    @property
    def repository(self) -> Repository:
        """The repository the task works on."""

    @property
    def path(self) -> Path:
        """Where attempts and checks run."""

    @property
    def tree(self) -> WorkingTree:
        """Its files as candidates are made from them."""

    async def ensure(self, commit: str, reason: str, at: int, forbidden: Forbidden | None = None) -> Created | Existing:
        """Makes the workspace at `commit` unless it exists; mends what a crash left half made."""

    async def checkout(self, commit: str, at: int, forbidden: Forbidden | None = None) -> None:
        """Puts the tree of `commit` there for checks, with the set-up environment (ignored files) kept."""

    async def rescue(self, ref: str, at: int, forbidden: Forbidden | None = None) -> Rescued:
        """Keeps the state of the files under `ref`, less what is forbidden."""

    async def reset_fresh(self, commit: str, rescue_ref: str, at: int, forbidden: Forbidden | None = None) -> Rescued:
        """Keeps the state under `rescue_ref`, then starts over at `commit`. Ignored files stay."""

    async def remove(self, rescue_ref: str | None, at: int, forbidden: Forbidden | None = None) -> Removed | Kept:
        """Removes the workspace; what is not saved goes to `rescue_ref` first, or without one keeps the workspace."""

    def release(self) -> None:
        """Gives back what is held only while the session is worked on."""
