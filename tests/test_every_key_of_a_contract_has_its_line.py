"""The scanners of positions see what the parsers see, and say where it is written."""

import json
import tomllib
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from marathond.planning.positions import json_lines, toml_lines

KEYS = st.text(st.sampled_from("abZ09_-"), min_size=1, max_size=3) | st.text(
    st.sampled_from("a.\"\\'#[]={}é \t,\U0001f600"), max_size=3
)
TEXTS = st.text(st.sampled_from("ab\"\\'#[]={},\n\t é\U0001f600"), max_size=12)
SCALARS = st.integers(-(10**6), 10**6) | st.booleans() | TEXTS
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3),
    max_leaves=12,
)
DOCUMENTS = st.dictionaries(KEYS, VALUES, max_size=5)


def paths(value: Any, path: tuple[Any, ...] = ()) -> set[tuple[Any, ...]]:
    """The key paths of everything in plain data."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return {found for key, each in items for found in {(*path, key)} | paths(each, (*path, key))}


class Writer:
    """Writes TOML in every style that it allows, and remembers in which line it wrote each key that it began a line with."""

    def __init__(self, draw: st.DrawFn) -> None:
        self.draw = draw
        self.text = ""
        self.lines: dict[tuple[Any, ...], int] = {}

    def pick(self, *options: Any) -> Any:
        return self.draw(st.sampled_from(options))

    def note(self, path: tuple[Any, ...]) -> None:
        self.lines[path] = self.text.count("\n") + 1

    def key(self, key: str) -> str:
        bare = key != "" and key.isascii() and key.replace("_", "a").replace("-", "a").isalnum()
        literal = "'" not in key and "\n" not in key and key.isprintable()
        styles = [self.basic(key)] + [key] * bare + [f"'{key}'"] * literal
        return str(self.pick(*styles))

    def basic(self, text: str) -> str:
        quoted = json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
        return quoted.replace("\U0001f600", self.pick("\U0001f600", "\\U0001F600"))

    def scalar(self, value: Any) -> str:
        if isinstance(value, bool):
            return "true" if value else "false"
        if isinstance(value, int):
            return str(value)
        multi = '"""\n' + value.replace("\\", "\\\\").replace('"""', '""\\"') + '"""'
        if value.endswith('"'):
            multi = '"""\n' + value[:-1].replace("\\", "\\\\").replace('"""', '""\\"') + '\\""""'
        literal = f"'''\n{value}'''" if "'''" not in value and not value.endswith("'") else multi
        return str(self.pick(self.basic(value), multi, literal))

    def space(self) -> str:
        return str(self.pick("", " ", "\n", " # [x] = \"'\n"))

    def inline(self, value: Any, path: tuple[Any, ...]) -> None:
        """A value after `=`."""
        if isinstance(value, list):
            self.text += "["
            for index, each in enumerate(value):
                self.text += self.space()
                self.note((*path, index))
                self.inline(each, (*path, index))
                self.text += self.space()
                self.text += "," if index < len(value) - 1 else self.pick("", ",")
            self.text += self.space() + "]"
        elif isinstance(value, dict):
            self.text += "{"
            for place, (key, each) in enumerate(value.items()):
                self.text += ", " if place else " "
                self.note((*path, key))
                self.text += f"{self.key(key)} = "
                self.inline(each, (*path, key))
            self.text += " }"
        else:
            self.text += self.scalar(value)

    def table(self, value: dict[str, Any], path: tuple[Any, ...], header: str) -> None:
        """The pairs of a table first, then its sub-tables under headers of their own."""
        later = []
        for key, each in value.items():
            tables = isinstance(each, list) and each and all(isinstance(e, dict) for e in each)
            if (isinstance(each, dict) or tables) and self.pick(True, False):
                later.append((key, each))
                continue
            self.text += self.pick("", "\n", "# note = [\n", "  ")
            self.note((*path, key))
            self.text += f"{self.key(key)}{self.pick('', ' ')}={self.pick('', ' ', chr(9))}"
            self.inline(each, (*path, key))
            self.text += self.pick("\n", " # ]\n")
        for key, each in later:
            name = f"{header}.{self.key(key)}" if header else self.key(key)
            for index, table in enumerate(each if isinstance(each, list) else [each]):
                inside = (*path, key, index) if isinstance(each, list) else (*path, key)
                if index == 0:
                    self.note((*path, key))
                self.note(inside)
                self.text += f"[[{name}]]\n" if isinstance(each, list) else f"[ {name} ]\n"
                self.table(table, inside, name)


@st.composite
def toml(draw: st.DrawFn) -> tuple[str, dict[str, Any], dict[tuple[Any, ...], int]]:
    """A TOML text, what it means, and the line of each key."""
    document = draw(DOCUMENTS)
    writer = Writer(draw)
    writer.table(document, (), "")
    return writer.text, document, writer.lines


@settings(max_examples=100, deadline=None)
@given(toml())
def test_toml(case: tuple[str, dict[str, Any], dict[tuple[Any, ...], int]]) -> None:
    """Every key path of a TOML document has the line where it is written, in whatever style."""
    text, document, lines = case
    assert tomllib.loads(text) == document
    assert toml_lines(text) == lines
    assert set(lines) == paths(document)
    assert toml_lines(text.replace("\n", "\r\n")) == lines


@settings(max_examples=100, deadline=None)
@given(DOCUMENTS, st.sampled_from([None, 0, 1, "\t"]), st.booleans())
def test_json(document: dict[str, Any], indent: Any, ascii_only: bool) -> None:
    """Every key path of a JSON document has its line; one that is laid out has a line for each."""
    text = json.dumps(document, indent=indent, ensure_ascii=ascii_only)
    lines = json_lines(text)
    assert set(lines) == paths(document)
    if indent is None:
        assert set(lines.values()) <= {1}
    else:
        assert len(set(lines.values())) == len(lines)


def test_what_tomllib_reads_is_seen() -> None:
    """Dotted keys, sub-tables of array elements, quotes before closing quotes, dates with a space."""
    text = (
        "a.b.c = 1\na.b.d = 1979-05-27 07:32:00 # x\n[x.y]\n[x]\nz = \"\"\"a\\\"\"\"\"\"\n[[t]]\n[t.u]\nv = ''''a'''''\n"
        "[[t]]\n[[t.w]]\n[[t.w]]\nk = inf\n"
    )
    assert toml_lines(text) == {
        ("a",): 1,
        ("a", "b"): 1,
        ("a", "b", "c"): 1,
        ("a", "b", "d"): 2,
        ("x",): 4,
        ("x", "y"): 3,
        ("x", "z"): 5,
        ("t",): 6,
        ("t", 0): 6,
        ("t", 0, "u"): 7,
        ("t", 0, "u", "v"): 8,
        ("t", 1): 9,
        ("t", 1, "w"): 10,
        ("t", 1, "w", 0): 10,
        ("t", 1, "w", 1): 11,
        ("t", 1, "w", 1, "k"): 12,
    }
    assert set(toml_lines(text)) == paths(tomllib.loads(text))
