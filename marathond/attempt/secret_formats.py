"""Secrets that are known by their looks: the prefixes of vendors' keys, PEM blocks, and random text beside a telling word.

Standard library only: the supervisor imports it. Each format is found by a literal anchor, which costs next to nothing on
text without it, and then told by an expression at that place.

Matches keep JSON valid: no expression takes a quotation mark or half an escape sequence that it did not begin.
Prefixes are those that the vendors publish for secret scanning (GitHub, "Supported secret scanning patterns").
"""

import math
import re
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Final, NamedTuple


class Span(NamedTuple):
    """A secret at `data[start:end]`; `name` is the variable or the format, safe to print.

    It is told by what stands from `context` on (a key word, say), which must not be cut off from it.
    """

    start: int
    end: int
    name: str
    context: int


class _Format(NamedTuple):
    """`pattern` must match where one of `anchors` is found; the secret is its group 1, or all of it."""

    name: str
    anchors: tuple[bytes, ...]
    pattern: re.Pattern[bytes]
    accept: Callable[[bytes], bool] = lambda _: True


def _entropy_bits(text: bytes) -> float:
    """Shannon entropy of a text in bits per character."""
    return -sum(n / len(text) * math.log2(n / len(text)) for n in Counter(text).values())


def _random(text: bytes) -> bool:
    """Whether a token looks drawn by lot: words and paths have few digits, numbers no letters, repeats little entropy."""
    digits = sum(48 <= c <= 57 for c in text)
    letters = sum(65 <= c <= 90 or 97 <= c <= 122 for c in text)
    return digits >= 3 and letters >= 3 and _entropy_bits(text) >= 3.3


def _random_value(text: bytes) -> bool:
    """Whether what stands beside a key word is a secret, and not the name of one in source code."""
    return _random(text) and not _IDENTIFIER.fullmatch(text)


# The start of a token: no letter or digit before it, unless that ends an escape (`\\n` in JSON, `%3D` in a URL, a colour's `m`).
_EDGE: Final = rb"(?:(?<![A-Za-z0-9_-])|(?<=\\[nrtbf])|(?<=\\u[0-9a-fA-F]{4})|(?<=%[0-9a-fA-F]{2})|(?<=[0-9]m))"


def _prefixed(name: str, prefixes: str, body: str, *, random: bool = False) -> _Format:
    anchors = tuple(prefix.encode() for prefix in prefixes.split())
    either = b"|".join(re.escape(anchor) for anchor in anchors)
    edge = _EDGE if random else b""
    return _Format(
        name, anchors, re.compile(edge + b"(?:" + either + b")" + body.encode()), _random if random else lambda _: True
    )


# One line of a PEM body: a line end (real or escaped, at any depth of JSON), perhaps a line number, then Base64 or a header.
_PEM_LINE: Final = (
    rb"(?:\r?\n|(?:\\+r)?\\+n)[ \t]*(?:[0-9]{1,6}[ \t]*(?:\xe2\x86\x92|\\+u2192|\\+t|[\t|:])[ \t]*)?"
    rb"(?:[A-Za-z][A-Za-z-]{1,30}: [^\n\\\"]{0,200}|[A-Za-z0-9+/=]*)[ \t]*"
)
_PEM_BEGIN: Final = rb"-----BEGIN (?:[A-Z0-9]{1,16} ){0,3}PRIVATE KEY(?: BLOCK)?-----"
_PEM_END: Final = rb"-----END [A-Z0-9 ]{1,64}-----"
_PEM: Final = re.compile(_PEM_BEGIN + rb"(?:" + _PEM_LINE + rb")+(?:" + _PEM_END + rb")?")
_PEM_OPEN: Final = re.compile(_PEM_BEGIN + rb"(?:" + _PEM_LINE + rb")*\r?\n?\Z")
PEM_REST: Final = re.compile(rb"(?:[A-Za-z0-9+/=\s-]|\\+[nr])*")
"""What may still follow of a PEM block whose beginning is already gone."""

_IDENTIFIER: Final = re.compile(rb"[A-Za-z_][A-Za-z0-9_]*(?:\.[A-Za-z_][A-Za-z0-9_]*)+|[a-z0-9]+(?:_[a-z0-9]+)+")
_VALUE: Final = rb"([A-Za-z0-9+/_=.~-]{20,512})"
_KEYWORDS: Final = (b"key", b"token", b"secret", b"passw", b"credential")
_BESIDE_KEYWORD: Final = re.compile(
    rb"(?i:key|token|secret|passw(?:or)?d|passwd|credentials?)[A-Za-z0-9_]{0,20}"
    rb"(?:\\*[\"'])?[ \t]{0,4}(?:=>|:=|==?|:)[ \t]{0,4}(?:\\*[\"'])?" + _VALUE
)

_FORMATS: Final = (
    _prefixed("anthropic-key", "sk-ant-", r"[A-Za-z0-9_-]{16,}"),
    _prefixed("api-key", "sk-", r"(?!ant-)[A-Za-z0-9_-]{20,}", random=True),
    _prefixed("stripe-key", "sk_live_ rk_live_ sk_test_ whsec_", r"[A-Za-z0-9+/=]{16,}"),
    _prefixed("github-token", "ghp_ gho_ ghu_ ghs_ ghr_", r"[A-Za-z0-9]{30,}"),
    _prefixed("github-token", "github_pat_", r"[A-Za-z0-9_]{30,}"),
    _prefixed("gitlab-token", "glpat- gldt- glrt-", r"[A-Za-z0-9_.-]{18,}"),
    _prefixed("aws-key-id", "AKIA ASIA", r"[A-Z0-9]{16}(?![A-Za-z0-9+/])"),
    _prefixed("slack-token", "xoxb- xoxp- xoxa- xoxr- xoxs- xoxe. xoxe- xapp-", r"[A-Za-z0-9.-]{10,}"),
    _prefixed("google-key", "AIza", r"[A-Za-z0-9_-]{35}"),
    _prefixed("google-token", "ya29. GOCSPX-", r"[A-Za-z0-9_-]{20,}"),
    _prefixed("npm-token", "npm_", r"[A-Za-z0-9]{36}"),
    _prefixed("huggingface-token", "hf_", r"[A-Za-z0-9]{30,}"),
    _prefixed("pypi-token", "pypi-AgE", r"[A-Za-z0-9_-]{20,}"),
    _prefixed("sendgrid-key", "SG.", r"[A-Za-z0-9_-]{20,24}\.[A-Za-z0-9_-]{40,46}"),
    _prefixed("xai-key", "xai- gsk_", r"[A-Za-z0-9]{40,}"),
    _prefixed("jwt", "eyJ", r"[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{10,}(?:\.[A-Za-z0-9_-]*){0,3}"),
    _Format("bearer", (b"earer ",), re.compile(rb"earer[ \t]{1,4}([A-Za-z0-9._~+/=-]{16,})"), _random),
    _Format("basic", (b"Basic ",), re.compile(rb"Basic[ \t]{1,4}([A-Za-z0-9+/=]{16,})"), _random),
    _Format("url-password", (b"://",), re.compile(rb"://[^\s/:@\"'\\<>]{0,128}:([^\s/:@\"'\\<>\[\]{}$]{3,512})@")),
)
_PEM_CHARS_MIN: Final = 32


def find_formats(data: bytes) -> Iterator[Span]:
    """The secrets in `data` that are known by their looks, in no order; spans may overlap."""
    for format_ in _FORMATS:
        for anchor in format_.anchors:
            yield from _at_anchors(data, anchor, data, format_)
    yield from _find_pem(data)
    lower = data.lower()
    beside = _Format("high-entropy", (), _BESIDE_KEYWORD, _random_value)
    for keyword in _KEYWORDS:
        yield from _at_anchors(lower, keyword, data, beside)


def pem_open_at(data: bytes) -> int | None:
    """Where a PEM block begins that is not over at the end of `data`; None when none is open."""
    at = data.rfind(b"-----BEGIN ")
    return at if at >= 0 and _PEM_OPEN.match(data, at) else None


def _at_anchors(haystack: bytes, anchor: bytes, data: bytes, format_: _Format) -> Iterator[Span]:
    at = haystack.find(anchor)
    while at >= 0:
        match = format_.pattern.match(data, at)
        if match is not None:
            start, end = match.span(format_.pattern.groups)
            if format_.accept(data[start:end]):
                yield Span(start, end, format_.name, at)
        at = haystack.find(anchor, at + 1)


def _find_pem(data: bytes) -> Iterator[Span]:
    at = data.find(b"-----BEGIN ")
    while at >= 0:
        match = _PEM.match(data, at)
        if match is not None and match.end() - at >= _PEM_CHARS_MIN + len(b"-----BEGIN PRIVATE KEY-----"):
            yield Span(at, match.end(), "private-key", at)
        at = data.find(b"-----BEGIN ", at + 1)
