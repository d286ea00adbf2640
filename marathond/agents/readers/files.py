"""Stored output as lines: cut, garbled and giant ones included."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from marathond.domain.limits import OUTPUT_LINE_BYTES_MAX

ERROR_TAIL_BYTES: Final = 4096


def lines(path: Path) -> Iterator[str]:
    """The lines of a file, without their ends. Longer ones than `OUTPUT_LINE_BYTES_MAX` are left out; bad UTF-8 is replaced."""
    try:
        stream = path.open("rb")
    except FileNotFoundError:
        return
    with stream:
        while line := stream.readline(OUTPUT_LINE_BYTES_MAX):
            if len(line) == OUTPUT_LINE_BYTES_MAX and not line.endswith(b"\n"):
                while (rest := stream.readline(OUTPUT_LINE_BYTES_MAX)) and not rest.endswith(b"\n"):
                    pass
                continue
            yield line.decode("utf-8", "replace").rstrip("\r\n")


def error_tail(path: Path) -> str:
    """The last few KiB of a file, from the start of a line where that is possible."""
    try:
        with path.open("rb") as stream:
            size = stream.seek(0, os.SEEK_END)
            stream.seek(max(0, size - ERROR_TAIL_BYTES))
            tail = stream.read()
    except FileNotFoundError:
        return ""
    if size > ERROR_TAIL_BYTES and b"\n" in tail[:-1]:
        tail = tail.partition(b"\n")[2]
    return tail.decode("utf-8", "replace").strip()
