"""What is wrong with a contract: collected all at once, each with its key path, its line and the nearest right word."""

from collections.abc import Callable, Collection, Mapping
from difflib import get_close_matches
from typing import Any

import msgspec

from marathond.domain.errors import CONTRACT_INVALID, MarathonError
from marathond.domain.limits import PROBLEMS_MAX

KeyPath = tuple[str | int, ...]
"""Where a value stands in a contract: `("task", 1, "check", 0, "timeout")`. Array indices count from 0."""

_COMPARISONS_MAX = 100_000
"""Words compared for suggestions in one contract; a misspelling in each of 10,000 tasks must not take minutes."""

_PLAIN = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-")


class Problem(msgspec.Struct, frozen=True):
    """One thing to put right. `path` is a key path as text, `line` counts from 1, `suggestion` is what to write instead."""

    path: str
    line: int | None
    message: str
    suggestion: str | None = None


def spell(path: KeyPath) -> str:
    """A key path as text: `task[1].check[0].timeout`. A key that TOML would quote is quoted."""
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
        else:
            key = part if part and _PLAIN.issuperset(part) else msgspec.json.encode(_printable(part)).decode()
            text += f".{key}" if text else key
    return text


def invalid(problems: Collection[Problem]) -> MarathonError:
    """The error that tells all `problems`."""
    listed: list[dict[str, Any]] = [msgspec.to_builtins(p) for p in problems]
    return MarathonError(CONTRACT_INVALID, count=len(problems), data={"problems": listed})


class Problems:
    """Collects problems and warnings while a contract is looked at.

    `find_lines` gives the line of each key path; it is called at the first problem, since a contract without any needs
    no lines.
    """

    def __init__(self, find_lines: Callable[[], Mapping[KeyPath, int]] = dict) -> None:
        self._find_lines = find_lines
        self._lines: Mapping[KeyPath, int] | None = None
        self._found: list[Problem] = []
        self._comparisons = 0
        self._left_out = 0
        self.warnings: list[str] = []

    def __bool__(self) -> bool:
        return bool(self._found)

    def add(self, path: KeyPath, message: str, suggestion: str | None = None) -> None:
        """Records a problem that refuses the contract. `message` never repeats a value that could be a secret."""
        if len(self._found) < PROBLEMS_MAX:
            self._found.append(Problem(spell(path), self.line(path), message, suggestion))
        else:
            self._left_out += 1

    def warn(self, path: KeyPath, message: str) -> None:
        """Records something that is allowed and probably not meant."""
        if len(self.warnings) < PROBLEMS_MAX:
            line = self.line(path)
            self.warnings.append(f"{spell(path)}{f' (line {line})' if line else ''}: {message}")

    def line(self, path: KeyPath) -> int | None:
        """The line where `path`, or the nearest thing around it, is written."""
        if self._lines is None:
            self._lines = self._find_lines()
        for length in range(len(path), 0, -1):
            if (line := self._lines.get(path[:length])) is not None:
                return line
        return None

    def nearest(self, word: object, options: Collection[str], *, but: str | None = None) -> str | None:
        """The option that `word` was probably meant to be; never the option `but`."""
        if not isinstance(word, str) or len(word) > 200 or self._comparisons > _COMPARISONS_MAX:
            return None
        self._comparisons += len(options)
        lowered = {option.lower(): option for option in options if option != but}
        matches = get_close_matches(word.lower(), lowered, n=1, cutoff=0.6)
        return lowered[matches[0]] if matches else None

    def all(self) -> list[Problem]:
        """Every problem, in the order of the lines."""
        found = sorted(self._found, key=lambda p: p.line or 0)
        if self._left_out:
            found.append(Problem("", None, f"and {self._left_out} more problems"))
        return found

    def raise_any(self) -> None:
        """Raises the error that tells all problems, if there are any."""
        if self._found:
            raise invalid(self.all())


def _printable(text: str) -> str:
    return text.encode("utf-8", "backslashreplace").decode()
