"""Paths in a contract: relative to the repository, inside it, and never in `.git`."""

import os
import posixpath
import stat
from pathlib import Path

from marathond.domain.limits import PROMPT_BYTES_MAX
from marathond.planning import values
from marathond.planning.problems import KeyPath, Problems

_line = values.line(chars_max=1024)


class PathError(ValueError):
    """A file of the repository cannot be taken; the text says why."""


def repository_path(problems: Problems, path: KeyPath, value: object) -> str | None:
    """Reads a path of a file in the repository; returns it without `./` and doubled slashes."""
    written = _line(problems, path, value)
    if written is None:
        return None
    parts = written.split("/")
    if written.startswith("/"):
        problems.add(path, "leaves the repository: a path is relative to its top folder")
    elif written.startswith("~"):
        problems.add(path, "leaves the repository: ~ is not expanded, a path is relative to the top folder")
    elif ".." in parts:
        problems.add(path, "leaves the repository: .. is not allowed in a path", _without_dots(written))
    elif any(part.lower() == ".git" for part in parts):
        problems.add(path, "is inside .git, which belongs to git alone")
    elif written.endswith("/") or posixpath.normpath(written) == ".":
        problems.add(path, "must name a file, not a folder")
    else:
        return posixpath.normpath(written)
    return None


def _without_dots(written: str) -> str | None:
    plain = posixpath.normpath(written)
    return None if plain.startswith("..") or plain == "." else plain


def read_prompt(top: Path, relative: str) -> str:
    """The text of a prompt file in the repository whose top folder is `top`.

    Symbolic links are followed as long as they stay inside. The file is opened once and everything is asked of the open
    descriptor, so that what is checked is what is read. Raises PathError.
    """
    home = os.path.realpath(top)
    try:
        descriptor = os.open(f"{home}/{relative}", os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        raise PathError(f"there is no file {relative} in the repository") from None
    except OSError as error:
        raise PathError(f"{relative} cannot be read: {error.strerror}") from None
    try:
        _stay_inside(home, str(Path(f"/proc/self/fd/{descriptor}").readlink()), relative)
        return _read_text(descriptor, relative)
    finally:
        os.close(descriptor)


def _read_text(descriptor: int, relative: str) -> str:
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode):
        raise PathError(f"{relative} is not a regular file")
    if status.st_size > PROMPT_BYTES_MAX:
        raise PathError(f"{relative} has {status.st_size:,} bytes; a prompt may have {PROMPT_BYTES_MAX:,}")
    try:
        with os.fdopen(descriptor, "rb", closefd=False) as file:
            return file.read(PROMPT_BYTES_MAX).decode("utf-8-sig")
    except UnicodeDecodeError:
        raise PathError(f"{relative} is not UTF-8 text") from None
    except OSError as error:
        raise PathError(f"{relative} cannot be read: {error.strerror}") from None


def _stay_inside(home: str, real: str, relative: str) -> None:
    if not real.startswith(home.rstrip("/") + "/"):
        raise PathError(f"{relative} leaves the repository: it is a link to a place outside")
    if any(part.lower() == ".git" for part in real[len(home) :].split("/")):
        raise PathError(f"{relative} is a link into .git, which belongs to git alone")
