"""File checks: asked of the candidate's commit, not of a folder, so that nothing that is not delivered can satisfy them."""

import json
import signal
import sys
from pathlib import Path
from typing import Final

import anyio

from marathond.domain.contract import FileCheck
from marathond.domain.limits import SEARCH_BYTES_MAX, SEARCH_CPU_SECONDS_MAX
from marathond.workspace.repository import Repository

_SEARCH: Final = str(Path(__file__).with_name("search.py"))


async def judge_file(repository: Repository, check: FileCheck, commit: str, parent: str) -> tuple[bool, str]:
    """Whether the check holds for `commit`, and why not. `parent` is what `changed` compares with."""
    oid = await _blob(repository, commit, check.file)
    if oid is None:
        return False, f"{check.file} does not exist"
    if check.changed and await _blob(repository, parent, check.file) == oid:
        return False, f"{check.file} was not changed"
    if check.contains is None and check.matches is None:
        return True, "exists"
    content = (await repository.git.run("cat-file", "blob", oid, limit=SEARCH_BYTES_MAX)).stdout
    within = "" if len(content) < SEARCH_BYTES_MAX else f" in its first {SEARCH_BYTES_MAX:,} bytes"
    if check.contains is not None and check.contains not in content.decode("utf-8", "replace"):
        return False, f"{check.file} does not contain {check.contains!r}{within}"
    if check.matches is not None and (found := await _search(check.matches, content)) is not True:
        what = "does not match" if found is False else "takes too long to search for"
        return False, f"{check.file} {what} {check.matches!r}{within}"
    return True, "holds"


async def _search(pattern: str, content: bytes) -> bool | None:
    """Whether `content` matches somewhere; None when the search used up its time. Raises OSError."""
    command = [sys.executable, "-I", "-S", _SEARCH, str(SEARCH_CPU_SECONDS_MAX)]
    asked = json.dumps(pattern).encode() + b"\n" + content
    done = await anyio.run_process(command, input=asked, check=False, start_new_session=True)
    if done.returncode in (-signal.SIGXCPU, -signal.SIGKILL):
        return None
    if done.returncode not in (0, 1) or done.stderr:
        raise OSError(f"the search ended with {done.returncode}: {done.stderr.decode('utf-8', 'replace')[-500:]}")
    return done.returncode == 0


async def _blob(repository: Repository, commit: str, path: str) -> str | None:
    """The id of the file at `path` in a commit; None where there is none (a folder is no file)."""
    listed = await repository.git.run("ls-tree", "-z", "--full-tree", commit, "--", path)
    for record in listed.stdout.split(b"\0"):
        facts, _, name = record.partition(b"\t")
        if name == path.encode() and b" blob " in facts:
            return facts.split(b" ")[2].decode()
    return None
