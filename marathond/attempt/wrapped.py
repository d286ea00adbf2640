"""Finds secrets in Base64 that may be broken into lines anywhere, as `base64`, `openssl` and MIME do it, also inside JSON.

A secret in the middle of a longer text lies across a line end wherever the text before it happens to put it. But lines of Base64
are long: of two short pieces of a form that follow each other, one at least is in one line. So both are looked for as they are, and
only where one is found the breaks around it are taken out. Standard library only: the supervisor imports it.
"""

import re
import string
from bisect import bisect_right
from collections.abc import Iterator, Mapping
from itertools import accumulate
from typing import Final

from marathond.attempt.secret_formats import Span

_SPACE: Final = b"\r\n\t "
_ESCAPED: Final = re.compile(rb"\\{1,4}[rn]")
_GAP: Final = re.compile(rb"(?:\\{1,4}[rn]|[\r\n\t ])+")
_BREAK: Final = re.compile(rb"[ \t]{0,16}(?:\r?\n|(?:\\{1,4}r)?\\{1,4}n)[ \t]{0,16}")
"""One line end, and how far the next line may be indented."""
_LINE_END: Final = re.compile(rb"[ \t]{0,16}\r?\n")
_ALPHABET: Final = (string.ascii_letters + string.digits + "+/_-").encode()
_RUN: Final = 32
"""Base64 characters that stand before a line end within Base64. Ordinary lines seldom end like that, so few are kept waiting."""
_PIECE: Final = _RUN // 2


class Wrapped:
    """The forms of secrets, runs of Base64 characters, with the names of the variables they belong to."""

    def __init__(self, forms: Mapping[bytes, str]) -> None:
        self._forms = tuple(forms)
        self._pieces = [(piece, form, name) for form, name in forms.items() for piece in _pieces(form)]
        self.longest = max(map(_room, self._forms), default=0)
        """Bytes that a form takes up at most, its breaks included."""

    def present(self, data: bytes) -> bool:
        """Whether one of the forms is in `data`, however it is broken up."""
        return any(True for _ in self.spans(data))

    def spans(self, data: bytes) -> Iterator[Span]:
        """Where the forms are in `data`, in no order; one may be told more than once."""
        for piece, form, name in self._pieces:
            at = data.find(piece)
            while at >= 0:
                yield from _around(data, at, form, name)
                at = data.find(piece, at + 1)

    def open_from(self, data: bytes, cut: int) -> int:
        """Where a form may begin that goes on after the line end before `cut`; `cut` itself when none does."""
        tail = data[max(0, cut - self.longest - _RUN) : cut]
        line = tail.rstrip(_SPACE)
        if not _LINE_END.fullmatch(tail, len(line)) or not _ends_in_run(line, len(line)):
            return cut
        compact = _compact(tail)
        return max(0, min((cut - _room(form[:k]) for form in self._forms if (k := _begun(form, compact))), default=cut))


class _Origin:
    """Where the bytes of a compacted text were before."""

    def __init__(self, data: bytes) -> None:
        gaps = [match.span() for match in _GAP.finditer(data)]
        self._starts = [0, *(end for _, end in gaps)]
        removed = accumulate((end - start for start, end in gaps), initial=0)
        self._compacted = [start - gone for start, gone in zip(self._starts, removed, strict=True)]

    def of(self, at: int) -> int:
        piece = bisect_right(self._compacted, at) - 1
        return self._starts[piece] + at - self._compacted[piece]


def _room(form: bytes) -> int:
    return 2 * len(form) + 64


def _pieces(form: bytes) -> tuple[bytes, bytes]:
    size = min(_PIECE, len(form) // 2)
    return form[:size], form[size : 2 * size]


def _around(data: bytes, at: int, form: bytes, name: str) -> Iterator[Span]:
    """The occurrences of `form` near `at`."""
    first = max(0, at - _room(form))
    near = data[first : at + _room(form)]
    compact = _compact(near)
    found = compact.find(form)
    if found < 0:
        return
    origin = _Origin(near)
    while found >= 0:
        start, end = first + origin.of(found), first + origin.of(found + len(form) - 1) + 1
        if end - start <= _room(form) and _broken_like_base64(data, start, end):
            yield Span(start, end, name, max(0, start - _RUN) if b"\n" in data[start:end] else start)
        found = compact.find(form, found + 1)


def _compact(data: bytes) -> bytes:
    return _ESCAPED.sub(b"", data).translate(None, _SPACE)


def _broken_like_base64(data: bytes, start: int, end: int) -> bool:
    """Whether all that interrupts the characters of `data[start:end]` are single line ends, each after a long line."""
    gaps = _GAP.finditer(data, start, end)
    return all(_BREAK.fullmatch(gap[0]) and _ends_in_run(data, gap.start()) for gap in gaps)


def _ends_in_run(data: bytes, end: int) -> bool:
    run = data[max(0, end - _RUN) : end]
    return len(run) == _RUN and not run.translate(None, _ALPHABET)


def _begun(form: bytes, compact: bytes) -> int:
    """How many characters of `form`, not all of them, `compact` ends with at most."""
    k = len(form) - 1
    while k > 0 and not compact.endswith(form[:k]):
        k = form.rfind(compact[-1:], 0, k - 1) + 1
    return k
