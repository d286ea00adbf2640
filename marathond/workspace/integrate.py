"""Bringing a candidate onto the session's tip."""

import os
from typing import NamedTuple

from marathond.domain.limits import PATCH_BYTES_MAX
from marathond.workspace.candidate import Candidate
from marathond.workspace.diff import diff
from marathond.workspace.git import GitError
from marathond.workspace.repository import Repository


class Integrated(NamedTuple):
    """The candidate as a commit on the tip; `empty` when it adds nothing to it."""

    commit: str
    tree: str
    parent: str
    empty: bool


class Conflict(NamedTuple):
    """The candidate does not fit the tip: the paths where it does not, and what it wanted to change."""

    paths: tuple[str, ...]
    patch: str


async def integrate(
    repository: Repository, candidate: Candidate, onto: str, message: str, at: int, *, ref: str | None = None
) -> Integrated | Conflict:
    """Replays `candidate` onto the commit `onto`, without a workspace; under `ref`, when given, the result is kept.

    Where `onto` is the candidate's parent, the candidate is the result and no process runs. Otherwise the changes
    between the candidate and its parent are merged into `onto`, three-way. `git merge-tree` takes the merge base from
    the history (`--merge-base` came only with git 2.40), and the base that is right here is the candidate's parent,
    whatever else the two have in common. So it is given a stand-in for `onto`: a commit with the tree of `onto` whose
    only parent is the candidate's parent. Raises GitError. Four processes, five with `ref`; two on a conflict after the
    merge.
    """
    if onto == candidate.parent:
        return Integrated(candidate.commit, candidate.tree, onto, candidate.empty)
    tree_onto = await repository.tree_of(onto)
    stand_in = await repository.commit_tree(tree_onto, [candidate.parent], "A stand-in\n", at)
    args = ("merge-tree", "--write-tree", "-z", "--name-only", "--no-messages", stand_in, candidate.commit)
    merged = await repository.git.run(*args, check=False)
    if merged.code not in (0, 1):
        raise GitError(args, merged.code, merged.stderr)
    tree, *paths = (os.fsdecode(item) for item in merged.items)
    if merged.code == 1:
        patch = await diff(repository, candidate.parent, candidate.commit, PATCH_BYTES_MAX)
        return Conflict(tuple(sorted({path for path in paths if path})), patch)
    commit = await repository.commit_tree(tree, [onto], message, at)
    if ref is not None:
        await repository.update_refs([(ref, commit, "")])
    return Integrated(commit, tree, onto, tree == tree_onto)
