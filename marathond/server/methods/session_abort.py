"""session/abort: ends the session for good."""

from marathond.domain.errors import AMBIGUOUS_SESSION, HEAD_AHEAD, NO_SESSION, PARTIAL_ARTIFACTS, SESSION_ENDED
from marathond.server.method import Call, Method, OnSession
from marathond.server.methods.shapes import StateResult
from marathond.server.services import Result


class AbortParams(OnSession, frozen=True, kw_only=True):
    """The session to end."""


async def handle(call: Call, params: AbortParams) -> Result:
    """Answers when the session's processes are gone."""
    return await call.services.abort(session=params.session, cwd=params.cwd)


METHOD = Method(
    name="session/abort",
    summary="Ends the session for good and answers when its processes are gone; checkpoints are delivered.",
    params=AbortParams,
    result=StateResult,
    handle=handle,
    errors=(NO_SESSION, AMBIGUOUS_SESSION, SESSION_ENDED, PARTIAL_ARTIFACTS, HEAD_AHEAD),
)
