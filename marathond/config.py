"""The daemon's configuration: `config.toml` and the `environment` file beside it.

Both may be missing. Every key is listed in docs/config.md; an unknown key, a wrong type or a value out of range is refused with
CONFIG_INVALID, which names the file, the line and the nearest right word. Read once, at the start.
"""

import difflib
import os
import re
import tomllib
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import msgspec

from marathond.domain.errors import CONFIG_INVALID, MarathonError
from marathond.domain.limits import CONNECTIONS_MAX, PARALLEL_MAX

_SLOTS_MAX: Final = 1024
_CONNECTIONS_LIMIT: Final = 65_536
_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_AT: Final = re.compile(r" - at `\$(?P<path>[^`]*)`$")
_UNKNOWN: Final = re.compile(r"Object contains unknown field `(?P<name>[^`]*)`")


def usable_cpus() -> int:
    """The processors that this process may run on."""
    return len(os.sched_getaffinity(0))


class AgentLimits(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[agents.NAME]`: attempts of that agent at once on this machine; None leaves it to the profile."""

    max_concurrent: Annotated[int, msgspec.Meta(ge=1, le=PARALLEL_MAX)] | None = None


class Config(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a user may set; the defaults are what counts without a file."""

    slots: Annotated[int, msgspec.Meta(ge=1, le=_SLOTS_MAX)] = msgspec.field(default_factory=usable_cpus)
    on_boot: Literal["resume", "ask"] = "resume"
    unsandboxed: bool = False
    connections_max: Annotated[int, msgspec.Meta(ge=1, le=_CONNECTIONS_LIMIT)] = CONNECTIONS_MAX
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    agents: dict[str, AgentLimits] = {}


def load_config(folder: Path) -> Config:
    """Reads `<folder>/config.toml`. Raises CONFIG_INVALID."""
    path = folder / "config.toml"
    text = _read_text(path)
    if text is None:
        return Config()
    try:
        values = tomllib.loads(text + "\n")  # so that a mistake at the very end has a line too
    except tomllib.TOMLDecodeError as exc:
        raise _invalid(path, str(exc)) from None
    try:
        return msgspec.convert(values, Config)
    except msgspec.ValidationError as exc:
        raise _invalid(path, _explain(str(exc), text)) from None


def load_environment(folder: Path) -> dict[str, str]:
    """Reads `<folder>/environment`: what the daemon adds to its own environment. Raises CONFIG_INVALID.

    One `NAME=VALUE` per line; blank lines and lines that begin with `#` do not count. The value is everything after the first `=`,
    without one pair of quotes around it; nothing is expanded.
    """
    path = folder / "environment"
    found: dict[str, str] = {}
    for number, line in enumerate((_read_text(path) or "").splitlines(), start=1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        name, equals, value = line.strip().partition("=")
        if not equals or not _NAME.fullmatch(name):
            raise _invalid(path, f"line {number} is not of the form NAME=VALUE")
        if "\0" in value:
            raise _invalid(path, f"line {number} holds a NUL character")
        found[name] = _unquote(value)
    return found


def _read_text(path: Path) -> str | None:
    """The text of a file; None when there is none."""
    try:
        return path.read_bytes().decode()
    except FileNotFoundError:
        return None
    except UnicodeDecodeError:
        raise _invalid(path, "it is not UTF-8 text") from None
    except OSError as exc:
        raise _invalid(path, f"it cannot be read ({exc.strerror})") from None


def _unquote(value: str) -> str:
    quoted = len(value) >= 2 and value[0] == value[-1] and value[0] in "'\""
    return value[1:-1] if quoted else value


def _explain(problem: str, text: str) -> str:
    """msgspec's message with a key path and a line in place of its JSON path, and a suggestion for an unknown key."""
    at = _AT.search(problem)
    keys = at["path"].replace("[...]", "").strip(".").split(".") if at else []
    keys = [key for key in keys if key]
    what = problem[: at.start()] if at else problem
    unknown = _UNKNOWN.search(what)
    if unknown is None:
        return f"{_where(keys, text)}: {what[:1].lower()}{what[1:]}"
    known = AgentLimits.__struct_fields__ if keys[:1] == ["agents"] else Config.__struct_fields__
    near = difflib.get_close_matches(unknown["name"], known, n=1)
    hint = f"; did you mean {near[0]!r}?" if near else f"; known are {', '.join(known)}"
    return f"{_where([*keys, unknown['name']], text)}: unknown key{hint}"


def _where(keys: list[str], text: str) -> str:
    """The key and, when its line can be told, the line."""
    if not keys:
        return "the file"
    pattern = re.compile(rf"\s*(\[.*\b)?[\"']?{re.escape(keys[-1])}[\"']?\s*[\]=.]")
    lines = [number for number, line in enumerate(text.splitlines(), start=1) if pattern.match(line)]
    return f"line {lines[0]}, {keys[-1]}" if len(lines) == 1 else ".".join(keys)


def _invalid(path: Path, reason: Any) -> MarathonError:
    return MarathonError(CONFIG_INVALID, path=path, reason=reason)
