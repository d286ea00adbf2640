"""Files that survive a power cut: written beside their place, synced, then renamed into it."""

import os
import tempfile
from pathlib import Path
from typing import Final

_TEMPORARY: Final = ".tmp-"


def make_folder(path: Path) -> None:
    """Makes a folder (and its parents) that only its owner may enter, and syncs the folder it is in. No error if it exists."""
    if path.is_dir():
        return
    if not path.parent.is_dir():
        make_folder(path.parent)
    path.mkdir(mode=0o700, exist_ok=True)
    sync_folder(path.parent)


def sync_folder(path: Path) -> None:
    """Makes the names in a folder durable: a rename or an unlink counts only after this."""
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def write_durably(path: Path, data: bytes, *, temporary_in: Path | None = None) -> None:
    """Replaces a file by `data`, mode 0600: a reader sees the old content or the new, and after return the new one is on disk.

    It is written in the folder `temporary_in` (default: its own; must be on the same file system) first. Raises OSError;
    then the old file is as it was.
    """
    fd, temporary = tempfile.mkstemp(dir=temporary_in or path.parent, prefix=_TEMPORARY)  # mkstemp makes it 0600
    try:
        with os.fdopen(fd, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def remove_durably(path: Path) -> None:
    """Removes a file for good. No error when it is not there."""
    try:
        path.unlink()
    except FileNotFoundError:
        return
    sync_folder(path.parent)


def sweep_temporaries(folder: Path) -> None:
    """Removes what a crash left of unfinished `write_durably` calls in a folder; nobody may be writing there."""
    for path in folder.glob(f"{_TEMPORARY}*"):
        path.unlink(missing_ok=True)
