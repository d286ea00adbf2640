"""Differences as text, for people and for handoffs."""

from typing import Final

from marathond.domain.limits import DIFF_BYTES_MAX
from marathond.workspace.repository import Repository

_CUT: Final = "\n[the rest is left out: the difference is longer than {limit} bytes]\n"


async def diff(repository: Repository, old: str, new: str, limit: int = DIFF_BYTES_MAX) -> str:
    """The patch from commit `old` to commit `new`, with renames found; at most `limit` bytes of it, ending at a line.

    Bytes that are not UTF-8 are replaced. The user's external diff tools are not run. Raises GitError. One process.
    """
    shown = await repository.git.run(
        "diff-tree", "-r", "-p", "-M", "--no-ext-diff", "--no-textconv", "--full-index", old, new, limit=limit + 1
    )
    if len(shown.stdout) <= limit:
        return shown.stdout.decode("utf-8", "replace")
    head = shown.stdout[:limit]
    return head[: head.rfind(b"\n")].decode("utf-8", "replace") + _CUT.format(limit=limit)
