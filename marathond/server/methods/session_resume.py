"""session/resume: passes the resume gate and goes on as a new run."""

from marathond.domain.errors import (
    AMBIGUOUS_SESSION,
    GATE_REFUSED,
    HEAD_AHEAD,
    LOCK_HELD,
    NO_SESSION,
    PARTIAL_ARTIFACTS,
)
from marathond.server.method import Call, Method, OnSession
from marathond.server.methods.shapes import Environment, ResumeResult
from marathond.server.services import Result


class ResumeParams(OnSession, frozen=True, kw_only=True):
    """`now` also ends a quota wait. `env` replaces the stored environment; where that is damaged, also of a session that runs, and
    then its run goes on. `spawned`: the client started the daemon for this call.
    """

    now: bool = False
    env: Environment | None = None
    spawned: bool = False


async def handle(call: Call, params: ResumeParams) -> Result:
    """Resumes the session."""
    return await call.services.resume(
        session=params.session, cwd=params.cwd, now=params.now, env=params.env, spawned=params.spawned
    )


METHOD = Method(
    name="session/resume",
    summary="Passes the resume gate and goes on as a new run.",
    params=ResumeParams,
    result=ResumeResult,
    handle=handle,
    errors=(NO_SESSION, AMBIGUOUS_SESSION, LOCK_HELD, GATE_REFUSED, PARTIAL_ARTIFACTS, HEAD_AHEAD),
)
