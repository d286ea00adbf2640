"""session/task: everything about one task and its attempts."""

from typing import Any

import msgspec

from marathond.domain.errors import AMBIGUOUS_SESSION, NO_SESSION, NO_TASK
from marathond.server.method import Call, Method, OnSession, TaskId
from marathond.server.methods.shapes import TaskState
from marathond.server.services import Result


class TaskParams(OnSession, frozen=True, kw_only=True):
    """The task to look at."""

    task: TaskId


class CheckTitle(msgspec.Struct, kw_only=True):
    """A check of the contract in a few words."""

    title: str


class CheckResult(msgspec.Struct, kw_only=True):
    """What a check found. `output` is the hash of the stored output."""

    index: int
    title: str
    ok: bool
    detail: str
    output: str | None


class AttemptDetail(msgspec.Struct, kw_only=True):
    """One attempt. `outcome` is null while it runs; `transcript` is a blob, `candidate` a commit."""

    attempt: int
    mode: str
    outcome: str | None
    started_at: str | None
    elapsed_ms: int
    text: str
    error: str
    thread: str | None
    usage: dict[str, Any]
    transcript: str | None
    candidate: str | None
    conflict_paths: list[str]
    checks: list[CheckResult]


class TaskResult(msgspec.Struct, kw_only=True):
    """A task with its history. One of `prompt` and `run` is null."""

    session_id: str
    id: str
    state: TaskState
    needs: list[str]
    agent: str
    prompt: str | None
    run: str | None
    checks: list[CheckTitle]
    attempts: list[AttemptDetail]
    checkpoint: str | None


async def handle(call: Call, params: TaskParams) -> Result:
    """Looks."""
    return await call.services.task(session=params.session, cwd=params.cwd, task=params.task)


METHOD = Method(
    name="session/task",
    summary="Tells everything about one task and its attempts.",
    params=TaskParams,
    result=TaskResult,
    handle=handle,
    errors=(NO_SESSION, AMBIGUOUS_SESSION, NO_TASK),
    inside=True,
)
