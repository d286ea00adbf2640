"""session/status: where a session stands."""

import msgspec

from marathond.domain.errors import AMBIGUOUS_SESSION, NO_SESSION
from marathond.server.method import Call, Method, OnSession
from marathond.server.methods.shapes import Reason, State, TaskState
from marathond.server.services import Result


class StatusParams(OnSession, frozen=True, kw_only=True):
    """The session to look at."""


class TaskLine(msgspec.Struct, kw_only=True):
    """A task in brief. `agent` is `command` for a command task; `attempts` counts those begun."""

    id: str
    state: TaskState
    attempts: int
    agent: str
    reason: str | None
    checkpoint: str | None
    due_at: str | None
    started_at: str | None
    last_words: str
    needs: list[str]


class Head(msgspec.Struct, kw_only=True):
    """The newest entry of the session's stream, and the ledger's `seq` and `link` there."""

    n: int
    hash: str
    seq: int
    link: str


class StatusResult(msgspec.Struct, kw_only=True):
    """`wall_used_ms` is the time with a live attempt so far; since `live_since` it is running on."""

    session_id: str
    name: str
    goal: str
    state: State
    reasons: list[Reason]
    due_at: str | None
    contract_hash: str
    revision: int
    run_id: str | None
    repo: str
    created_at: str
    ended_at: str | None
    wall_used_ms: int
    live_since: str | None
    tasks: list[TaskLine]
    head: Head
    branch: str | None


async def handle(call: Call, params: StatusParams) -> Result:
    """Looks."""
    return await call.services.status(session=params.session, cwd=params.cwd)


METHOD = Method(
    name="session/status",
    summary="Tells where a session stands.",
    params=StatusParams,
    result=StatusResult,
    handle=handle,
    errors=(NO_SESSION, AMBIGUOUS_SESSION),
    inside=True,
)
