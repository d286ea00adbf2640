"""Objects that are not the repository's yet.

To take the state of files, git writes them as objects. As long as it is not known whether they may be kept, they lie in a folder of
their own, which reads through to the repository's (gitrepository-layout(5), `objects/info/alternates`), as git itself does
with what is pushed to it. The folder is beside the repository's objects, so that keeping them is renaming them, and has a name that
`git prune` clears away should nobody else.
"""

import hashlib
import os
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path

import anyio
import anyio.to_thread

from marathond.workspace.repository import Repository
from marathond.workspace.tree import WorkingTree


@asynccontextmanager
async def apart(
    repository: Repository, tree: WorkingTree
) -> AsyncIterator[tuple[WorkingTree, Callable[[], Awaitable[None]]]]:
    """The same files, whose objects are written apart, and a function that makes all of them the repository's.

    What is not kept when the block is left is gone. Raises OSError.
    """
    objects = repository.common_dir / "objects"
    name = hashlib.sha256(os.fsencode(tree.private)).hexdigest()[:16]
    folder = objects / f"tmp_objdir-marathon-{name}"  # one for each workspace: what a crash left there is found again
    await anyio.to_thread.run_sync(_make, folder, objects)
    try:
        yield replace(tree, objects=folder), partial(anyio.to_thread.run_sync, _keep, folder, objects)
    finally:
        with anyio.CancelScope(shield=True):
            await anyio.to_thread.run_sync(partial(shutil.rmtree, folder, ignore_errors=True))


def _make(folder: Path, objects: Path) -> None:
    if folder.exists():
        shutil.rmtree(folder)
    (folder / "info").mkdir(mode=0o700, parents=True)
    (folder / "pack").mkdir(mode=0o700)
    quoted = os.fsencode(objects).replace(b"\\", b"\\\\").replace(b'"', b'\\"').replace(b"\n", b"\\n")
    (folder / "info" / "alternates").write_bytes(b'"' + quoted + b'"\n')


def _keep(folder: Path, objects: Path) -> None:
    """Loose objects, and the packs that git makes of very large files; a pack counts once its index is there."""
    found = [path for path in folder.glob("*/*") if path.parent.name != "info"]
    for path in sorted(found, key=lambda path: path.suffix == ".idx"):
        target = objects / path.parent.name / path.name
        target.parent.mkdir(exist_ok=True)
        if not target.exists():
            path.rename(target)
