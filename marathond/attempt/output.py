"""Reads what a job prints while it prints it: by offset, never in the middle of a character, woken by changes."""

import os
from collections import Counter
from pathlib import Path
from typing import Final, NamedTuple

import anyio
from watchfiles import awatch

from marathond.domain.limits import OUTPUT_PAGE_BYTES_MAX

_CHARACTER_BYTES_MAX: Final = 4
_WATCH_STEP_MS: Final = 50
_WATCH_RECHECK_MS: Final = 1000


class Page(NamedTuple):
    """A piece of an output file: the text of its bytes `offset` to `next`."""

    text: str
    offset: int
    next: int


def read_page(path: Path, after: int, *, bytes_max: int = OUTPUT_PAGE_BYTES_MAX, final: bool = False) -> Page:
    """The text after byte `after`, at most `bytes_max` bytes of it; empty at the end or when there is no file yet.

    A character whose last bytes are not there yet waits for the next page, unless the file is `final`. What is no UTF-8
    becomes U+FFFD. Blocks for the time of one read. Raises OSError.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        return Page("", after, after)
    try:
        data = os.pread(descriptor, bytes_max, after)
        whole = final and after + len(data) >= os.fstat(descriptor).st_size
    finally:
        os.close(descriptor)
    if not whole:
        data = data[: len(data) - _unfinished_bytes(data)]
    return Page(data.decode("utf-8", "replace"), after, after + len(data))


def read_tail(path: Path, bytes_max: int) -> str:
    """The text at the end of a file, at most `bytes_max` bytes, from a line's beginning where one is in reach; "" without a file."""
    try:
        size = path.stat().st_size
    except FileNotFoundError:
        return ""
    text = read_page(path, max(size - bytes_max, 0), bytes_max=bytes_max, final=True).text
    if size <= bytes_max:
        return text
    cut, newline, rest = text.partition("\n")
    return rest if newline else cut.lstrip("\ufffd")


class OutputWatch:
    """Wakes those who follow output files of live jobs. One watch serves all of them, and runs only while somebody waits.

    `run` belongs in a task group of whoever owns the object.
    """

    def __init__(self) -> None:
        self._folders: Counter[Path] = Counter()
        self._changed = anyio.Event()
        self._folders_changed = anyio.Event()

    @property
    def folders(self) -> list[Path]:
        """The folders that somebody waits for."""
        return list(self._folders)

    async def changed(self, path: Path, after: int) -> None:
        """Returns once the file is longer than `after` bytes. Its folder may come later. Cancel it when the job has ended."""
        folder = path.parent
        self._folders[folder] += 1
        if self._folders[folder] == 1:
            self._folders_changed.set()
        try:
            while True:
                changed = self._changed  # taken before looking, so that no change falls in between
                if await anyio.to_thread.run_sync(_size, path) > after:
                    return
                await changed.wait()
        finally:
            self._folders[folder] -= 1
            if self._folders[folder] == 0:
                del self._folders[folder]
                self._folders_changed.set()

    async def run(self) -> None:
        """Watches the folders of those who wait, for ever."""
        while True:
            self._folders_changed = until = anyio.Event()
            folders = [folder for folder in self._folders if folder.is_dir()]
            if folders:
                await self._watch(folders, until)
            elif self._folders:  # an attempt is followed from its intent on, and its folder is made a moment later
                with anyio.move_on_after(_WATCH_STEP_MS / 1000):
                    await until.wait()
            else:
                await until.wait()
            self._wake()  # for what happened before the next watch stands

    async def _watch(self, folders: list[Path], until: anyio.Event) -> None:
        """Wakes everybody on each change, and once a second: a change may fall between two watches."""
        async for _ in awatch(
            *folders,
            stop_event=until,
            step=_WATCH_STEP_MS,
            debounce=_WATCH_STEP_MS,
            rust_timeout=_WATCH_RECHECK_MS,
            yield_on_timeout=True,
            recursive=False,
        ):
            self._wake()
            if any(folder.is_dir() for folder in self._folders.keys() - set(folders)):
                return

    def _wake(self) -> None:
        self._changed.set()
        self._changed = anyio.Event()


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def _unfinished_bytes(data: bytes) -> int:
    """How many bytes at the end begin a UTF-8 character without finishing it (RFC 3629)."""
    for back in range(1, min(_CHARACTER_BYTES_MAX, len(data) + 1)):
        byte = data[-back]
        if byte & 0b1100_0000 != 0b1000_0000:  # not a continuation byte: the character begins here, or is one byte
            length = 4 if byte >= 0b1111_0000 else 3 if byte >= 0b1110_0000 else 2 if byte >= 0b1100_0000 else 1
            return back if back < length else 0
    return 0
