"""A user's git repository: where it is, what its names mean, and compare-and-swap of its refs."""

import os
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import anyio.to_thread

from marathond.domain.errors import NO_COMMIT, NO_REPOSITORY, MarathonError
from marathond.store.files import sync_folder
from marathond.workspace.git import Git, GitError, require_git
from marathond.workspace.locks import lock_path, locked


class Identity(NamedTuple):
    """In whose name commits are made."""

    name: str
    email: str


MARATHON = Identity("Marathon", "marathon@localhost")


class LinkedWorktree(NamedTuple):
    """A worktree that git knows: the main one or a linked one. `branch` is a full ref name, also of an unborn branch."""

    path: Path
    branch: str | None


@dataclass(frozen=True)
class Repository:
    """A repository with a checkout.

    `top` is the checkout's top folder, `git_dir` its git folder, `common_dir` the folder all worktrees share,
    `object_format` sha1 or sha256, `state` Marathon's state folder, where the locks are.
    """

    top: Path
    git_dir: Path
    common_dir: Path
    object_format: str
    identity: Identity
    state: Path

    @classmethod
    async def open(cls, path: Path, state: Path) -> "Repository":
        """The repository whose checkout contains `path`. Five git processes.

        Raises MarathonError: NO_REPOSITORY when there is none, when it is bare (nothing there to work in) or when git
        refuses it (for example for dubious ownership); GIT_UNUSABLE when git is missing or too old.
        """
        await require_git()
        seeker = Git(path, discover=True)
        try:
            bare = await seeker.text("rev-parse", "--is-bare-repository")
            if bare == "true":
                raise MarathonError(NO_REPOSITORY, path=path, reason="it is a bare repository, without a checkout")
            top = Path(await seeker.text("rev-parse", "--show-toplevel"))
            told = await seeker.text("rev-parse", "--show-object-format", "--absolute-git-dir")
        except GitError as error:
            raise MarathonError(NO_REPOSITORY, path=path, reason=_brief(error)) from error
        object_format, _, folder = told.partition("\n")
        git_dir = Path(folder)
        return cls(
            top=top,
            git_dir=git_dir,
            common_dir=_common_dir(git_dir),
            object_format=object_format,
            identity=await _identity(seeker),
            state=state,
        )

    @property
    def git(self) -> Git:
        """Git on this repository; its index is the user's and must only be read."""
        return Git(self.top, git_dir=self.git_dir, work_tree=self.top)

    @property
    def zero(self) -> str:
        """The id that stands for "no such ref"."""
        return "0" * (64 if self.object_format == "sha256" else 40)

    @asynccontextmanager
    async def lock(self) -> AsyncIterator[None]:
        """Held around changes to worktrees and to refs that others may want; one per repository, whatever the worktree."""
        async with locked(lock_path(self.state, "repository", self.common_dir)):
            yield

    async def resolve(self, revision: str) -> str:
        """The full id of the commit that `revision` names. Raises MarathonError(NO_COMMIT). One process."""
        asked = await self.git.run(
            "rev-parse", "--verify", "--quiet", "--end-of-options", f"{revision}^{{commit}}", check=False
        )
        if asked.code != 0:
            raise MarathonError(NO_COMMIT, revision=revision, repo=self.top)
        return asked.text

    async def tree_of(self, commit: str) -> str:
        """The id of a commit's tree. Raises GitError. One process."""
        return await self.git.text("rev-parse", "--verify", "--end-of-options", f"{commit}^{{tree}}")

    async def changes(self) -> list[str]:
        """Paths of the checkout that differ from its HEAD, and those that are new and not ignored. One process."""
        status = await self.git.run("status", "--porcelain=v1", "-z", "--untracked-files=normal", "--no-renames")
        return [os.fsdecode(item[3:]) for item in status.items]

    async def commit_tree(self, tree: str, parents: Iterable[str], message: str, at: int) -> str:
        """Makes a commit and returns its id: the same arguments give the same id. One process.

        `at` is an instant in microseconds; git keeps its whole seconds, and the zone is UTC. Never signed: the user's
        key may ask for a passphrase, and nobody is there.
        """
        moment = f"@{at // 1_000_000} +0000"
        who = {
            f"GIT_{role}_{part}": value
            for role in ("AUTHOR", "COMMITTER")
            for part, value in (("NAME", self.identity.name), ("EMAIL", self.identity.email), ("DATE", moment))
        }
        links = [part for parent in parents for part in ("-p", parent)]
        made = await self.git.run("commit-tree", tree, *links, input=message.encode("utf-8", "replace"), env=who)
        return made.text

    async def read_ref(self, ref: str) -> str | None:
        """The id that the full name `ref` holds, or None. One process."""
        asked = await self.git.run("show-ref", "--verify", "--hash", "--", ref, check=False)
        return asked.text if asked.code == 0 else None

    async def refs(self, prefix: str) -> dict[str, str]:
        """All refs under `prefix` (a ref's full name, or a folder of refs), with their ids. One process."""
        listed = await self.git.text("for-each-ref", "--format=%(objectname) %(refname)", "--", prefix)
        pairs = (line.split(" ", 1) for line in listed.splitlines())
        return {name: oid for oid, name in pairs}

    async def update_ref(self, ref: str, new: str, old: str | None) -> bool:
        """Moves `ref` from `old` (None: it does not exist yet) to `new`; False when it does not hold `old`.

        Durable on return. A ref that already holds `new` counts as moved: the caller's earlier try may have been cut
        off between the move and its record. Raises GitError. One process, two more when refused.
        """
        return await self.update_refs([(ref, new, old or self.zero)])

    async def update_refs(self, moves: Iterable[tuple[str, str, str]]) -> bool:
        """Moves refs in one transaction: each `(ref, new, old)`, where an empty `old` stands for any value.

        All or none of them move; otherwise as `update_ref`.
        """
        wanted = list(moves)
        lines = [f"update {ref}\0{new}\0{old}\0" for ref, new, old in wanted]
        script = "start\0" + "".join(lines) + "prepare\0commit\0"
        done = await self.git.run("update-ref", "--no-deref", "--stdin", "-z", input=script.encode(), check=False)
        if done.code != 0:
            held = [await self.read_ref(ref) for ref, _, _ in wanted]
            if any(value != new for value, (_, new, _) in zip(held, wanted, strict=True)):
                if any(old and (value or self.zero) != old for value, (_, _, old) in zip(held, wanted, strict=True)):
                    return False
                raise GitError(("update-ref", *(ref for ref, _, _ in wanted)), done.code, done.stderr)
        await anyio.to_thread.run_sync(self._sync_refs, [ref for ref, _, _ in wanted])
        return True

    async def worktrees(self) -> list[LinkedWorktree]:
        """All worktrees of the repository. One process."""
        listed = await self.git.run("worktree", "list", "--porcelain", "-z")
        found = []
        for record in listed.stdout.split(b"\0\0"):
            facts = dict(os.fsdecode(item).partition(" ")[::2] for item in record.split(b"\0") if item)
            if "worktree" in facts:
                found.append(LinkedWorktree(Path(facts["worktree"]), facts.get("branch")))
        return found

    def _sync_refs(self, refs: list[str]) -> None:
        """Git syncs a ref's file but not its folder. Refs that are packed or in a reftable have no folder of their own."""
        for folder in {(self.common_dir / ref).parent for ref in refs}:
            if folder.is_dir():
                sync_folder(folder)


def _common_dir(git_dir: Path) -> Path:
    """The folder that a worktree's git folder points to (gitrepository-layout(5), `commondir`)."""
    try:
        pointer = os.fsdecode((git_dir / "commondir").read_bytes()).removesuffix("\n")
    except FileNotFoundError:
        return git_dir.resolve()
    return (git_dir / pointer).resolve()


async def _identity(git: Git) -> Identity:
    """The user's identity where one is configured; git's guess from the host name is worth less than our own name."""
    asked = await git.run("-c", "user.useConfigOnly=true", "var", "GIT_COMMITTER_IDENT", check=False)
    name, bracket, rest = asked.text.partition(" <")
    if asked.code != 0 or not bracket:
        return MARATHON
    return Identity(name, rest.partition("> ")[0])


def _brief(error: GitError) -> str:
    return (error.stderr.splitlines() or [str(error)])[0].removeprefix("fatal: ")
