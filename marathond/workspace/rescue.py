"""Keeping the state of a workspace before it is overwritten."""

from marathond.workspace.repository import Repository
from marathond.workspace.tree import Snapshot, WorkingTree


async def rescue(repository: Repository, tree: WorkingTree, ref: str, at: int) -> str:
    """Commits everything that is tracked, or new and not ignored, to `ref`; the commit's id.

    Its first parent is HEAD, so that the agent's own commits stay reachable, its second what `ref` held before: a
    second rescue, for example after a crash between rescue and reset, loses nothing of the first. HEAD, index and files
    stay as they are. Ignored files are not kept; a reset leaves them in place. `at` is in microseconds. Six processes.
    """
    head, snapshot = await take(tree)
    previous = await repository.read_ref(ref)
    if previous is not None and await repository.tree_of(previous) == snapshot.tree:
        return previous
    parents = [head] if previous is None else [head, previous]
    commit = await repository.commit_tree(snapshot.tree, parents, "What the workspace held\n", at)
    if not await repository.update_ref(ref, commit, previous):
        raise RuntimeError(f"{ref} moved while it was written; the workspace has one owner")
    return commit


async def take(tree: WorkingTree) -> tuple[str, Snapshot]:
    """HEAD (on an unborn branch: the last one we left) and the state of the files as compared with it."""
    placed = tree.placed()
    head = await tree.head() or (placed.head if placed else None)
    if head is None:
        raise RuntimeError(f"{tree.path} is not a complete workspace")
    return head, await tree.snapshot(head)
