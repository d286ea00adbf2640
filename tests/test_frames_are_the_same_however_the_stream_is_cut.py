"""The frame splitter: two framings, every chunking, and what is refused."""

from itertools import pairwise

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from marathond.domain.errors import MarathonError
from marathond.server.framing import Fault, Splitter, envelope
from marathond.server.strict_json import read_json

LIMIT = 64

messages = st.lists(st.text(max_size=20).map(msgspec.json.encode), max_size=5)
junk = st.lists(
    st.sampled_from(
        [
            b"{", b"}", b"[1]", b"\n", b"\r\n", b"\r\n\r\n", b"C", b"content-length: 3", b"Content-Length:5\r\n\r\n[1,2]", b" ",
            b"Content-Length: 70\r\n\r\n", b"Content-Type: x; charset=latin-1\r\n", b"x" * 70, b"Content-Length: -1\r\n\r\n", b"\xff",
        ]
    ),
    max_size=12,
).map(b"".join)  # fmt: skip


def split(chunks: list[bytes]) -> list[object]:
    """The comparable sequence that a splitter makes of chunks and the end of the stream."""
    splitter = Splitter(LIMIT)
    pieces = [piece for chunk in chunks for piece in splitter.feed(chunk)] + splitter.finish()
    return [(p.error.kind.slug, p.fatal) if isinstance(p, Fault) else p for p in pieces]


def wrap(body: bytes, framing) -> bytes:
    """A body in its envelope."""
    before, after = envelope(len(body), framing)
    return before + body + after


@given(messages, st.sampled_from(["lines", "headers"]), st.lists(st.integers(1, 7), max_size=200))
def test_what_was_wrapped_comes_out_whatever_the_chunks(bodies, framing, sizes) -> None:
    """Messages that fit come out of either framing as they went in, for any chunking."""
    stream, chunks = b"".join(wrap(body, framing) for body in bodies), []
    while stream:
        size = sizes.pop() if sizes else len(stream)
        chunks.append(stream[:size])
        stream = stream[size:]
    expected = [body if len(body) <= LIMIT else ("frame_too_large", False) for body in bodies]
    assert split(chunks) == expected


@given(st.sampled_from([b"{", b"C", b""]), junk, st.lists(st.integers(0, 800), max_size=8))
def test_junk_is_judged_the_same_whole_and_in_pieces(first, rest, cuts) -> None:
    """Frames and faults of any byte stream do not depend on how it was cut."""
    stream = first + rest
    edges = sorted({0, len(stream), *(cut for cut in cuts if cut < len(stream))})
    chunks = [stream[a:b] for a, b in pairwise(edges)]
    whole = split([stream])
    assert split(chunks) == whole
    assert split([bytes([byte]) for byte in stream]) == whole


@pytest.mark.parametrize(
    ("stream", "expected"),
    [
        (b'{"a":1}\n\n  \r\n[2]\r\n', [b'{"a":1}', b"[2]"]),
        (b'{"a":1}', [b'{"a":1}']),
        (b"Content-Length: 2\r\n\r\n{}", [b"{}"]),
        (b'content-length:2\r\nContent-Type: x; charset="UTF-8"\r\n\r\n{}', [b"{}"]),
        (b"Content-Length: 2\r\n\r\n{", [("parse_error", True)]),
        (b"Content-Length: 2", [("parse_error", True)]),
        (b"Content-Length: two\r\n\r\n{}", [("parse_error", True)]),
        (b"Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}", [("parse_error", True)]),
        (b"Content-Type: a; charset=utf-16\r\nContent-Length: 2\r\n\r\n{}", [("parse_error", True)]),
        (b"Cookie: 1\r\n\r\n{}", [("parse_error", True)]),
        (b"C" * 5000, [("parse_error", True)]),
        (b"{}\nContent-Length: 2\r\n\r\n{}\n{}\n", [b"{}", ("parse_error", True)]),
        (b"Content-Length: 2\r\n\r\n{}{}\n", [b"{}", ("parse_error", True)]),
        (b"[" * 65 + b"\n{}\n", [("frame_too_large", False), b"{}"]),
        (b"[" * 64 + b"\n{}\n", [b"[" * 64, b"{}"]),
        (b"Content-Length: 65\r\n\r\n" + b"[" * 65 + b"Content-Length: 2\r\n\r\n{}", [("frame_too_large", False), b"{}"]),
        (b"[" * 65, [("frame_too_large", False)]),
    ],
)  # fmt: skip
def test_each_way_of_being_wrong_has_its_answer(stream, expected) -> None:
    """Malformed, mixed, truncated and oversized input give the right fault, and what can go on goes on."""
    assert split([stream]) == expected


@pytest.mark.parametrize(
    "text",
    [
        b"", b"{", b"NaN", b"[Infinity]", b"[1e999]", b'{"a":1,"a":2}', b'[{"x":{"b":1,"c":2,"b":3}}]', b'"\\ud800"', b'"\\udc00 x"',
        b'"\\ud800 abcdefgh"', b'"\xff"', b"\xef\xbb\xbf{}", b"1 2", b"[1,]", b"'a'", b"[" * 65 + b"]" * 65, b"[" * 100_000,
        b'{"a":' * 65 + b"1" + b"}" * 65, b"[]" * 100, b"{" * 70, b'"' + b"\\" * 7, b"\x00",
    ],
)  # fmt: skip
def test_json_that_means_two_things_or_none_is_refused(text) -> None:
    """Not-a-number, overflow, duplicate keys, lone surrogates, bad UTF-8 and deep nesting are parse errors."""
    with pytest.raises(MarathonError) as caught:
        read_json(text)
    assert caught.value.kind.slug == "parse_error"


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**60), 2**60) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(json_values)
def test_sound_json_is_read_as_it_is(value) -> None:
    """Any value within the limits is read back, whatever brackets, colons and quotes its strings hold."""
    assert read_json(msgspec.json.encode(value)) == value


def test_brackets_in_strings_and_many_siblings_are_not_depth() -> None:
    """Only nesting counts against the depth limit: 64 levels pass, and so do thousands of brackets side by side or in text."""
    value = ["[" * 500, '"{:\\' * 90, [[] for _ in range(5000)], {"a": {}, "b": [{}] * 300}]
    assert read_json(msgspec.json.encode(value)) == value
    assert read_json(b"[" * 64 + b"]" * 64)
