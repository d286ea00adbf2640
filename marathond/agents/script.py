"""The scripted agent's language: a TOML prompt of `[[do]]` tables, read strictly.

Standard library only: the scripted agent starts in milliseconds and is started often.
"""

import re
import tomllib
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import PurePosixPath
from typing import Any, Final

from marathond.domain.instants import parse_duration

USAGE_FIELDS: Final = ("input_tokens", "output_tokens", "cache_read_tokens", "cache_write_tokens", "cost_microusd")
LIMIT_KINDS: Final = ("quota", "rate_limit", "overloaded", "network", "auth", "billing", "context", "refused")
ACTIONS: Final = ("write", "append", "run", "say", "sleep", "usage", "limit", "hang", "crash", "exit")


@dataclass(frozen=True)
class Action:
    """One action: its name, its checked value, and the only attempt that plays it (None: every attempt does)."""

    name: str
    value: Any
    attempt: int | None = None


def parse(text: str) -> tuple[list[Action], list[str]]:
    """The actions of a script and everything that is wrong with it; with problems the actions are incomplete."""
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        return [], [f"the script is not TOML: {error}"]
    problems = [f"unknown key {key!r}{_nearest(key, ('do',))}" for key in document if key != "do"]
    items = document.get("do", [])
    if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
        return [], [*problems, "do must be an array of tables: write [[do]]"]
    if not items and not problems:
        problems.append("the script has no [[do]] table, so it does nothing")
    actions = []
    for index, item in enumerate(items):
        action, wrong = _action(item)
        problems += [f"do[{index}]: {what}" for what in wrong]
        if action is not None:
            actions.append(action)
    return actions, problems


def problems(text: str) -> list[str]:
    """Everything that is wrong with a script, as sentences; empty for one that can be played."""
    return parse(text)[1]


def _action(item: dict[str, Any]) -> tuple[Action | None, list[str]]:
    wrong = []
    attempt = item.get("attempt")
    if attempt is not None and (not _is_int(attempt) or attempt < 1):
        wrong.append("attempt must be a whole number from 1")
    unknown = [key for key in item if key not in (*ACTIONS, "attempt")]
    wrong += [f"unknown action {key!r}{_nearest(key, ACTIONS)}" for key in unknown]
    names = [key for key in item if key in ACTIONS]
    if len(names) != 1:
        if names or not wrong:
            wrong.append(f"needs exactly one of {', '.join(ACTIONS)}")
        return None, wrong
    name = names[0]
    wrong += [f"{name} {what}" for what in _wrong_value(name, item[name])]
    return Action(name, item[name], attempt), wrong


def _wrong_value(name: str, value: Any) -> list[str]:
    match name:
        case "write" | "append":
            return _wrong_file(value)
        case "run" | "say":
            return [] if isinstance(value, str) and value.strip() else ["must be a text that is not empty"]
        case "sleep":
            return _wrong_duration(value)
        case "usage":
            return _wrong_usage(value)
        case "limit":
            return _wrong_limit(value)
        case "exit":
            return [] if _is_int(value) and 0 <= value <= 255 else ["must be an exit code from 0 to 255"]
    return [] if value is True else ["must be true"]


def _wrong_file(value: Any) -> list[str]:
    if not isinstance(value, dict):
        return ["must be a table {path, text}"]
    wrong = [
        f"has an unknown key {key!r}{_nearest(key, ('path', 'text'))}" for key in value if key not in ("path", "text")
    ]
    if not isinstance(value.get("text"), str):
        wrong.append("needs a text")
    path = value.get("path")
    if not isinstance(path, str) or not path:
        return [*wrong, "needs a path"]
    parts = PurePosixPath(path).parts
    if path.startswith("/") or ".." in parts or "\0" in path or not parts:
        wrong.append(f"path {path!r} leaves the workspace")
    if any(part.lower() == ".git" for part in parts):
        wrong.append(f"path {path!r} is inside git's own folder")
    return wrong


def _wrong_duration(value: Any) -> list[str]:
    if not isinstance(value, str):
        return ['must be a duration such as "2s"']
    try:
        parse_duration(value)
    except ValueError as error:
        return [f"is wrong: {error}"]
    return []


def _wrong_usage(value: Any) -> list[str]:
    if not isinstance(value, dict) or not value:
        return [f"must be a table of {', '.join(USAGE_FIELDS)}"]
    wrong = [f"has an unknown key {key!r}{_nearest(key, USAGE_FIELDS)}" for key in value if key not in USAGE_FIELDS]
    wrong += [f"{key} must be a whole number from 0" for key, n in value.items() if not _is_int(n) or n < 0]
    return wrong


def _wrong_limit(value: Any) -> list[str]:
    keys = ("reset_in", "kind")
    if not isinstance(value, dict):
        return ["must be a table {reset_in, kind}"]
    wrong = [f"has an unknown key {key!r}{_nearest(key, keys)}" for key in value if key not in keys]
    if "reset_in" in value:
        wrong += [f"reset_in {what}" for what in _wrong_duration(value["reset_in"])]
    if value.get("kind", "quota") not in LIMIT_KINDS:
        wrong.append(f"kind must be one of {', '.join(LIMIT_KINDS)}")
    return wrong


def _nearest(word: str, words: tuple[str, ...]) -> str:
    near = get_close_matches(re.sub(r"\W", "_", word).lower(), words, n=1)
    return f"; did you mean {near[0]!r}?" if near else ""


def _is_int(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)
