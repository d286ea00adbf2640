"""Content-addressed files: what is too long for an entry is stored here, and the entry holds its SHA-256.

A blob lies at `ab/abcdef…`, compressed with zlib; its name is the SHA-256 of the uncompressed content, so a blob can be
checked without anything else. Blocking: async callers use a thread.
"""

import hashlib
import re
import zlib
from pathlib import Path
from typing import Final

from marathond.domain.errors import BLOB_UNSOUND, MarathonError
from marathond.store.files import make_folder, write_durably

_NAME: Final = re.compile(r"[0-9a-f]{64}")
_LEVEL: Final = 6


class Blobs:
    """The blobs in one folder."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def put(self, content: bytes) -> str:
        """Stores content durably and returns its name. What is there already and sound is kept. Raises OSError."""
        name = hashlib.sha256(content).hexdigest()
        if self.fault(name) is not None:
            path = self.path(name)
            make_folder(path.parent)
            write_durably(path, zlib.compress(content, _LEVEL), temporary_in=self._root)
        return name

    def get(self, name: str) -> bytes:
        """The content of a blob, checked against its name. Raises BLOB_UNSOUND when it is missing or damaged."""
        if not _NAME.fullmatch(name):
            raise MarathonError(BLOB_UNSOUND, name=name, reason="has a name that is no SHA-256")
        try:
            content = zlib.decompress(self.path(name).read_bytes())
        except FileNotFoundError as error:
            raise MarathonError(BLOB_UNSOUND, name=name, reason="is missing") from error
        except (zlib.error, OSError) as error:
            raise MarathonError(BLOB_UNSOUND, name=name, reason=f"cannot be read: {error}") from error
        if hashlib.sha256(content).hexdigest() != name:
            raise MarathonError(BLOB_UNSOUND, name=name, reason="has other content than its name says")
        return content

    def fault(self, name: str) -> str | None:
        """What is wrong with a blob, in words; None when it is there and sound."""
        try:
            self.get(name)
        except MarathonError as error:
            return error.message
        return None

    def exists(self, name: str) -> bool:
        """Whether a blob is there; `get` tells whether it is sound."""
        return bool(_NAME.fullmatch(name)) and self.path(name).is_file()

    def path(self, name: str) -> Path:
        """Where a blob lies, whether or not it is there."""
        return self._root / name[:2] / name
