"""Git repositories inside a workspace.

One that an agent made (`git init`, `git clone`) would enter a candidate as a *gitlink*: a commit id without its files,
which nobody else has. So its files are taken as plain files, by its own ignore rules; its `.git` stays in the
workspace and is not part of the candidate. Submodules of the project are left as they are, but what only this
workspace has of them is named, so that a candidate can be refused before it is lost.
"""

import os
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from pathlib import Path

from marathond.workspace.git import Git

AddAll = Callable[[Git, Sequence[bytes]], Awaitable[None]]


async def find_nested(git: Git) -> list[bytes]:
    """Folders, relative to the files of `git`, that are repositories of their own and not in its index. One process."""
    return [path.removesuffix(b"/") for path in await find_new(git) if path.endswith(b"/")]


async def find_new(git: Git) -> list[bytes]:
    """What is neither in `git`'s index nor ignored: files, and with a final `/` nested repositories. One process."""
    return (await git.run("ls-files", "-z", "--others", "--exclude-standard")).items


async def add_nested(git: Git, private: Path, add_all: AddAll, exclude: Sequence[bytes], depth: int = 0) -> None:
    """Adds everything to `git`'s index, nested repositories as plain files, to any depth. Four processes each.

    A nested folder is read with the outer repository's git folder and the nested folder as its work tree: its objects
    go where the candidate's go, and its own configuration is not consulted. Raises GitError.
    """
    assert git.work_tree is not None
    nested = await find_nested(git)
    await add_all(git, [*exclude, *nested])
    for folder in nested:
        inner_index = private / f"nested-{depth}"
        for leftover in (inner_index, inner_index.with_name(f"{inner_index.name}.lock")):
            leftover.unlink(missing_ok=True)
        root = git.work_tree / os.fsdecode(folder)
        inner = replace(git, cwd=root, work_tree=root, index=inner_index)
        within = [path[len(folder) + 1 :] for path in exclude if path.startswith(folder + b"/")]
        await add_nested(inner, private, add_all, within, depth + 1)
        tree = await inner.text("write-tree")
        await git.run("read-tree", f"--prefix={os.fsdecode(folder)}/", tree)
        inner_index.unlink(missing_ok=True)


async def unsaved_submodules(git: Git) -> list[str]:
    """What submodules hold that only this workspace has: uncommitted changes, or commits on no remote branch.

    `git` discovers the repository as a person would. One process, one more for each submodule that moved.
    """
    status = await git.run(
        "status", "--porcelain=v2", "-z", "--ignore-submodules=none", "--untracked-files=no", "--no-renames"
    )
    found = []
    for item in map(os.fsdecode, status.items):
        kind, _, rest = item.partition(" ")
        if kind != "1":
            continue
        _, flags, _, _, _, _, _, path = rest.split(" ", 7)
        if flags[0] != "S":
            continue
        if flags[2] == "M" or flags[3] == "U":
            found.append(f"submodule {path} has changes that are not committed")
        elif flags[1] == "C" and not await _is_published(Git(git.cwd / path)):
            found.append(f"submodule {path} is at a commit that is on no remote branch")
    return found


async def _is_published(git: Git) -> bool:
    listed = await git.run("for-each-ref", "--count=1", "--contains=HEAD", "refs/remotes", check=False)
    return listed.code == 0 and bool(listed.stdout)


async def update_submodules(git: Git) -> None:
    """Checks out the submodules that the user's checkout has initialised; what they are is in the shared configuration.

    Without `--init` at the top, which would write into the user's configuration; submodules of submodules are
    configured in files of this worktree alone. Raises GitError, for example without network. Two processes and theirs.
    """
    await git.run("submodule", "--quiet", "update", "--force")
    await git.run("submodule", "--quiet", "foreach", "git submodule --quiet update --init --recursive --force")
