"""Keeping the state of a workspace before it is overwritten."""

import os
from typing import NamedTuple

from marathond.workspace.apart import apart
from marathond.workspace.leaks import Forbidden, commits_hold, find_forbidden
from marathond.workspace.repository import Repository
from marathond.workspace.tree import Snapshot, WorkingTree

_ROUNDS_MAX = 3
"""Files change under our hands only where somebody else works on them; then nothing of them is kept."""


class Rescued(NamedTuple):
    """The commit that keeps the state, and what it does not hold because it may not be kept: paths, the agent's own commits."""

    commit: str
    withheld: tuple[str, ...] = ()
    commits_withheld: bool = False


async def rescue(
    repository: Repository, tree: WorkingTree, ref: str, at: int, forbidden: Forbidden | None = None
) -> Rescued:
    """Commits everything that is tracked, or new and not ignored, to `ref`.

    Its first parent is HEAD, so that the agent's own commits stay reachable, its second what `ref` held before: a
    second rescue, for example after a crash between rescue and reset, loses nothing of the first. HEAD, index and files
    stay as they are. Ignored files are not kept; a reset leaves them in place. `at` is in microseconds. Six processes.

    Files of which `forbidden` is true are left out, as they were before they stay in; where it is true of the agent's own commits,
    the commit that we left takes HEAD's place. Three processes more.
    """
    head = await _head(tree)
    parent, withheld = head, tuple[str, ...]()
    if forbidden is not None:
        parent = await keepable(tree, head, forbidden)
        kept, withheld = await _take_keepable(repository, tree, parent, forbidden)
    else:
        kept = (await tree.snapshot(head)).tree
    previous = await repository.read_ref(ref)
    if previous is not None and await repository.tree_of(previous) == kept:
        return Rescued(previous, withheld, parent != head)
    parents = [parent] if previous is None else [parent, previous]
    commit = await repository.commit_tree(kept, parents, "What the workspace held\n", at)
    if not await repository.update_ref(ref, commit, previous):
        raise RuntimeError(f"{ref} moved while it was written; the workspace has one owner")
    return Rescued(commit, withheld, parent != head)


async def take(repository: Repository, tree: WorkingTree) -> tuple[str, Snapshot]:
    """HEAD (on an unborn branch: the last one we left) and the state of the files as compared with it. Nothing of it is kept."""
    head = await _head(tree)
    async with apart(repository, tree) as (there, _):
        return head, await there.snapshot(head)


async def _head(tree: WorkingTree) -> str:
    placed = tree.placed()
    head = await tree.head() or (placed.head if placed else None)
    if head is None:
        raise RuntimeError(f"{tree.path} is not a complete workspace")
    return head


async def let_go(tree: WorkingTree, forbidden: Forbidden) -> None:
    """Takes HEAD off commits that may not be kept: a worktree that stays would keep them. The files stay as they are."""
    head = await _head(tree)
    if (parent := await keepable(tree, head, forbidden)) != head:
        await tree.leave(parent)


async def keepable(tree: WorkingTree, head: str, forbidden: Forbidden) -> str:
    """HEAD, or the commit that we left where the commits since then may not be kept."""
    placed = tree.placed()
    if placed is None or placed.head == head or not await commits_hold(tree.git, head, placed.head, forbidden):
        return head
    return placed.head


async def _take_keepable(
    repository: Repository, tree: WorkingTree, parent: str, forbidden: Forbidden
) -> tuple[str, tuple[str, ...]]:
    """The tree of all files of which `forbidden` is not true, and the paths of the others."""
    withheld: tuple[str, ...] = ()
    for _ in range(_ROUNDS_MAX):
        async with apart(repository, tree) as (there, keep):
            snapshot = await there.snapshot(parent, [os.fsencode(path) for path in withheld])
            found = await find_forbidden(there.git, snapshot.changes, forbidden)
            if not found:
                await keep()
                return snapshot.tree, withheld
            withheld = tuple(sorted({*withheld, *found}))
    return await repository.tree_of(parent), withheld
