"""session/halt: stops the session's attempts; it stays resumable."""

from marathond.domain.errors import AMBIGUOUS_SESSION, HEAD_AHEAD, NO_SESSION, PARTIAL_ARTIFACTS, SESSION_ENDED
from marathond.server.method import Call, Method, OnSession
from marathond.server.methods.shapes import StateResult
from marathond.server.services import Result


class HaltParams(OnSession, frozen=True, kw_only=True):
    """`drain` lets live attempts finish first."""

    drain: bool = False


async def handle(call: Call, params: HaltParams) -> Result:
    """Answers when the session's processes are gone."""
    return await call.services.halt(session=params.session, cwd=params.cwd, drain=params.drain)


METHOD = Method(
    name="session/halt",
    summary="Stops the session's attempts and answers when their processes are gone; the session stays resumable.",
    params=HaltParams,
    result=StateResult,
    handle=handle,
    errors=(NO_SESSION, AMBIGUOUS_SESSION, SESSION_ENDED, PARTIAL_ARTIFACTS, HEAD_AHEAD),
)
