"""The frozen contract: what a session will do, and nothing that changes while it does it.

`planning` reads what a user writes, checks it and fills in the defaults; what comes out is this, as RFC 8785 canonical
JSON. The stored text is the truth: it is decoded into these structs and never written back, so a new default can never
change an old hash. Durations are milliseconds.
"""

from typing import Literal

import msgspec

from marathond.domain import canonical


class Workspace(msgspec.Struct, frozen=True, kw_only=True):
    """Where attempts work. `repo` is a machine path: it is not part of the contract, see `session.created`."""

    base: str = "HEAD"
    isolation: Literal["none", "worktree"] = "worktree"
    setup: tuple[str, ...] = ()


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """Limits of the session. `wall_ms` counts time with a live attempt; `deadline` is an instant in microseconds."""

    parallel: int
    wall_ms: int | None = None
    deadline: int | None = None


class RunCheck(msgspec.Struct, frozen=True, kw_only=True, tag="run", tag_field="type"):
    """Passes when the shell line exits 0 in the integrated tree."""

    run: str
    timeout_ms: int

    @property
    def title(self) -> str:
        """How the check is called in messages."""
        return self.run


class FileCheck(msgspec.Struct, frozen=True, kw_only=True, tag="file", tag_field="type"):
    """Passes when the file exists in the candidate and, where asked, contains, matches or differs from the attempt's start."""

    file: str
    contains: str | None = None
    matches: str | None = None
    changed: bool = False

    @property
    def title(self) -> str:
        """How the check is called in messages."""
        more = f" contains {self.contains!r}" if self.contains is not None else ""
        more += f" matches {self.matches!r}" if self.matches is not None else ""
        return f"file {self.file}{more}{' changed' if self.changed else ''}"


Check = RunCheck | FileCheck


class Task(msgspec.Struct, frozen=True, kw_only=True):
    """A node of the graph. Exactly one of `prompt` (an agent task) and `run` (a command task) is set."""

    id: str
    needs: tuple[str, ...] = ()
    prompt: str | None = None
    run: str | None = None
    agent: str
    model: str | None = None
    attempts: int
    timeout_ms: int
    idle_ms: int
    allow_empty: bool = False
    env: tuple[str, ...] = ()
    checks: tuple[Check, ...] = ()


class Delivery(msgspec.Struct, frozen=True, kw_only=True):
    """How the result is handed over: the branch, with `{name}` already replaced."""

    branch: str


class Contract(msgspec.Struct, frozen=True, kw_only=True):
    """A whole contract. `v` is the version of this form."""

    v: int
    name: str
    goal: str = ""
    workspace: Workspace
    limits: Limits
    variables: dict[str, str] = {}
    tasks: tuple[Task, ...]
    delivery: Delivery


class Frozen(msgspec.Struct, frozen=True, kw_only=True):
    """A contract with the exact text that is stored and the hash over it."""

    contract: Contract
    text: bytes
    hash: str


def freeze(contract: Contract) -> Frozen:
    """Fixes a contract: its canonical text and hash. Fields that are None are left out of the text."""
    text = canonical.encode_contract(_plain(contract))
    return Frozen(contract=contract, text=text, hash=canonical.contract_hash(text))


def thaw(text: bytes) -> Frozen:
    """Reads a stored contract. Raises `msgspec.ValidationError` or `msgspec.DecodeError` for text that is none."""
    return Frozen(contract=msgspec.json.decode(text, type=Contract), text=text, hash=canonical.contract_hash(text))


def _plain(value: object) -> object:
    built = msgspec.to_builtins(value)
    return _without_none(built)


def _without_none(value: object) -> object:
    if isinstance(value, dict):
        return {k: _without_none(v) for k, v in value.items() if v is not None}
    if isinstance(value, (list, tuple)):
        return [_without_none(v) for v in value]
    return value
