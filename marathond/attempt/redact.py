"""Takes secrets out of a stream before it reaches a disk, a socket or the ledger.

Standard library only: the supervisor runs it on everything that an agent prints.

A secret may be split over any number of writes, so text is handled by whole lines: what follows the last line end is
carried until more comes. Secrets of several lines (PEM blocks, multi-line values, Base64 broken into lines) are carried from their
first line. A line longer than the carry may grow is cut where no secret lies across; a secret that is longer still is swallowed to its end.
The result does not depend on how the input was cut into chunks.

What this cannot do: a secret that an agent hands out in pieces of its own, such as two text deltas in two JSON events, is not
a run of bytes. Whoever joins such pieces passes the joined text through `redact_text`. In lines beyond the carry (64 KiB)
JSON stays valid too, except where a secret stands as a bare number.
"""

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final, NamedTuple

from marathond.attempt.secret_formats import PEM_REST, Span, find_formats, pem_open_at
from marathond.attempt.secret_values import base64_forms, forms, secret_values
from marathond.attempt.wrapped import Wrapped
from marathond.domain.limits import REDACT_CARRY_BYTES_MAX

__all__ = ["Finding", "Redactor", "find_secrets", "secret_values"]

_OVERLAP_BYTES: Final = 4096
"""How much of a line that is cut is looked at again with what follows; no known format needs more to be told."""
_ESCAPE_BYTES_MAX: Final = 8
_TOKEN_REST: Final = re.compile(rb"[A-Za-z0-9+/_=.~%-]*")
_NOT_NAME: Final = re.compile(r"[^A-Za-z0-9_.-]")
_ESCAPED_ASCII: Final = re.compile(rb"\\u00[2-7]")


class Finding(NamedTuple):
    """A secret in a text: the line it begins on (from 1) and what it looks like."""

    line: int
    name: str


def find_secrets(text: str) -> list[Finding]:
    """The secrets in a text that can be told by their looks, in order."""
    data = text.encode("utf-8", "surrogateescape")
    return [Finding(data.count(b"\n", 0, span.start) + 1, span.name) for span in _merged(find_formats(data))]


class Redactor:
    """One stream's redactor. `secrets` are the values handed out, by variable name, or just the values.

    Feed it bytes as they come and write what it returns; `flush` gives the rest at the end of the stream.
    """

    def __init__(
        self,
        secrets: Mapping[str, str] | Iterable[str] = (),
        *,
        carry_bytes_max: int = REDACT_CARRY_BYTES_MAX,
    ) -> None:
        items = secrets.items() if isinstance(secrets, Mapping) else (("secret", value) for value in secrets)
        named = [(_NOT_NAME.sub("_", name), value) for name, value in items]
        self._exact = {form: name for name, value in named for form in forms(value)}
        self._wrapped = Wrapped({form: name for name, value in named for form in base64_forms(value)})
        self._many_lines = [form for form in self._exact if b"\n" in form]
        longest = max(self._wrapped.longest, *map(len, self._exact), 0)
        self._overlap = max(min(_OVERLAP_BYTES, carry_bytes_max // 4), longest + 1)
        self._carry_max = max(carry_bytes_max, 4 * self._overlap)
        self._carry = b""
        self._swallow: re.Pattern[bytes] | None = None

    def __repr__(self) -> str:
        return f"Redactor({len(set(self._exact.values()))} secrets)"

    def feed(self, chunk: bytes) -> bytes:
        """Takes the next bytes of the stream; returns those that can be written now."""
        self._carry += chunk
        return b"".join(self._settled())

    def flush(self) -> bytes:
        """The stream has ended: returns what was carried."""
        rest, self._carry = self._carry, b""
        return self._redact(rest)

    def redact_text(self, text: str) -> str:
        """A whole text without its secrets. Independent of the stream."""
        return self._redact(text.encode("utf-8", "surrogateescape")).decode("utf-8", "surrogateescape")

    def contains_secret(self, data: bytes) -> bool:
        """Whether `data` holds one of the handed-out secrets, in any of its forms. Looks alone do not count."""
        return any(form in data for form in self._exact) or self._wrapped.present(data)

    # --- the stream: where it may be cut -------------------------------------------------------------

    def _settled(self) -> Iterator[bytes]:
        """What can leave the carry, piece by piece."""
        data, start = self._carry, 0
        while start < len(data):
            if self._swallow is not None:
                start = _end_of(self._swallow, data, start)
                self._swallow = None if start < len(data) else self._swallow
                continue
            window = data[start : start + self._carry_max]
            cut = self._line_cut(window, data, start)
            if cut > 0:
                yield self._redact(window[:cut])
            elif len(window) == self._carry_max:
                cut, piece = self._cut_long_line(window)
                yield piece
            else:
                break
            start += cut
        self._carry = data[start:]

    def _line_cut(self, window: bytes, data: bytes, start: int) -> int:
        """Where `window`, which begins at `data[start]`, can be cut: after a line end, in no secret; 0 when nowhere."""
        follows = data[start + len(window) : start + 2 * len(window)] if self._many_lines else b""
        cut = window.rfind(b"\n") + 1
        while cut > 0:
            held_from = self._held_from(window, cut, follows)
            if held_from == cut:
                break
            # Held with its whole line, on which another secret may end that this one must not be cut off from.
            cut = window.rfind(b"\n", 0, held_from) + 1
        return cut

    def _held_from(self, window: bytes, cut: int, follows: bytes) -> int:
        """Where a secret of several lines begins that goes on after `cut`, or may: `cut` itself when there is none."""
        held_from = pem_open_at(window[:cut])
        held_from = min(cut if held_from is None else held_from, self._wrapped.open_from(window, cut))
        for form in self._many_lines:
            for head, tail in _split_at_line_ends(form):
                if window.endswith(head, 0, cut) and tail.startswith((window[cut:] + follows)[: len(tail)]):
                    held_from = min(held_from, cut - len(head))
        return held_from

    def _cut_long_line(self, window: bytes) -> tuple[int, bytes]:
        """Cuts a full window that has no line to cut at: how many bytes go, and what is written for them."""
        cut = len(window) - self._overlap
        for span in _merged(self._spans(window)):
            if span.context < cut < span.end:
                if span.end < len(window) - _ESCAPE_BYTES_MAX:
                    cut = span.end
                elif span.context > 0:
                    cut = span.context
                else:
                    self._swallow = PEM_REST if window.startswith(b"-----BEGIN ") else _TOKEN_REST
                    return span.end, window[: span.start] + _mark(span)
        return cut, self._redact(window[:cut])

    # --- whole lines: what is replaced ---------------------------------------------------------------

    def _spans(self, data: bytes) -> Iterator[Span]:
        for form, name in self._exact.items():
            at = data.find(form)
            while at >= 0:
                yield Span(at, at + len(form), name, at)
                at = data.find(form, at + 1)
        yield from self._wrapped.spans(data)
        yield from find_formats(data)

    def _redact(self, data: bytes) -> bytes:
        spans = _merged(self._spans(data))
        if spans:
            data = self._replace(data, spans)
        if _ESCAPED_ASCII.search(data):
            data = b"".join(map(self._redact_escaped, data.splitlines(keepends=True)))
        return data

    def _replace(self, data: bytes, spans: list[Span]) -> bytes:
        """Replaces the spans, line group by line group: a group is the lines that one or several spans touch."""
        out, done, first = [], 0, 0
        while first < len(spans):
            begin = data.rfind(b"\n", done, spans[first].start) + 1 or done
            next_ = first
            end = begin
            while next_ < len(spans) and (next_ == first or spans[next_].start < end):
                end = data.find(b"\n", spans[next_].end - 1) + 1 or len(data)
                next_ += 1
            out += [data[done:begin], self._replace_in_lines(data[begin:end], begin, spans[first:next_])]
            done, first = end, next_
        return b"".join([*out, data[done:]])

    def _replace_in_lines(self, lines: bytes, offset: int, spans: list[Span]) -> bytes:
        text = _splice(lines, offset, spans)
        before = _parse_json(lines)
        if before is None or _parse_json(text) is not None:
            return text
        # The secret stood where JSON has no string, as a bare number for instance: replace values instead of bytes.
        return _dump_json(self._redact_value(before), lines)

    def _redact_escaped(self, line: bytes) -> bytes:
        """Looks behind needless JSON escapes (`\\u0041` for A), in which a secret has countless forms."""
        value = _parse_json(line) if _ESCAPED_ASCII.search(line) else None
        if value is None:
            return line
        redacted = self._redact_value(value)
        return line if redacted == value else _dump_json(redacted, line)

    def _redact_value(self, value: Any) -> Any:
        match value:
            case str():
                data = value.encode("utf-8", "surrogatepass")
                return _splice(data, 0, _merged(self._spans(data))).decode("utf-8", "surrogatepass")
            case dict():
                return {self._redact_value(key): self._redact_value(item) for key, item in value.items()}
            case list():
                return [self._redact_value(item) for item in value]
            case int() | float() if not isinstance(value, bool):
                spans = _merged(self._spans(repr(value).encode()))
                return _mark(spans[0]).decode() if spans else value
            case _:
                return value


def _merged(spans: Iterable[Span]) -> list[Span]:
    """Spans in order and apart; one that begins with or before another gives the name."""
    merged: list[Span] = []
    for span in sorted(spans, key=lambda s: s.start):
        if merged and span.start < merged[-1].end:
            before = merged[-1]
            merged[-1] = before._replace(end=max(before.end, span.end), context=min(before.context, span.context))
        else:
            merged.append(span)
    return merged


def _splice(data: bytes, offset: int, spans: list[Span]) -> bytes:
    """`data` with each span replaced; spans count from `offset` before its first byte."""
    out, done = [], 0
    for span in spans:
        out += [data[done : span.start - offset], _mark(span)]
        done = span.end - offset
    return b"".join([*out, data[done:]])


def _mark(span: Span) -> bytes:
    """What stands for a secret. Safe inside a JSON string, a shell word and a URL's query."""
    return f"[redacted:{span.name}]".encode()


def _end_of(pattern: re.Pattern[bytes], data: bytes, start: int) -> int:
    match = pattern.match(data, start)
    return start if match is None else match.end()


def _split_at_line_ends(form: bytes) -> Iterator[tuple[bytes, bytes]]:
    at = form.find(b"\n") + 1
    while at > 0:
        yield form[:at], form[at:]
        at = form.find(b"\n", at) + 1


def _parse_json(line: bytes) -> Any:
    """The array or object that a line holds, None when it holds something else."""
    if line.lstrip()[:1] not in (b"{", b"["):
        return None
    try:
        return json.loads(line)
    except (ValueError, RecursionError):
        return None


def _dump_json(value: Any, like: bytes) -> bytes:
    ending = like[len(like.rstrip(b"\r\n")) :]
    return json.dumps(value, separators=(",", ":")).encode() + ending
