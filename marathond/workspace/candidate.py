"""From what an attempt left in its workspace to one commit."""

from collections.abc import Sequence
from typing import NamedTuple

from marathond.workspace.apart import apart
from marathond.workspace.isolation import Workspace
from marathond.workspace.leaks import Forbidden, commits_hold, find_forbidden
from marathond.workspace.nested import unsaved_submodules
from marathond.workspace.tree import Snapshot


class Candidate(NamedTuple):
    """What an attempt made, as a commit whose parent is the commit it started from.

    `agent_commit` is the agent's own last commit, when it made any that may be kept; `changed` are the paths that differ from the
    parent. `withheld`: the agent's own commits may not be kept.
    """

    commit: str
    tree: str
    parent: str
    changed: tuple[str, ...]
    agent_commit: str | None
    withheld: "Withheld | None" = None

    @property
    def empty(self) -> bool:
        """Whether the tree is the parent's."""
        return not self.changed

    @property
    def changed_files(self) -> int:
        """How many paths differ from the parent."""
        return len(self.changed)


class Withheld(NamedTuple):
    """Commits of the agent's own that are kept under no ref of ours; `branch` is the one that it put them on itself, if any."""

    branch: str | None


class Refused(NamedTuple):
    """What an attempt left may not become a candidate; `reason` is for people and names no secret."""

    reason: str
    paths: tuple[str, ...]
    withheld: Withheld | None = None


async def make_candidate(
    workspace: Workspace,
    start: str,
    message: str,
    *,
    ref: str,
    agent_ref: str,
    at: int,
    exclude: Sequence[bytes] = (),
    forbidden: Forbidden | None = None,
) -> Candidate | Refused:
    """Commits everything that is tracked, or new and not ignored, on top of `start`, and keeps it under `ref`.

    The agent's own commits are squashed into it; its HEAD is kept under `agent_ref`. Files of `.worktreeinclude` and
    the paths `exclude` stay out. The workspace's index and files are not touched. The same files, message and
    `at` (microseconds) give the same commit, so that doing it again after a crash is harmless.

    Refused when `forbidden` is true of a changed file's content or path, none of which is then in the repository, and when a
    submodule holds what only this workspace has. Where it is true of the agent's own commits, those are withheld: no ref of
    ours names them, and the workspace's HEAD, where it is ours to move, leaves them for `start`; the files stay.
    Raises GitError. Five processes; one more with `forbidden`, then two more with commits of the agent's, one more with submodules.
    """
    tree = workspace.tree
    if (tree.path / ".gitmodules").exists() and (unsaved := await unsaved_submodules(tree.discovered)):
        return Refused("; ".join(unsaved), ())
    placed, head = tree.placed(), await tree.head()
    snapshot, found = await _take(workspace, start, exclude, forbidden)
    ours = {start, placed.head if placed else None, None}
    withheld = None if head is None or head in ours else await _withhold(workspace, head, start, forbidden)
    if found:
        return Refused("it contains a secret that was handed out", found, withheld)
    commit = await workspace.repository.commit_tree(snapshot.tree, [start], message, at)
    agent_commit = None if head in {*ours, commit} or withheld else head
    moves = [(ref, commit, ""), *([(agent_ref, agent_commit, "")] if agent_commit else [])]
    await workspace.repository.update_refs(moves)
    await tree.adopt(snapshot.index_file, commit)
    changed = tuple(change.name for change in snapshot.changes)
    return Candidate(commit, snapshot.tree, start, changed, agent_commit, withheld)


async def _take(
    workspace: Workspace, start: str, exclude: Sequence[bytes], forbidden: Forbidden | None
) -> tuple[Snapshot, tuple[str, ...]]:
    """The state of the files, and the paths of which `forbidden` is true: none, if it became the repository's."""
    if forbidden is None:
        return await workspace.tree.snapshot(start, exclude), ()
    async with apart(workspace.repository, workspace.tree) as (there, keep):
        snapshot = await there.snapshot(start, exclude)
        found = await find_forbidden(there.git, snapshot.changes, forbidden)
        if not found:
            await keep()
        return snapshot, found


async def _withhold(workspace: Workspace, head: str, start: str, forbidden: Forbidden | None) -> Withheld | None:
    """Lets go of the agent's own commits if they may not be kept."""
    tree = workspace.tree
    if forbidden is None or not await commits_hold(tree.git, head, start, forbidden):
        return None
    branch = await tree.branch()
    await tree.leave(start)
    return Withheld(branch)
