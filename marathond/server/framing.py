"""Cutting a byte stream into messages, without I/O.

Two framings share the socket. The first byte of a connection fixes which one it speaks for good:

- `C` or `c`: header blocks with `Content-Length`, as in the base protocol of the Language Server Protocol;
- anything else: one JSON message per line, as in the Agent Client Protocol and MCP's stdio transport.

A splitter never raises. What it cannot read becomes a `Fault` in the sequence of frames; after a fatal one it reads nothing
more. How the stream is cut into chunks makes no difference to the sequence.
"""

import re
from typing import Final, Literal, NamedTuple

from marathond.domain.errors import FRAME_TOO_LARGE, PARSE_ERROR, MarathonError
from marathond.domain.limits import FRAME_BYTES_MAX, FRAME_HEADER_BYTES_MAX

Framing = Literal["lines", "headers"]

_HEADERS_END: Final = b"\r\n\r\n"
_HEADER: Final = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([^\r\n]*?)[ \t]*")
_LENGTH: Final = re.compile(rb"[0-9]{1,15}")
_CHARSET: Final = re.compile(rb"charset *= *\"?([A-Za-z0-9-]+)", re.IGNORECASE)
_MIXED_IN_LINE: Final = re.compile(rb"content-(length|type)[ \t]*:", re.IGNORECASE)
_BLANK: Final = b" \t\r"


class Fault(NamedTuple):
    """Something that is no frame. After a `fatal` one the rest of the stream has no meaning."""

    error: MarathonError
    fatal: bool


Piece = bytes | Fault


def envelope(length: int, framing: Framing) -> tuple[bytes, bytes]:
    """What goes before and after a body of `length` bytes. The body is compact JSON, so it has no line break of its own."""
    return (b"", b"\n") if framing == "lines" else (b"Content-Length: %d\r\n\r\n" % length, b"")


class Splitter:
    """Turns chunks into frames: message bodies that are at most `bytes_max` long and not yet parsed."""

    def __init__(self, bytes_max: int = FRAME_BYTES_MAX) -> None:
        self._bytes_max = bytes_max
        self._buffer = bytearray()
        self._scanned = 0  # how far the buffer is known to hold no end of line or of headers
        self._body_left: int | None = None  # bytes that the body after a header block still needs
        self._skipping = False  # inside a frame that is too large
        self._ended = False
        self.framing: Framing | None = None

    @property
    def unfinished(self) -> bool:
        """Whether a frame has begun that is not complete."""
        return not self._ended and (bool(self._buffer) or self._skipping or self._body_left is not None)

    def feed(self, chunk: bytes) -> list[Piece]:
        """The frames and faults that `chunk` completes, in order."""
        if self._ended or not chunk:
            return []
        if self.framing is None:
            self.framing = "headers" if chunk[:1] in b"Cc" else "lines"
        self._buffer += chunk
        step = self._next_line if self.framing == "lines" else self._next_block
        pieces: list[Piece] = []
        while (piece := step()) is not None:
            if piece != b"" or self.framing == "headers":
                pieces.append(piece)
        return pieces

    def finish(self) -> list[Piece]:
        """What the end of the stream completes: a last line without its line break, or a fault for a frame that was cut off."""
        rest, unfinished, skipping = bytes(self._buffer).strip(_BLANK), self.unfinished, self._skipping
        self._end()
        if not unfinished or skipping:
            return []
        if self.framing == "headers":
            return [_broken("the connection ended inside a frame")]
        return [rest] if rest else []

    def _end(self) -> None:
        self._ended = True
        self._buffer.clear()

    def _take(self, count: int, separator: int = 0) -> bytes:
        """The first `count` bytes of the buffer, which go, and so do the `separator` bytes after them."""
        taken = bytes(self._buffer[:count])
        del self._buffer[: count + separator]
        self._scanned = 0
        return taken

    def _fatal(self, reason: str) -> Fault:
        self._end()
        return _broken(reason)

    # --- lines -------------------------------------------------------------------------------------

    def _next_line(self) -> Piece | None:
        """The next line, empty when it is blank; None when it is not complete."""
        end = self._buffer.find(b"\n", self._scanned)
        if self._skipping:
            return self._skip_line(end)
        if end < 0:
            self._scanned = len(self._buffer)
            if self._scanned <= self._bytes_max:
                return None
            self._skipping = True
            self._take(self._scanned)
            return _too_large(self._bytes_max)
        if end > self._bytes_max:
            self._take(end, 1)
            return _too_large(self._bytes_max)
        line = self._take(end, 1).strip(_BLANK)
        if _MIXED_IN_LINE.match(line):
            return self._fatal("a header among lines of JSON; a connection keeps the framing that it began with")
        return line

    def _skip_line(self, end: int) -> Piece | None:
        if end < 0:
            self._buffer.clear()
            return None
        self._skipping = False
        self._take(end, 1)
        return b""

    # --- headers -----------------------------------------------------------------------------------

    def _next_block(self) -> Piece | None:
        """The next body; None when it is not complete."""
        if self._skipping and not self._skip_body():
            return None
        if self._body_left is None:
            length = self._read_headers()
            if not isinstance(length, int):
                return length
            self._body_left = length
            if length > self._bytes_max:
                self._skipping = True
                return _too_large(self._bytes_max)
        if len(self._buffer) < self._body_left:
            return None
        body = self._take(self._body_left)
        self._body_left = None
        return body

    def _skip_body(self) -> bool:
        """Drops what has come of a body that is too large; True when all of it has."""
        assert self._body_left is not None
        skipped = min(self._body_left, len(self._buffer))
        self._take(skipped)
        self._body_left -= skipped
        if self._body_left:
            return False
        self._body_left, self._skipping = None, False
        return True

    def _read_headers(self) -> int | Fault | None:
        """The announced length of the next body; None when its headers are not complete."""
        if not self._buffer:
            return None
        if self._buffer[0] in b"{[":
            return self._fatal("JSON without a header; a connection keeps the framing that it began with")
        end = self._buffer.find(_HEADERS_END, max(0, self._scanned - len(_HEADERS_END) + 1))
        if end > FRAME_HEADER_BYTES_MAX or (
            end < 0 and len(self._buffer) >= FRAME_HEADER_BYTES_MAX + len(_HEADERS_END)
        ):
            return self._fatal(f"the headers of a frame have more than {FRAME_HEADER_BYTES_MAX} bytes")
        if end < 0:
            self._scanned = len(self._buffer)
            return None
        try:
            return _content_length(self._take(end, len(_HEADERS_END)))
        except ValueError as exc:
            return self._fatal(str(exc))


def _content_length(block: bytes) -> int:
    """The length that a header block states. Raises ValueError with what is wrong with the block."""
    lengths = set()
    for line in block.split(b"\r\n"):
        header = _HEADER.fullmatch(line)
        if header is None:
            raise ValueError("a header line is not of the form `Name: value`")
        name, value = header[1].lower(), header[2]
        if name == b"content-length":
            if not _LENGTH.fullmatch(value):
                raise ValueError("Content-Length is not a number of bytes")
            lengths.add(int(value))
        elif (
            name == b"content-type"
            and (charset := _CHARSET.search(value))
            and charset[1].lower() not in {b"utf-8", b"utf8"}
        ):
            raise ValueError("the charset is not utf-8")
    if len(lengths) != 1:
        raise ValueError("Content-Length is missing" if not lengths else "Content-Length is stated twice, differently")
    return int(lengths.pop())


def _broken(reason: str) -> Fault:
    return Fault(MarathonError(PARSE_ERROR, reason=reason), fatal=True)


def _too_large(limit: int) -> Fault:
    return Fault(MarathonError(FRAME_TOO_LARGE, limit=limit), fatal=False)
