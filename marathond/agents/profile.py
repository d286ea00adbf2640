"""Agent profiles: how to start, resume and read one agent CLI, as data.

A profile is a TOML table whose keys are the fields of `Profile` (docs/agents.md explains each). Reading is strict: every
unknown key, wrong type and unknown word is a `Problem`, all at once, with the nearest right word where there is one.
"""

import re
from difflib import get_close_matches
from typing import Any, Final, Literal, get_type_hints

import msgspec

LimitKind = Literal["quota", "rate_limit", "overloaded", "network", "auth", "billing", "context", "refused"]
Signal = Literal["INT", "TERM", "HUP", "KILL"]
Scope = Literal["process", "thread-cumulative", "per-event-sum", "proxy-only"]
ReaderName = Literal["claude-stream-json", "codex-jsonl", "text", "scripted"]

SYNONYMS: Final = {"parser": "reader", "session": "thread"}
"""Other spellings that are understood, and the key each stands for."""

PLACEHOLDERS: Final = (
    "thread",
    "session",
    "model",
    "prompt",
    "prompt_file",
    "cwd",
    "task",
    "attempt",
    "python",
    "agents",
)
"""Names that may stand in braces in arguments and environment values; `{session}` means `{thread}`."""

_PLACEHOLDER: Final = re.compile(r"\{([a-z_]+)\}")
_NAME: Final = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")
_ENV_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_ENV_GLOB: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\*?")


class Problem(msgspec.Struct, frozen=True):
    """One thing that is wrong with a profile: where (`file`, `key`), what, and the nearest right word."""

    file: str
    key: str
    message: str
    suggestion: str | None = None

    def __str__(self) -> str:
        near = f"; did you mean {self.suggestion!r}?" if self.suggestion else ""
        return f"{self.file}: {self.key}: {self.message}{near}" if self.key else f"{self.file}: {self.message}{near}"


class AsRoot(msgspec.Struct, frozen=True, kw_only=True):
    """What differs when the agent runs as root outside a sandbox, where some CLIs refuse their usual flags."""

    start: tuple[str, ...] = ()
    resume: tuple[str, ...] = ()
    bypasses_permissions: bool | None = None


class Stop(msgspec.Struct, frozen=True, kw_only=True):
    """How to end the agent: signals in order (KILL always comes last), the seconds each is given, and how long it may be silent."""

    signals: tuple[Signal, ...] = ("TERM", "KILL")
    grace_s: int = 3
    idle_s: int = 0


class UsageRule(msgspec.Struct, frozen=True, kw_only=True):
    """What the agent's token counts mean: over which scope, and whether its input count includes what the cache served."""

    scope: Scope = "process"
    input_includes_cached: bool = False


class LimitRule(msgspec.Struct, frozen=True, kw_only=True):
    """One way in which the agent says that a limit was met.

    `where` is `event:TYPE` (an event of the agent's output, with `when` its dotted fields) or `final_error` (with `regex`
    over the run's own failure text; groups `when` and `zone` state the reset). Agent text and tool output are never searched.
    """

    where: str
    when: dict[str, str | int | bool] = {}
    regex: str | None = None
    kind: LimitKind = "quota"
    reset: str | None = None


class Profile(msgspec.Struct, frozen=True, kw_only=True):
    """One agent. With an empty `command`, which only the built-in `command` has, the prompt itself is the shell line."""

    name: str
    command: tuple[str, ...] = ()
    version: tuple[str, ...] = ()
    prompt: Literal["stdin", "argv", "file"] = "stdin"
    start: tuple[str, ...] = ()
    resume: tuple[str, ...] = ()
    model: tuple[str, ...] = ()
    resume_prompt: str = "You were interrupted. Check what is already done, then go on."
    thread: Literal["chosen", "reported", "none"] = "none"
    reader: ReaderName = "text"
    env: dict[str, str] = {}
    sandbox_env: dict[str, str] = {}
    pass_env: tuple[str, ...] = ()
    secret_env: tuple[str, ...] = ()
    bypasses_permissions: bool = False
    as_root: AsRoot = AsRoot()
    max_concurrent: int | None = None
    pool: str | None = None
    stop: Stop = Stop()
    usage: UsageRule = UsageRule()
    limits: tuple[LimitRule, ...] = ()

    @property
    def environment_names(self) -> tuple[str, ...]:
        """Names and globs of the variables that the agent may see beyond the base set."""
        return tuple(dict.fromkeys((*self.pass_env, *self.secret_env)))


TABLES: Final[dict[str, type[msgspec.Struct]]] = {"as_root": AsRoot, "stop": Stop, "usage": UsageRule}
_ADDED: Final = ("pass_env", "secret_env", "limits")


def merge(base: dict[str, Any], own: dict[str, Any]) -> dict[str, Any]:
    """A profile's table over that of the profile it extends.

    Tables are merged key by key; `pass_env`, `secret_env` and `limits` are added, one's own first (so that one's own
    limit rules win); everything else replaces.
    """
    merged = dict(base)
    for key, value in own.items():
        old = base.get(key)
        if isinstance(old, dict) and isinstance(value, dict):
            merged[key] = old | value
        elif key in _ADDED and isinstance(old, list) and isinstance(value, list):
            merged[key] = value + [each for each in old if each not in value]
        else:
            merged[key] = value
    return merged


def canonical_keys(table: dict[str, Any]) -> dict[str, Any]:
    """The table with every synonym replaced by the key it stands for."""
    return {SYNONYMS.get(key, key): value for key, value in table.items()}


def check(table: dict[str, Any], file: str) -> list[Problem]:
    """Everything that is wrong with a profile's table by itself (`extends` and `name` are the registry's to judge)."""
    own = {key: value for key, value in table.items() if key not in ("extends", "name")}
    problems = _check_table(Profile, own, "", file)
    if not problems:
        problems += _check_words(own, file)
    return problems


def build(name: str, table: dict[str, Any]) -> Profile:
    """The profile of a table that `check` found good. Raises `msgspec.ValidationError` otherwise."""
    own = {key: value for key, value in table.items() if key not in ("extends", "name")}
    return msgspec.convert({**own, "name": name}, Profile)


def nearest(word: str, words: tuple[str, ...] | list[str]) -> str | None:
    """The word that was probably meant."""
    return next(iter(get_close_matches(word, words, n=1)), None)


def is_name(name: str) -> bool:
    """Whether this may be the name of an agent."""
    return _NAME.fullmatch(name) is not None


def _check_table(cls: type[msgspec.Struct], table: dict[str, Any], at: str, file: str) -> list[Problem]:
    types = {key: kind for key, kind in get_type_hints(cls).items() if key != "name"}
    words = (*types, *SYNONYMS, "extends", "name") if cls is Profile else tuple(types)
    problems = []
    for key, value in table.items():
        path = f"{at}{key}"
        if key not in types:
            problems.append(Problem(file, path, "unknown key", nearest(key, words)))
        elif key in TABLES and cls is Profile and isinstance(value, dict):
            problems += _check_table(TABLES[key], value, f"{path}.", file)
        elif key == "limits" and isinstance(value, list) and all(isinstance(rule, dict) for rule in value):
            for index, rule in enumerate(value):
                problems += _check_table(LimitRule, rule, f"limits[{index}].", file)
        else:
            problems += _check_value(types[key], value, path, file)
    if cls is LimitRule and "where" not in table:
        problems.append(Problem(file, f"{at}where", 'missing: "event:TYPE" or "final_error"'))
    return problems


def _check_value(kind: Any, value: Any, path: str, file: str) -> list[Problem]:
    try:
        msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        allowed = [word for word in _literals(kind) if isinstance(word, str)]
        if allowed and isinstance(value, str):
            message = f"{value!r} is none of {', '.join(allowed)}"
            return [Problem(file, path, message, nearest(value, allowed))]
        return [Problem(file, path, str(error).replace("`", "").replace("array", "list"))]
    return []


def _literals(kind: Any) -> tuple[Any, ...]:
    return getattr(kind, "__args__", ()) if getattr(kind, "__origin__", None) is Literal else ()


def _check_words(table: dict[str, Any], file: str) -> list[Problem]:
    """What types cannot say: placeholders, names of variables, ranges and regular expressions."""
    problems = [
        Problem(file, path, f"unknown placeholder {{{word}}}", nearest(word, PLACEHOLDERS))
        for path, text in _texts(table)
        for word in _PLACEHOLDER.findall(text)
        if word not in PLACEHOLDERS
    ]
    for key in ("env", "sandbox_env"):
        problems += [
            Problem(file, f"{key}.{name}", "is no name of a variable")
            for name in table.get(key, {})
            if not _ENV_NAME.fullmatch(name)
        ]
    for key in ("pass_env", "secret_env"):
        problems += [
            Problem(file, key, f"{name!r} is neither a variable's name nor one with * at its end")
            for name in table.get(key, [])
            if not _ENV_GLOB.fullmatch(name)
        ]
    if "command" in table and not (table["command"] and table["command"][0]):
        problems.append(Problem(file, "command", "needs the program to start"))
    if table.get("max_concurrent", 1) is not None and table.get("max_concurrent", 1) < 1:
        problems.append(Problem(file, "max_concurrent", "must be at least 1"))
    for key, value in table.get("stop", {}).items():
        if key in ("grace_s", "idle_s") and not 0 <= value <= 86_400:
            problems.append(Problem(file, f"stop.{key}", "must be from 0 to 86400 seconds"))
    for index, rule in enumerate(table.get("limits", [])):
        problems += _check_rule(rule, f"limits[{index}]", file)
    return problems


def _texts(table: dict[str, Any]) -> list[tuple[str, str]]:
    found = [(key, text) for key in ("command", "version", "start", "resume", "model") for text in table.get(key, ())]
    found += [(f"as_root.{key}", text) for key in ("start", "resume") for text in table.get("as_root", {}).get(key, ())]
    found += [(f"{key}.{name}", text) for key in ("env", "sandbox_env") for name, text in table.get(key, {}).items()]
    return found


def _check_rule(rule: dict[str, Any], at: str, file: str) -> list[Problem]:
    where = rule["where"]
    if where == "final_error":
        if rule.get("regex") is None:
            return [Problem(file, f"{at}.regex", "missing: a rule over final_error needs one")]
        try:
            re.compile(rule["regex"])
        except re.error as error:
            return [Problem(file, f"{at}.regex", f"is no regular expression: {error}")]
        return []
    if not where.startswith("event:") or where == "event:":
        near = nearest(where, ("final_error", "event:"))
        return [Problem(file, f"{at}.where", f'{where!r} is neither "event:TYPE" nor "final_error"', near)]
    if rule.get("regex") is not None:
        return [Problem(file, f"{at}.regex", "only a rule over final_error may have one")]
    return []
