"""File checks: asked of the candidate's commit, not of a folder, so that nothing that is not delivered can satisfy them."""

import re

from marathond.domain.contract import FileCheck
from marathond.workspace.repository import Repository

_SEARCH_BYTES_MAX = 16 * 1024 * 1024


async def judge_file(repository: Repository, check: FileCheck, commit: str, parent: str) -> tuple[bool, str]:
    """Whether the check holds for `commit`, and why not. `parent` is what `changed` compares with."""
    oid = await _blob(repository, commit, check.file)
    if oid is None:
        return False, f"{check.file} does not exist"
    if check.changed and await _blob(repository, parent, check.file) == oid:
        return False, f"{check.file} was not changed"
    if check.contains is None and check.matches is None:
        return True, "exists"
    content = (await repository.git.run("cat-file", "blob", oid)).stdout[:_SEARCH_BYTES_MAX]
    text = content.decode("utf-8", "replace")
    if check.contains is not None and check.contains not in text:
        return False, f"{check.file} does not contain {check.contains!r}"
    if check.matches is not None and not re.search(check.matches, text, re.MULTILINE):
        return False, f"{check.file} does not match {check.matches!r}"
    return True, "holds"


async def _blob(repository: Repository, commit: str, path: str) -> str | None:
    """The id of the file at `path` in a commit; None where there is none (a folder is no file)."""
    listed = await repository.git.run("ls-tree", "-z", "--full-tree", commit, "--", path)
    for record in listed.stdout.split(b"\0"):
        facts, _, name = record.partition(b"\t")
        if name == path.encode() and b" blob " in facts:
            return facts.split(b" ")[2].decode()
    return None
