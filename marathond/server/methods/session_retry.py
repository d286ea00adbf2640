"""session/retry: reopens a failed session with fresh attempts."""

from typing import Annotated

import msgspec

from marathond.domain.errors import (
    AMBIGUOUS_SESSION,
    GATE_REFUSED,
    HEAD_AHEAD,
    LOCK_HELD,
    NO_SESSION,
    NO_TASK,
    PARTIAL_ARTIFACTS,
    REFUSED_BY_STATE,
)
from marathond.domain.limits import TASKS_MAX
from marathond.server.method import Call, Method, OnSession, TaskId
from marathond.server.methods.shapes import Environment, ResumeResult
from marathond.server.services import Result


class RetryParams(OnSession, frozen=True, kw_only=True):
    """`tasks` are those to try again; without it all that failed. Tasks that were blocked by them are pending again too."""

    tasks: Annotated[list[TaskId], msgspec.Meta(min_length=1, max_length=TASKS_MAX)] | None = None
    env: Environment | None = None


async def handle(call: Call, params: RetryParams) -> Result:
    """Reopens the session."""
    return await call.services.retry(session=params.session, cwd=params.cwd, tasks=params.tasks, env=params.env)


METHOD = Method(
    name="session/retry",
    summary="Reopens a failed session with fresh attempts.",
    params=RetryParams,
    result=ResumeResult,
    handle=handle,
    errors=(
        NO_SESSION,
        AMBIGUOUS_SESSION,
        NO_TASK,
        REFUSED_BY_STATE,
        LOCK_HELD,
        GATE_REFUSED,
        PARTIAL_ARTIFACTS,
        HEAD_AHEAD,
    ),
)
