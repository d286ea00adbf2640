"""session/diff: what a session, or one task, changed."""

import msgspec

from marathond.domain.errors import AMBIGUOUS_SESSION, NO_SESSION, NO_TASK
from marathond.server.method import Call, Method, OnSession, TaskId
from marathond.server.services import Result


class DiffParams(OnSession, frozen=True, kw_only=True):
    """`task` keeps to the change of one task."""

    task: TaskId | None = None


class DiffResult(msgspec.Struct, kw_only=True):
    """A unified diff from commit `base` to `commit`."""

    session_id: str
    base: str
    commit: str
    text: str


async def handle(call: Call, params: DiffParams) -> Result:
    """Compares."""
    return await call.services.diff(session=params.session, cwd=params.cwd, task=params.task)


METHOD = Method(
    name="session/diff",
    summary="Shows what a session, or one task, changed.",
    params=DiffParams,
    result=DiffResult,
    handle=handle,
    errors=(NO_SESSION, AMBIGUOUS_SESSION, NO_TASK),
    inside=True,
)
