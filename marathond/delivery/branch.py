"""Delivery as a branch in the user's repository, by compare-and-swap."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

from marathond.domain.limits import BRANCH_SUFFIX_MAX
from marathond.workspace.git import GitError
from marathond.workspace.repository import Repository

_HEADS: Final = "refs/heads/"
_BUSY_FILES: Final = ("rebase-merge/head-name", "rebase-apply/head-name", "BISECT_START")


class Delivered(NamedTuple):
    """The branch that holds the result. `moved`: this call set it; `renamed`: it is not the branch that was asked for."""

    branch: str
    moved: bool
    renamed: bool


async def deliver(
    repository: Repository, branch: str, commit: str, previous: tuple[str, str] | None = None
) -> Delivered:
    """Makes `branch` at `commit`, or moves the session's own branch forward from `previous`, its `(name, commit)`.

    A name that others have is left alone and `-2`, `-3`, … is tried. Where git cannot have the name beside an existing
    branch (`marathon` rules out `marathon/x` and the reverse), `/` becomes `-`. A branch that is checked out somewhere,
    also unborn or under a rebase, is never touched. A branch that is at `commit` already counts as delivered: that is
    what a crash between the move and its record leaves, and nobody else makes that commit.

    Raises GitError, also when no name is free. Three processes.
    """
    async with repository.lock():
        branches = await repository.refs(_HEADS)
        taken = await _checked_out(repository)
        if previous is not None and (done := await _move_own(repository, branch, commit, previous, branches, taken)):
            return done
        for name in _names(branch, branches):
            ref = _HEADS + name
            if branches.get(ref) == commit:
                return Delivered(name, moved=False, renamed=name != branch)
            free = ref not in branches and ref not in taken and not _blocked(name, branches)
            if free and await repository.update_ref(ref, commit, None):
                return Delivered(name, moved=True, renamed=name != branch)
    raise GitError(
        ("update-ref", _HEADS + branch), 1, f"no name for the branch is free, up to {branch}-{BRANCH_SUFFIX_MAX}"
    )


async def _move_own(
    repository: Repository,
    branch: str,
    commit: str,
    previous: tuple[str, str],
    branches: dict[str, str],
    taken: set[str],
) -> Delivered | None:
    """The session's own branch, moved; None when it is no longer as the session left it."""
    name, old = previous
    ref = _HEADS + name
    if branches.get(ref) == commit:
        return Delivered(name, moved=False, renamed=name != branch)
    if branches.get(ref) == old and ref not in taken and await repository.update_ref(ref, commit, old):
        return Delivered(name, moved=True, renamed=name != branch)
    return None


def _names(branch: str, branches: dict[str, str]) -> Iterator[str]:
    stem = branch.replace("/", "-") if _blocked(branch, branches) else branch
    yield stem
    for k in range(2, BRANCH_SUFFIX_MAX + 1):
        yield f"{stem}-{k}"


def _blocked(name: str, branches: dict[str, str]) -> bool:
    """Whether a branch is called as a folder of `name`, or `name` is a folder of branches."""
    parts = name.split("/")
    above = {_HEADS + "/".join(parts[:k]) for k in range(1, len(parts))}
    return not above.isdisjoint(branches) or any(ref.startswith(f"{_HEADS}{name}/") for ref in branches)


async def _checked_out(repository: Repository) -> set[str]:
    """Branches that a worktree has checked out, has unborn, or is rebasing or bisecting."""
    found = {worktree.branch for worktree in await repository.worktrees() if worktree.branch}
    folders = [repository.common_dir, *(repository.common_dir / "worktrees").glob("*")]
    return found | {ref for folder in folders for file in _BUSY_FILES if (ref := _read_ref_name(folder / file))}


def _read_ref_name(path: Path) -> str | None:
    try:
        text = os.fsdecode(path.read_bytes()).strip()
    except (FileNotFoundError, NotADirectoryError):
        return None
    return text if text.startswith("refs/") else _HEADS + text
