"""Pieces of results that several methods share. They describe what is sent; `docs/openrpc.json` is made from them."""

from typing import Any, Literal

import msgspec

State = Literal["running", "waiting", "held", "halted", "done", "failed", "aborted", "quarantined"]
TaskState = Literal[
    "pending", "ready", "dispatched", "running", "waiting", "retrying", "held", "done", "failed", "skipped", "cancelled"
]
ReasonKind = Literal[
    "dependency", "timer", "quota", "slot", "lock", "question", "gate", "user", "ended", "running", "branch"
]


class GatePoint(msgspec.Struct, kw_only=True):
    """The verdict on one of the six points of the resume gate."""

    point: int
    verdict: Literal["pass", "fail", "not_evaluated"]
    detail: str


class Reason(msgspec.Struct, kw_only=True):
    """One thing that applies to where a session stands."""

    kind: ReasonKind
    task: str | None
    text: str
    due_at: str | None


class ResumeResult(msgspec.Struct, kw_only=True):
    """How the resume gate let a session go on. A refusal is an error that carries `gate`, `session_id` and `run_id: null` in its data."""

    session_id: str
    run_id: str | None
    gate: list[GatePoint]
    state: State
    due_at: str | None


class StateResult(msgspec.Struct, kw_only=True):
    """The session and the state it is in now."""

    session_id: str
    state: State


class Row(msgspec.Struct, kw_only=True):
    """An entry as it is stored. `record` is the exact text that `hash` is over; `link` chains all streams in order of `seq`."""

    seq: int
    hash: str
    link: str
    link_prev: str
    record: str


Environment = dict[str, str]
ContractObject = dict[str, Any]
