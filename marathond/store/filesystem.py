"""Which file system a folder is on: SQLite's locks and its shared memory cannot be trusted on network ones."""

import ctypes
import os
from pathlib import Path
from typing import Final

from marathond.domain.errors import NETWORK_FILESYSTEM, MarathonError

NETWORK_TYPES: Final[dict[int, str]] = {
    0x6969: "nfs",
    0x517B: "smb",
    0xFF534D42: "cifs",
    0xFE534D42: "smb2",
    0x01021997: "9p",
    0x00C36400: "ceph",
    0x5346414F: "afs",
    0x6B414653: "kafs",
    0x73757245: "coda",
    0x0BD00BD0: "lustre",
}
"""Numbers of statfs(2), from linux/magic.h and statfs(2)."""

_STATFS_BYTES: Final = 256  # struct statfs has 120 bytes on 64-bit Linux; the kernel must not write past our buffer


def filesystem_type(path: Path) -> int:
    """`f_type` of statfs(2) for an existing path. Raises OSError."""
    libc = ctypes.CDLL(None, use_errno=True)
    buffer = ctypes.create_string_buffer(_STATFS_BYTES)
    if libc.statfs(os.fsencode(path), buffer) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), str(path))
    return ctypes.c_long.from_buffer(buffer).value & 0xFFFF_FFFF


def refuse_network(path: Path, f_type: int) -> None:
    """Raises NETWORK_FILESYSTEM when `f_type` is the number of a network file system."""
    if f_type in NETWORK_TYPES:
        raise MarathonError(NETWORK_FILESYSTEM, path=path, fstype=NETWORK_TYPES[f_type])
