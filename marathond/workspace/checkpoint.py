"""Moving a session's tip, and the list by which the checkpoint can be checked later."""

import hashlib
from typing import NamedTuple

import msgspec

from marathond.domain.canonical import encode_entry
from marathond.workspace.changes import Change, parse_changes
from marathond.workspace.objects import RawObject, visit_objects
from marathond.workspace.refs import checkpoint_ref, tip_ref
from marathond.workspace.repository import Repository


class ListedBlob(NamedTuple):
    """A file or symbolic link of a checkpoint: git's id for it, and the SHA-256 of its content."""

    path: str
    mode: str
    oid: str
    sha256: str


async def tip(repository: Repository, session: str) -> str | None:
    """The session's tip, or None before its first checkpoint. One process."""
    return await repository.read_ref(tip_ref(session))


async def advance(repository: Repository, session: str, task: str, new: str, old: str | None) -> bool:
    """Moves the session's tip from `old` (None: it has none yet) to `new` and sets the task's checkpoint, in one transaction.

    False when the tip is at another commit. A tip that is at `new` already counts as moved: that is what a crash
    between the move and its record leaves, and git moves the refs of a transaction one after the other, so the task's
    is set once more then. Durable on return. Raises GitError. One process.
    """
    own = checkpoint_ref(session, task)
    async with repository.lock():
        if await repository.update_refs([(tip_ref(session), new, old or repository.zero), (own, new, "")]):
            return True
        return await tip(repository, session) == new and await repository.update_refs([(own, new, "")])


async def blob_list(repository: Repository, base: str, commit: str) -> bytes:
    """Canonical JSON of a list of `{path, mode, oid, sha256}`: each file by which `commit` differs from `base`, by path.

    Submodules have no blob here and deleted files none any more; the trees' ids cover both. Bytes of a path that are
    not UTF-8 are written as `\\xNN`. Raises GitError. Two processes.
    """
    raw = await repository.git.run(
        "diff-tree", "-r", "--raw", "-z", "--no-renames", "--no-abbrev", "--no-commit-id", base, commit
    )
    changes = [change for change in parse_changes(raw.items) if change.holds_blob]
    digests: dict[str, str] = {}

    def digest(blob: RawObject) -> None:
        content = hashlib.sha256()
        for chunk in blob.chunks:
            content.update(chunk)
        digests[blob.oid] = content.hexdigest()

    await visit_objects(repository.git, sorted({change.oid for change in changes}), digest)
    return encode_entry([_row(change, digests[change.oid]) for change in changes])


def parse_blob_list(data: bytes) -> list[ListedBlob]:
    """The rows of a list. Raises msgspec.MsgspecError for what is none."""
    return [ListedBlob(**row) for row in msgspec.json.decode(data, type=list[dict[str, str]])]


def path_text(path: bytes) -> str:
    """How a path is written in the list."""
    return path.decode("utf-8", "backslashreplace")


def _row(change: Change, sha256: str) -> dict[str, str]:
    return {"path": path_text(change.path), "mode": change.mode, "oid": change.oid, "sha256": sha256}
