"""Which kind of workspace a task gets."""

from typing import Literal

from marathond.places import Places
from marathond.workspace.checkout import Checkout
from marathond.workspace.isolation import Workspace
from marathond.workspace.repository import Repository
from marathond.workspace.worktree import Worktree


def open_workspace(
    isolation: Literal["none", "worktree"], repository: Repository, places: Places, session: str, task: str
) -> Workspace:
    """The workspace of a task, not yet made. Nothing is touched."""
    if isolation == "none":
        return Checkout.of(repository, places, session, task)
    return Worktree.of(repository, places, session, task)
