"""From what an attempt left in its workspace to one commit."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

from marathond.domain.limits import REDACT_CARRY_BYTES_MAX, SECRET_WINDOW_BYTES
from marathond.workspace.changes import Change
from marathond.workspace.git import Git
from marathond.workspace.isolation import Workspace
from marathond.workspace.nested import unsaved_submodules
from marathond.workspace.objects import RawObject, visit_objects


class Candidate(NamedTuple):
    """What an attempt made, as a commit whose parent is the commit it started from.

    `agent_commit` is the agent's own last commit, when it made any; `changed` are the paths that differ from the parent.
    """

    commit: str
    tree: str
    parent: str
    changed: tuple[str, ...]
    agent_commit: str | None

    @property
    def empty(self) -> bool:
        """Whether the tree is the parent's."""
        return not self.changed

    @property
    def changed_files(self) -> int:
        """How many paths differ from the parent."""
        return len(self.changed)


class Refused(NamedTuple):
    """What an attempt left may not become a candidate; `reason` is for people and names no secret."""

    reason: str
    paths: tuple[str, ...]


async def make_candidate(
    workspace: Workspace,
    start: str,
    message: str,
    *,
    ref: str,
    agent_ref: str,
    at: int,
    exclude: Sequence[bytes] = (),
    forbidden: Callable[[bytes], bool] | None = None,
) -> Candidate | Refused:
    """Commits everything that is tracked, or new and not ignored, on top of `start`, and keeps it under `ref`.

    The agent's own commits are squashed into it; its HEAD is kept under `agent_ref`. Files of `.worktreeinclude` and
    the paths `exclude` stay out. The workspace's HEAD, index and files are not touched. The same files, message and
    `at` (microseconds) give the same commit, so that doing it again after a crash is harmless.

    Refused when `forbidden` is true of a changed file's content or path (called in a worker thread; large files come in
    overlapping windows), and when a submodule holds what only this workspace has. Raises GitError. Five processes;
    one more with `forbidden`, one more with submodules.
    """
    tree = workspace.tree
    if (tree.path / ".gitmodules").exists() and (unsaved := await unsaved_submodules(tree.discovered)):
        return Refused("; ".join(unsaved), ())
    placed, head = tree.placed(), await tree.head()
    snapshot = await tree.snapshot(start, exclude)
    if forbidden is not None:
        found = await _find_forbidden(workspace.repository.git, snapshot.changes, forbidden)
        if found:
            return Refused("it contains a secret that was handed out", found)
    commit = await workspace.repository.commit_tree(snapshot.tree, [start], message, at)
    ours = {start, commit, placed.head if placed else None, None}
    agent_commit = None if head in ours else head
    moves = [(ref, commit, ""), *([(agent_ref, agent_commit, "")] if agent_commit else [])]
    await workspace.repository.update_refs(moves)
    await tree.adopt(snapshot.index_file, commit)
    changed = tuple(change.name for change in snapshot.changes)
    return Candidate(commit, snapshot.tree, start, changed, agent_commit)


async def _find_forbidden(git: Git, changes: Sequence[Change], forbidden: Callable[[bytes], bool]) -> tuple[str, ...]:
    """The changed paths whose name or content `forbidden` is true of."""
    paths: dict[str, list[str]] = {}
    for change in changes:
        if change.holds_blob:
            paths.setdefault(change.oid, []).append(change.name)
    found = [change.name for change in changes if change.mode != "000000" and forbidden(change.path)]

    def look(blob: RawObject) -> None:
        if _is_forbidden(blob, forbidden):
            found.extend(paths[blob.oid])

    await visit_objects(git, paths, look)
    return tuple(sorted(set(found)))


def _is_forbidden(blob: RawObject, forbidden: Callable[[bytes], bool]) -> bool:
    window = bytearray()
    for chunk in blob.chunks:
        window += chunk
        if len(window) >= SECRET_WINDOW_BYTES:
            if forbidden(bytes(window)):
                return True
            del window[:-REDACT_CARRY_BYTES_MAX]  # a secret may lie across the border
    return forbidden(bytes(window))
