"""The keys of a contract, and the draft that comes of reading them.

A draft is what the user wrote, each value in its frozen form and None where the key is absent or was refused. Nothing here
looks at two keys together, at the repository or at other tasks.
"""

import re
from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple, TypeVar

import msgspec

from marathond.domain.limits import (
    ATTEMPTS_MAX,
    BRANCH_BYTES_MAX,
    CHECKS_MAX,
    ENV_NAMES_MAX,
    NAME_CHARS_MAX,
    PARALLEL_MAX,
    PROMPT_BYTES_MAX,
    SETUP_LINES_MAX,
    TASKS_MAX,
    VARIABLES_MAX,
)
from marathond.planning import values
from marathond.planning.paths import repository_path
from marathond.planning.problems import KeyPath, Problems
from marathond.planning.templates import is_variable

_NOT_BUILT = frozenset({"sandbox", "microvm"})


class Key(NamedTuple):
    """A key: who reads its value, and which field of the draft it goes into when that is not called the same."""

    read: values.Reader[Any]
    field: str | None = None


Keys = Mapping[str, Key]


class Table(msgspec.Struct, kw_only=True):
    """A table as read. `given` holds the keys that are written, also those whose value was refused."""

    given: frozenset[str] = frozenset()


class WorkspaceDraft(Table, kw_only=True):
    """`[workspace]`"""

    repo: str | None = None
    base: str | None = None
    isolation: str | None = None
    setup: tuple[str, ...] | None = None


class LimitsDraft(Table, kw_only=True):
    """`[limits]`"""

    parallel: int | None = None
    wall_ms: int | None = None
    deadline: int | None = None


class DefaultsDraft(Table, kw_only=True):
    """`[defaults]`: what a task has that does not say otherwise."""

    agent: str | None = None
    model: str | None = None
    attempts: int | None = None
    timeout_ms: int | None = None
    idle_ms: int | None = None
    env: tuple[str, ...] | None = None


class CheckDraft(Table, kw_only=True):
    """`[[task.check]]`"""

    run: str | None = None
    timeout_ms: int | None = None
    file: str | None = None
    contains: str | None = None
    matches: str | None = None
    changed: bool | None = None


class TaskDraft(Table, kw_only=True):
    """`[[task]]`. `index` is its place in the array."""

    index: int = 0
    id: str | None = None
    needs: tuple[str, ...] | None = None
    prompt: str | None = None
    prompt_file: str | None = None
    run: str | None = None
    agent: str | None = None
    model: str | None = None
    attempts: int | None = None
    timeout_ms: int | None = None
    idle_ms: int | None = None
    allow_empty: bool | None = None
    env: tuple[str, ...] | None = None
    checks: tuple[CheckDraft, ...] | None = None

    @property
    def path(self) -> KeyPath:
        """Where the task stands."""
        return ("task", self.index)


class DeliveryDraft(Table, kw_only=True):
    """`[delivery]`"""

    branch: str | None = None


class Draft(Table, kw_only=True):
    """A whole contract."""

    name: str | None = None
    goal: str | None = None
    workspace: WorkspaceDraft | None = None
    limits: LimitsDraft | None = None
    variables: dict[str, str] | None = None
    defaults: DefaultsDraft | None = None
    tasks: tuple[TaskDraft, ...] | None = None
    delivery: DeliveryDraft | None = None


T = TypeVar("T", bound=Table)


def read_draft(data: Mapping[str, Any], problems: Problems) -> Draft:
    """Reads what the user wrote. Problems are recorded; what could be read is returned in any case."""
    return table(Draft, CONTRACT_KEYS)(problems, (), dict(data)) or Draft()


def table(form: type[T], keys: Keys) -> Callable[[Problems, KeyPath, object], T | None]:
    """The reader of a table that has these keys and no others."""

    def read(problems: Problems, path: KeyPath, value: object) -> T | None:
        if not isinstance(value, dict):
            meant = f"[{path[-1]}]" if isinstance(value, list) and path and isinstance(path[-1], str) else None
            problems.add(path, f"must be a table, not {values.describe(value)}", meant)
            return None
        fields: dict[str, Any] = {}
        for name, each in value.items():
            if (key := keys.get(name)) is None:
                _refuse_unknown(problems, path, str(name), keys)
            else:
                fields[key.field or name] = key.read(problems, (*path, name), each)
        return form(given=frozenset(value), **fields)

    return read


def _refuse_unknown(problems: Problems, path: KeyPath, name: str, keys: Keys) -> None:
    nearest = problems.nearest(name, keys)
    known = "" if nearest else f"; the keys here are {', '.join(keys)}"
    problems.add((*path, name), f"is not a key that Marathon knows{known}", nearest)


def tables(element: values.Reader[T], name: str, count_max: int) -> values.Reader[tuple[T, ...]]:
    """The reader of an array of tables; `name` is how its header is written."""
    read_all = values.array(element, count_max=count_max)

    def read(problems: Problems, path: KeyPath, value: object) -> tuple[T, ...] | None:
        if isinstance(value, dict):
            problems.add(path, "is an array of tables: its header has two brackets", f"[[{name}]]")
            return None
        return read_all(problems, path, value)

    return read


def _isolation(problems: Problems, path: KeyPath, value: object) -> str | None:
    if isinstance(value, str) and value in _NOT_BUILT:
        problems.add(path, f"isolation {value} is not built yet", "worktree")
        return None
    return values.choice(("none", "worktree"))(problems, path, value)


def _regex(problems: Problems, path: KeyPath, value: object) -> str | None:
    pattern = values.text(chars_max=1000)(problems, path, value)
    if pattern is None:
        return None
    try:
        re.compile(pattern)
    except (re.error, OverflowError, RecursionError) as error:
        problems.add(path, f"is not a regular expression of Python: {error}")
        return None
    return pattern


def _variables(problems: Problems, path: KeyPath, value: object) -> dict[str, str] | None:
    if not isinstance(value, dict):
        problems.add(path, f"must be a table, not {values.describe(value)}")
        return None
    if len(value) > VARIABLES_MAX:
        problems.add(path, f"has {len(value):,} names; {VARIABLES_MAX:,} are allowed")
        return None
    found: dict[str, str] = {}
    for name, each in value.items():
        if not is_variable(str(name)):
            problems.add((*path, str(name)), "is not a name: letters, digits, _ and -, not beginning with a digit")
        elif (read := _VARIABLE_VALUE(problems, (*path, name), each)) is not None:
            found[name] = read
    return found


def _tasks(problems: Problems, path: KeyPath, value: object) -> tuple[TaskDraft, ...] | None:
    if value == []:
        problems.add(path, "is empty: a contract has at least one task", "[[task]]")
    return tables(_indexed_task, "task", TASKS_MAX)(problems, path, value)


def _indexed_task(problems: Problems, path: KeyPath, value: object) -> TaskDraft | None:
    task = _read_task(problems, path, value)
    if task is not None:
        task.index = int(path[-1])
    return task


_VARIABLE_VALUE: Final = values.text(chars_max=PROMPT_BYTES_MAX, empty=True)
_SHELL: Final = values.text()
_AGENT: Final = values.line(chars_max=NAME_CHARS_MAX)
_MODEL: Final = values.argument("the name of a model")
_ATTEMPTS: Final = values.integer(1, ATTEMPTS_MAX)
_ENV: Final = values.array(values.environment_name, count_max=ENV_NAMES_MAX, repeats=False)

WORKSPACE_KEYS: Final[Keys] = {
    "repo": Key(values.line(chars_max=4096)),
    "base": Key(values.argument("a revision")),
    "isolation": Key(_isolation),
    "setup": Key(values.array(_SHELL, count_max=SETUP_LINES_MAX)),
}
LIMITS_KEYS: Final[Keys] = {
    "parallel": Key(values.integer(1, PARALLEL_MAX)),
    "wall": Key(values.duration, "wall_ms"),
    "deadline": Key(values.instant),
}
DEFAULTS_KEYS: Final[Keys] = {
    "agent": Key(_AGENT),
    "model": Key(_MODEL),
    "attempts": Key(_ATTEMPTS),
    "timeout": Key(values.duration, "timeout_ms"),
    "idle": Key(values.duration, "idle_ms"),
    "env": Key(_ENV),
}
CHECK_KEYS: Final[Keys] = {
    "run": Key(_SHELL),
    "timeout": Key(values.duration, "timeout_ms"),
    "file": Key(repository_path),
    "contains": Key(values.text()),
    "matches": Key(_regex),
    "changed": Key(values.boolean),
}
TASK_KEYS: Final[Keys] = {
    "id": Key(values.task_id),
    "needs": Key(values.array(values.task_id, count_max=TASKS_MAX, repeats=False)),
    "prompt": Key(values.text(chars_max=PROMPT_BYTES_MAX)),
    "prompt_file": Key(repository_path),
    "run": Key(_SHELL),
    "agent": Key(_AGENT),
    "model": Key(_MODEL),
    "attempts": Key(_ATTEMPTS),
    "timeout": Key(values.duration, "timeout_ms"),
    "idle": Key(values.duration, "idle_ms"),
    "allow_empty": Key(values.boolean),
    "env": Key(_ENV),
    "check": Key(tables(table(CheckDraft, CHECK_KEYS), "task.check", CHECKS_MAX), "checks"),
}
DELIVERY_KEYS: Final[Keys] = {"branch": Key(values.line(chars_max=BRANCH_BYTES_MAX))}

_read_task: Final = table(TaskDraft, TASK_KEYS)

CONTRACT_KEYS: Final[Keys] = {
    "name": Key(values.line(chars_max=NAME_CHARS_MAX)),
    "goal": Key(values.text(empty=True)),
    "workspace": Key(table(WorkspaceDraft, WORKSPACE_KEYS)),
    "limits": Key(table(LimitsDraft, LIMITS_KEYS)),
    "variables": Key(_variables),
    "defaults": Key(table(DefaultsDraft, DEFAULTS_KEYS)),
    "task": Key(_tasks, "tasks"),
    "delivery": Key(table(DeliveryDraft, DELIVERY_KEYS)),
}
