"""What a user wrote, read into plain values: a TOML or JSON file, or an object sent over the socket."""

import json
import re
import stat
import tomllib
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, Literal, NamedTuple, NoReturn

from marathond.domain.errors import NO_SUCH_FILE, MarathonError
from marathond.domain.limits import CONTRACT_BYTES_MAX, CONTRACT_DEPTH_MAX
from marathond.planning.positions import json_lines, toml_lines
from marathond.planning.problems import KeyPath, Problem, invalid

Format = Literal["toml", "json"]

_TOO_DEEP = f"tables or arrays are nested more than {CONTRACT_DEPTH_MAX} levels deep"
_TOML_PLACE = re.compile(r"\s*\(at (?:line (\d+), column \d+|end of document)\)$")


class Source(NamedTuple):
    """A contract as written. `root` is the folder that relative paths start from; `find_lines` gives the line of each key path."""

    data: Mapping[str, Any]
    root: Path
    find_lines: Callable[[], Mapping[KeyPath, int]] = dict


def read_source(path: Path) -> Source:
    """Reads a contract file: JSON when its name ends in `.json`, else TOML.

    Raises MarathonError: NO_SUCH_FILE, or CONTRACT_INVALID with the line of the first syntax error.
    """
    if not path.exists():
        raise MarathonError(NO_SUCH_FILE, path=path, hint="`marathonctl init` writes a contract to start from.")
    form: Format = "json" if path.suffix.lower() == ".json" else "toml"
    return from_text(_read(path), form, root=path.absolute().parent)


def from_text(text: str, form: Format, *, root: Path) -> Source:
    """Parses a contract's text. Raises MarathonError CONTRACT_INVALID with the line of the first syntax error."""
    parse, find_lines = (_parse_json, json_lines) if form == "json" else (_parse_toml, toml_lines)
    try:
        data = parse(text)
    except RecursionError:
        _refuse(_TOO_DEEP)
    if not isinstance(data, dict):
        _refuse("a contract is an object with keys such as name and task", line=1)
    _refuse_depth(data)
    return Source(data, root, partial(find_lines, text))


def from_object(contract: Mapping[str, Any], *, root: Path) -> Source:
    """A contract that is already parsed; there are no lines to tell. Raises MarathonError CONTRACT_INVALID."""
    _refuse_depth(contract)
    return Source(contract, root)


def _read(path: Path) -> str:
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            _refuse(f"{path} is not a regular file")
        if status.st_size > CONTRACT_BYTES_MAX:
            _refuse(f"{path} has {status.st_size:,} bytes; {CONTRACT_BYTES_MAX:,} are allowed")
        raw = path.read_bytes()
    except OSError as error:
        _refuse(f"{path} cannot be read: {error.strerror}")
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        _refuse("the file is not UTF-8 text", line=raw.count(b"\n", 0, error.start) + 1)


def _parse_toml(text: str) -> object:
    try:
        return tomllib.loads(text)
    except ValueError as error:  # TOMLDecodeError, or the plain one for an integer of thousands of digits
        message = str(error)
        place = _TOML_PLACE.search(message)
        line = int(place[1]) if place and place[1] else text.count("\n") + 1 if place else None
        _refuse(f"this is not TOML: {_uncapitalised(_TOML_PLACE.sub('', message))}", line=line)


def _parse_json(text: str) -> object:
    try:
        return json.loads(text, object_pairs_hook=_object, parse_constant=_constant)
    except json.JSONDecodeError as error:
        _refuse(f"this is not JSON: {_uncapitalised(error.msg)}", line=error.lineno)
    except ValueError as error:
        _refuse(f"this is not JSON: {error}")


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    seen: dict[str, Any] = {}
    for key, value in pairs:
        if key in seen:
            raise ValueError(f"the key {key!r} is written twice in one object")
        seen[key] = value
    return seen


def _constant(word: str) -> NoReturn:
    raise ValueError(f"{word} is not a JSON value")


def _refuse_depth(data: Mapping[str, Any]) -> None:
    """Nothing that reads a contract later need fear for the stack."""
    level: list[object] = [data]
    for _ in range(CONTRACT_DEPTH_MAX):
        level = [
            inner
            for each in level
            if isinstance(each, (dict, list))
            for inner in (each.values() if isinstance(each, dict) else each)
        ]
    if any(isinstance(each, (dict, list)) for each in level):
        _refuse(_TOO_DEEP)


def _uncapitalised(message: str) -> str:
    return message[:1].lower() + message[1:]


def _refuse(message: str, *, line: int | None = None) -> NoReturn:
    raise invalid([Problem("", line, message)])
