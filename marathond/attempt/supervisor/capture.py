"""What a job prints, on its way to a file: redacted, and bounded with the beginning and the end kept."""

import os
from pathlib import Path
from typing import Final

from marathond.attempt.redact import Redactor

_COPY_BYTES: Final = 1024 * 1024


class BoundedFile:
    """A file of at most `bytes_max` and a line: the first half as it comes, the last half from a ring beside it.

    While the job runs the file holds the beginning only; `finish` joins the end to it, with a line between that says how much is
    missing (for that moment the disk holds half as much again). So a job that prints without end fills neither memory nor disk, and both parts begin and end with whole lines
    where there are any.
    """

    def __init__(self, path: Path, bytes_max: int) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        self._ring_path = path.with_name(path.name + ".tail")
        self._ring: int | None = None
        self._ring_bytes = max(bytes_max // 2, 1)
        self._head_left = max(bytes_max - self._ring_bytes, 0)
        self._beyond = 0
        self._whole_line = True
        self._failed = ""

    @property
    def truncated(self) -> bool:
        """Whether something is missing in the middle (known for sure after `finish`) or could not be written."""
        return self._beyond > self._ring_bytes or bool(self._failed)

    @property
    def failed(self) -> str:
        """Why writing was given up; empty when it was not. The job goes on: losing its words is better than losing its work."""
        return self._failed

    def write(self, data: bytes) -> None:
        """Takes the next bytes."""
        if self._failed:
            return
        try:
            data = self._write_head(data)
            if data:
                self._write_ring(data)
        except OSError as wrong:
            self._failed = f"output could not be written: {wrong.strerror}"

    def finish(self) -> None:
        """Joins the end to the beginning and makes the file durable."""
        try:
            if self._ring is not None and not self._failed:
                self._append_ring(self._ring)
            os.fsync(self._file)
        except OSError as wrong:
            self._failed = f"output could not be written: {wrong.strerror}"
        os.close(self._file)
        if self._ring is not None:
            os.close(self._ring)
            self._ring_path.unlink()

    def _write_head(self, data: bytes) -> bytes:
        """Writes what the beginning has room for; returns the rest."""
        if self._head_left == 0:
            return data
        fits = len(data)
        if fits > self._head_left:
            fits = data.rfind(b"\n", 0, self._head_left) + 1 or self._head_left
            self._head_left = fits
        if fits:
            _write_all(self._file, data[:fits])
            self._whole_line = data[fits - 1 : fits] == b"\n"
            self._head_left -= fits
        return data[fits:]

    def _write_ring(self, data: bytes) -> None:
        if self._ring is None:
            self._ring = os.open(self._ring_path, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o600)
        skipped = max(len(data) - self._ring_bytes, 0)
        at = (self._beyond + skipped) % self._ring_bytes
        self._beyond += len(data)
        data = data[skipped:]
        first = data[: self._ring_bytes - at]
        os.pwrite(self._ring, first, at)
        os.pwrite(self._ring, data[len(first) :], 0)

    def _append_ring(self, ring: int) -> None:
        """Writes the line that says what is missing, then the ring from its oldest whole line on."""
        kept = min(self._beyond, self._ring_bytes)
        oldest = self._beyond % self._ring_bytes if self._beyond > self._ring_bytes else 0
        if self.truncated:
            start = _first_line_start(ring, oldest, kept)
            missing = self._beyond - kept + start
            newline = b"" if self._whole_line else b"\n"
            _write_all(self._file, newline + f"[marathon: {missing} bytes left out here]\n".encode())
        else:
            start = 0
        while start < kept:
            at = (oldest + start) % self._ring_bytes
            chunk = os.pread(ring, min(_COPY_BYTES, kept - start, self._ring_bytes - at), at)
            _write_all(self._file, chunk)
            start += len(chunk)


class Capture:
    """One of a job's output streams: through its redactor into its file."""

    def __init__(self, path: Path, bytes_max: int, redactor: Redactor) -> None:
        self.file = BoundedFile(path, bytes_max)
        self.bytes_seen = 0
        self._redactor = redactor

    def write(self, data: bytes) -> None:
        """Takes what the job printed."""
        self._keep(self._redactor.feed(data))

    def finish(self) -> None:
        """The stream has ended."""
        self._keep(self._redactor.flush())
        self.file.finish()

    def _keep(self, data: bytes) -> None:
        self.bytes_seen += len(data)
        if data:
            self.file.write(data)


def _first_line_start(ring: int, oldest: int, kept: int) -> int:
    """How many of the ring's oldest bytes belong to a line whose beginning is gone; 0 when no line ends in it."""
    first = os.pread(ring, _COPY_BYTES, oldest)
    return min(first.find(b"\n") + 1, kept)


def _write_all(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]
