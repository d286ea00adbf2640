"""session/why: what exactly keeps a session from going on, and the command that would help."""

import msgspec

from marathond.domain.errors import AMBIGUOUS_SESSION, NO_SESSION, NO_TASK
from marathond.server.method import Call, Method, OnSession, TaskId
from marathond.server.methods.shapes import Reason, State
from marathond.server.services import Result


class WhyParams(OnSession, frozen=True, kw_only=True):
    """`task` asks about one task."""

    task: TaskId | None = None


class ReasonWithCommand(Reason, kw_only=True):
    """A reason and the command that would help, when there is one."""

    command: str | None


class WhyResult(msgspec.Struct, kw_only=True):
    """All reasons that apply."""

    session_id: str
    state: State
    reasons: list[ReasonWithCommand]


async def handle(call: Call, params: WhyParams) -> Result:
    """Explains."""
    return await call.services.why(session=params.session, cwd=params.cwd, task=params.task)


METHOD = Method(
    name="session/why",
    summary="Names what keeps a session from going on and the command that would help.",
    params=WhyParams,
    result=WhyResult,
    handle=handle,
    errors=(NO_SESSION, AMBIGUOUS_SESSION, NO_TASK),
    inside=True,
)
