"""`.worktreeinclude`: untracked files of the user's checkout that a new workspace needs too, such as `.env`.

The file lies at the top of the checkout and has gitignore's syntax; what it matches and git does not track is copied.
Only regular files inside the checkout count: no symbolic links, nothing reached through one, nothing inside `.git` or
inside another repository. Copies belong to no candidate, ignored or not.
"""

import errno
import os
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import anyio.to_thread

from marathond.domain.limits import INCLUDE_BYTES_MAX, INCLUDE_FILES_MAX
from marathond.workspace.repository import Repository

INCLUDE_FILE: Final = ".worktreeinclude"
_FOLDER: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_READ: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_CREATE: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_NOT_MEANT: Final = (errno.ELOOP, errno.ENOTDIR, errno.ENXIO, errno.EEXIST, errno.ENOENT)
"""A link (on the way or at the end), a special file, a name the workspace has already, a file that is gone by now."""


class IncludeError(OSError):
    """What `.worktreeinclude` names cannot be copied or is too much; the text says what and how much is allowed."""


async def include_files(repository: Repository, workspace: Path) -> list[bytes]:
    """Copies what `.worktreeinclude` names into `workspace` and returns the paths that were copied.

    Nothing in the workspace is overwritten. Raises IncludeError. One process when the file exists, else none.
    """
    patterns = repository.top / INCLUDE_FILE
    if patterns.is_symlink() or not patterns.is_file():
        return []
    listed = await repository.git.run("ls-files", "-z", "--others", "--ignored", f"--exclude-from={patterns}")
    named = [item for item in listed.items if not item.endswith(b"/")]
    if len(named) > INCLUDE_FILES_MAX:
        raise IncludeError(f"{INCLUDE_FILE} names {len(named)} files; at most {INCLUDE_FILES_MAX} are copied")
    return await anyio.to_thread.run_sync(_copy_all, repository.top, workspace, named)


def _copy_all(source: Path, target: Path, paths: list[bytes]) -> list[bytes]:
    copied = []
    left = INCLUDE_BYTES_MAX
    for path in paths:
        try:
            size = _copy(source, target, path, left)
        except OSError as error:
            if error.errno in _NOT_MEANT:
                continue
            raise IncludeError(f"{os.fsdecode(path)!r} of {INCLUDE_FILE}: {error.strerror}") from error
        if size > left:
            raise IncludeError(f"{INCLUDE_FILE} names more than {INCLUDE_BYTES_MAX} bytes")
        left -= size
        copied.append(path)
    return copied


def _copy(source: Path, target: Path, path: bytes, left: int) -> int:
    """Copies one file without following a link at any step; its size. Nothing is written when that is more than `left`."""
    *folders, name = path.split(b"/")
    with _beneath(source, folders, make=False) as folder:
        fd = os.open(name, _READ, dir_fd=folder)
    with os.fdopen(fd, "rb") as file:
        found = os.fstat(fd)
        if not stat.S_ISREG(found.st_mode):
            raise OSError(errno.ENXIO, "not a regular file")
        if found.st_size > left:
            return found.st_size
        with _beneath(target, folders, make=True) as folder:
            made = os.open(name, _CREATE, stat.S_IMODE(found.st_mode) & 0o777, dir_fd=folder)
        with os.fdopen(made, "wb") as copy:
            shutil.copyfileobj(file, copy)
    return found.st_size


@contextmanager
def _beneath(root: Path, folders: list[bytes], *, make: bool) -> Iterator[int]:
    """A descriptor of the folder `folders` under `root`, each step a real folder; with `make`, missing ones are made."""
    fd = os.open(root, _FOLDER)
    try:
        for name in folders:
            if make:
                try:
                    os.mkdir(name, dir_fd=fd)
                except FileExistsError:
                    pass  # the open below tells a folder from anything else
            inner = os.open(name, _FOLDER, dir_fd=fd)
            os.close(fd)
            fd = inner
        yield fd
    finally:
        os.close(fd)
