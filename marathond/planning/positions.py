"""The line of each key and array element of a TOML or JSON text.

No parser in the standard library tells where it found a value. These scanners do nothing else; they are given text that
`tomllib` or `json` has accepted, so they need not find errors, and they follow the two grammars only as far as needed to
know where a value ends (TOML 1.0: https://toml.io/en/v1.0.0, JSON: RFC 8259).
"""

import json
import re
import tomllib
from bisect import bisect_right

from marathond.planning.problems import KeyPath

_BLANK = re.compile(r"(?:[ \t\r\n]|#[^\n]*)*")
_SPACE = re.compile(r"[ \t]*")
_JSON_SPACE = re.compile(r"[ \t\r\n]*")
_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")
_STRING = re.compile(
    r'"""(?:[^\\"]++|\\.|"{1,2}(?!"))*+"{3,5}'  # up to two quotes may stand before the closing three
    r"|'''.*?'{3,5}"
    r'|"(?:[^\\"\n]++|\\.)*+"'
    r"|'[^'\n]*'",
    re.DOTALL,
)
_TOML_SCALAR = re.compile(r"[^,\]}#\n]+")
_JSON_STRING = re.compile(r'"(?:[^"\\]++|\\.)*+"')
_JSON_SCALAR = re.compile(r"[^,\]}\s]+")


def toml_lines(text: str) -> dict[KeyPath, int]:
    """The line, from 1, of each key path of a valid TOML document."""
    scanner = _Toml(text)
    scanner.document()
    return scanner.lines()


def json_lines(text: str) -> dict[KeyPath, int]:
    """The line, from 1, of each key path of a valid JSON document."""
    scanner = _Json(text)
    scanner.value((), _JSON_SPACE.match(text).end())  # type: ignore[union-attr]  # matches the empty text too
    return scanner.lines()


class _Scanner:
    def __init__(self, text: str) -> None:
        self.text = text
        self.offsets: dict[KeyPath, int] = {}

    def lines(self) -> dict[KeyPath, int]:
        ends = [m.start() for m in re.finditer("\n", self.text)]
        return {path: bisect_right(ends, offset - 1) + 1 for path, offset in self.offsets.items()}

    def skip(self, pattern: re.Pattern[str], at: int) -> int:
        match = pattern.match(self.text, at)
        return match.end() if match else at


class _Toml(_Scanner):
    def __init__(self, text: str) -> None:
        # tomllib reads CRLF as LF; one character for one line end keeps the patterns simple
        super().__init__(text.replace("\r\n", "\n"))
        self.elements: dict[KeyPath, int] = {}  # arrays of tables and how many elements they have so far

    def document(self) -> None:
        table: KeyPath = ()
        at = self.skip(_BLANK, 0)
        while at < len(self.text):
            if self.text.startswith("[", at):
                table, at = self.header(at)
            else:
                at = self.pair(table, at)
            at = self.skip(_BLANK, at)

    def header(self, start: int) -> tuple[KeyPath, int]:
        """`[a.b]` or `[[a.b]]`: the path of the table that it opens."""
        array = self.text.startswith("[[", start)
        keys, at = self.key(start + (2 if array else 1))
        path: KeyPath = ()
        for place, key in enumerate(keys):
            path += (key,)
            self.offsets.setdefault(path, start)
            if array and place == len(keys) - 1:
                self.elements[path] = self.elements.get(path, 0) + 1
            if path in self.elements:
                path += (self.elements[path] - 1,)
                self.offsets.setdefault(path, start)
        # a table may be opened by its sub-table first: its own header is where a reader looks
        self.offsets[path] = start
        return path, at + (2 if array else 1)

    def pair(self, table: KeyPath, start: int) -> int:
        """`a.b = value`; returns where the value ends."""
        keys, at = self.key(start)
        path = table
        for key in keys:
            path += (key,)
            self.offsets.setdefault(path, start)
        return self.value(path, self.skip(_SPACE, at + 1))

    def key(self, at: int) -> tuple[list[str], int]:
        """The parts of a dotted key, and where what follows it begins."""
        parts: list[str] = []
        while True:
            at = self.skip(_SPACE, at)
            if (bare := _BARE_KEY.match(self.text, at)) is not None:
                parts.append(bare.group())
                at = bare.end()
            else:
                end = self.skip(_STRING, at)
                parts.append(_unquote(self.text[at:end]))
                at = end
            at = self.skip(_SPACE, at)
            if not self.text.startswith(".", at):
                return parts, at
            at += 1

    def value(self, path: KeyPath, at: int) -> int:
        """Skips the value that starts at `at`, noting what is inside it."""
        match self.text[at]:
            case "[":
                return self.array(path, at)
            case "{":
                return self.inline_table(path, at)
            case '"' | "'":
                return self.skip(_STRING, at)
            case _:
                return self.skip(_TOML_SCALAR, at)

    def array(self, path: KeyPath, at: int) -> int:
        index = 0
        at = self.skip(_BLANK, at + 1)
        while not self.text.startswith("]", at):
            element = (*path, index)
            self.offsets[element] = at
            at = self.skip(_BLANK, self.value(element, at))
            if self.text.startswith(",", at):
                at = self.skip(_BLANK, at + 1)
            index += 1
        return at + 1

    def inline_table(self, path: KeyPath, at: int) -> int:
        at = self.skip(_BLANK, at + 1)
        while not self.text.startswith("}", at):
            at = self.skip(_BLANK, self.pair(path, at))
            if self.text.startswith(",", at):
                at = self.skip(_BLANK, at + 1)
        return at + 1


class _Json(_Scanner):
    def value(self, path: KeyPath, at: int) -> int:
        """Skips the value that starts at `at`, noting what is inside it."""
        match self.text[at]:
            case "[":
                return self.members(path, at, "]")
            case "{":
                return self.members(path, at, "}")
            case '"':
                return self.skip(_JSON_STRING, at)
            case _:
                return self.skip(_JSON_SCALAR, at)

    def members(self, path: KeyPath, at: int, closing: str) -> int:
        """The elements of an array or the pairs of an object."""
        index = 0
        at = self.skip(_JSON_SPACE, at + 1)
        while not self.text.startswith(closing, at):
            start = at
            part: str | int = index
            if closing == "}":
                at = self.skip(_JSON_STRING, at)
                part = json.loads(self.text[start:at])
                at = self.skip(_JSON_SPACE, self.skip(_JSON_SPACE, at) + 1)
            self.offsets[*path, part] = start
            at = self.skip(_JSON_SPACE, self.value((*path, part), at))
            if self.text.startswith(",", at):
                at = self.skip(_JSON_SPACE, at + 1)
            index += 1
        return at + 1


def _unquote(quoted: str) -> str:
    """The text of a quoted key."""
    if quoted.startswith("'") or "\\" not in quoted:
        return quoted[1:-1]
    return next(iter(tomllib.loads(f"{quoted} = 0")))
