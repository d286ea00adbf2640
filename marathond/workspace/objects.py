"""Reading git objects raw, many in one process and without holding large ones in memory."""

import hashlib
import subprocess
import tempfile
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import IO, Final, NamedTuple

import anyio.to_thread

from marathond.workspace.git import Git, GitError

_CHUNK_BYTES: Final = 1024 * 1024


class RawObject(NamedTuple):
    """An object as it is stored: `kind` is blob, tree, commit or tag, or None when it is missing."""

    oid: str
    kind: str | None
    size: int
    chunks: Iterator[bytes]


def new_object_hash(object_format: str, kind: str, size: int) -> "hashlib._Hash":
    """The hash that gives an object's id once its content has been fed (git's Documentation, "Object storage")."""
    return hashlib.new(object_format, f"{kind} {size}\0".encode(), usedforsecurity=object_format != "sha1")


async def visit_objects(git: Git, oids: Iterable[str], visit: Callable[[RawObject], None]) -> None:
    """Calls `visit`, in a worker thread, with each of `oids` in order. One `cat-file --batch` for all of them.

    Raises GitError when git stops in the middle, as it does at an object that does not decompress.
    """
    wanted = list(oids)
    if wanted:
        await anyio.to_thread.run_sync(partial(_visit, git, wanted, visit))


def _visit(git: Git, oids: list[str], visit: Callable[[RawObject], None]) -> None:
    command = ("cat-file", "--batch", "--buffer")
    with tempfile.TemporaryFile() as names, tempfile.TemporaryFile() as errors:
        names.write("".join(f"{oid}\n" for oid in oids).encode())
        names.seek(0)
        with subprocess.Popen(
            git.command(*command),
            cwd=git.cwd,
            env=git.environment(),
            stdin=names,
            stdout=subprocess.PIPE,
            stderr=errors,
            start_new_session=True,
        ) as process:
            assert process.stdout is not None
            complete = all(_visit_one(process.stdout, oid, visit) for oid in oids)
            process.stdout.close()
        if not complete:
            errors.seek(0)
            raise GitError(command, process.returncode, errors.read().decode("utf-8", "replace"))


def _visit_one(stream: IO[bytes], oid: str, visit: Callable[[RawObject], None]) -> bool:
    words = stream.readline().decode("ascii", "replace").split()
    if len(words) < 2:
        return False
    if words[-1] == "missing":
        visit(RawObject(oid, None, 0, iter(())))
        return True
    size = int(words[2])
    content = _Content(stream, size)
    visit(RawObject(oid, words[1], size, iter(content)))
    for _ in content:  # what the visitor left
        pass
    return content.left == 0 and stream.read(1) == b"\n"


class _Content:
    """The next `left` bytes of a stream, in pieces."""

    def __init__(self, stream: IO[bytes], size: int) -> None:
        self.stream, self.left = stream, size

    def __iter__(self) -> Iterator[bytes]:
        while self.left and (chunk := self.stream.read(min(self.left, _CHUNK_BYTES))):
            self.left -= len(chunk)
            yield chunk
