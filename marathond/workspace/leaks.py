"""Looking for what may not be kept, such as secrets, in files and in commits."""

import re
from collections.abc import Callable, Sequence
from typing import Final

from marathond.domain.limits import REDACT_CARRY_BYTES_MAX, SECRET_WINDOW_BYTES
from marathond.workspace.changes import ABSENT, Change
from marathond.workspace.git import Git, GitError
from marathond.workspace.objects import RawObject, visit_objects

Forbidden = Callable[[bytes], bool]
"""Whether some bytes hold what may not be kept. Called in worker threads; large files come in overlapping windows."""

_LISTED: Final = re.compile(rb"^([0-9a-f]{40,64})(?: .*)?$", re.MULTILINE)


async def find_forbidden(git: Git, changes: Sequence[Change], forbidden: Forbidden) -> tuple[str, ...]:
    """The changed paths whose name or content `forbidden` is true of. Raises GitError. One process."""
    paths: dict[str, list[str]] = {}
    for change in changes:
        if change.holds_blob:
            paths.setdefault(change.oid, []).append(change.name)
    found = [change.name for change in changes if change.mode != ABSENT and forbidden(change.path)]

    def look(blob: RawObject) -> None:
        if _is_forbidden(blob, forbidden):
            found.extend(paths[blob.oid])

    await visit_objects(git, paths, look)
    return tuple(sorted(set(found)))


async def commits_hold(git: Git, head: str, base: str, forbidden: Forbidden) -> bool:
    """Whether `forbidden` is true of anything that `head` has and `base` has not: message, name or content. Two processes.

    Of commits that cannot be read, as where an object is missing, nobody can say that it is not: then it counts as true.
    """
    listed = await git.run("rev-list", "--objects", head, f"^{base}", check=False)
    if listed.code != 0 or forbidden(listed.stdout):  # whole paths: a tree names only its own entries
        return True
    found: list[str] = []

    def look(each: RawObject) -> None:
        if not found and _is_forbidden(each, forbidden):
            found.append(each.oid)

    try:
        await visit_objects(git, [oid.decode() for oid in _LISTED.findall(listed.stdout)], look)
    except GitError:
        return True
    return bool(found)


def _is_forbidden(content: RawObject, forbidden: Forbidden) -> bool:
    window = bytearray()
    for chunk in content.chunks:
        window += chunk
        if len(window) >= SECRET_WINDOW_BYTES:
            if forbidden(bytes(window)):
                return True
            del window[:-REDACT_CARRY_BYTES_MAX]  # a secret may lie across the border
    return forbidden(bytes(window))
