"""How two trees differ, from git's raw diff format (git-diff-tree(1), "Raw output format")."""

import os
from collections.abc import Iterable
from typing import Final, NamedTuple

GITLINK: Final = "160000"
ABSENT: Final = "000000"


class Change(NamedTuple):
    """One path that differs. Modes are six octal digits, ABSENT where the path does not exist."""

    path: bytes
    old_mode: str
    mode: str
    oid: str

    @property
    def holds_blob(self) -> bool:
        """Whether the new side is a file or a symbolic link, not a deletion and not a submodule."""
        return self.mode not in (ABSENT, GITLINK)

    @property
    def name(self) -> str:
        """The path as text; bytes that are not UTF-8 survive as surrogates."""
        return os.fsdecode(self.path)


def parse_changes(items: Iterable[bytes]) -> list[Change]:
    """The changes in the items of `--raw -z --no-renames --no-abbrev` output."""
    parts = iter(items)
    changes = []
    for head in parts:
        old_mode, mode, _, oid, _ = head.decode("ascii").removeprefix(":").split(" ")
        changes.append(Change(next(parts), old_mode, mode, oid))
    return changes
