"""`halt` and `abort`: durable before anything is stopped, answered when the processes are gone."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from marathond.domain import entries as e
from marathond.domain.errors import SESSION_ENDED, MarathonError
from marathond.domain.session import Session
from marathond.engine import strays
from marathond.engine.engine import Engine
from marathond.engine.sessions import get, resolve
from marathond.engine.views.words import session_state


async def halt(engine: Engine, *, session: str | None, cwd: str | None, drain: bool) -> dict[str, Any]:
    """See `session/halt` in docs/protocol.md. A halt after a drain overrules it; a drain never overrules a halt."""
    session_id = await resolve(engine, session, cwd)

    def request(now: Session) -> list[e.Body]:
        if now.end is not None:
            raise _ended(now, "halted")
        if now.halted or now.aborting or (now.halt is not None and (drain or not now.halt.drain)):
            return []
        return [e.RequestHalt(drain=drain)]

    async with _ending_anyway(engine, session_id):
        await get(engine, session_id, None)
        await engine.propose(session_id, request)

    def halted() -> bool:
        found = engine.kernel.sessions[session_id]
        # another user's abort or resume may come first: then there is nothing left to wait for
        return (found.halt is None and not engine.running(session_id)) or found.end is not None

    await engine.until(lambda: halted() or _given_up(engine, session_id))
    return {"session_id": session_id, "state": session_state(engine.kernel.sessions[session_id])}


async def abort(engine: Engine, *, session: str | None, cwd: str | None) -> dict[str, Any]:
    """See `session/abort` in docs/protocol.md."""
    session_id = await resolve(engine, session, cwd)

    def request(now: Session) -> list[e.Body]:
        if now.end is not None and now.end.state != "aborted":
            raise _ended(now, "aborted")
        return [] if now.aborting or now.end is not None else [e.RequestAbort()]

    async with _ending_anyway(engine, session_id):
        await get(engine, session_id, None)
        await engine.propose(session_id, request)

    def aborted() -> bool:
        return engine.kernel.sessions[session_id].end is not None and not engine.running(session_id)

    await engine.until(lambda: aborted() or _given_up(engine, session_id))
    return {"session_id": session_id, "state": session_state(engine.kernel.sessions[session_id])}


@asynccontextmanager
async def _ending_anyway(engine: Engine, session_id: str) -> AsyncIterator[None]:
    """Where the request cannot be recorded, what runs is ended before the refusal is given."""
    try:
        yield
    except MarathonError as refusal:
        if not strays.is_out_of_reach(engine, session_id):
            raise
        raise await strays.end_anyway(engine, session_id, refusal) from None


def _given_up(engine: Engine, session_id: str) -> bool:
    """Its processes are gone, and what was asked for waits for the next start."""
    return session_id in engine.kernel.given_up and not engine.running(session_id)


def _ended(session: Session, verb: str) -> MarathonError:
    state = session_state(session)
    hint = (
        "`marathonctl retry` gives a failed session another life."
        if state == "failed"
        else "There is nothing left to stop."
    )
    return MarathonError(SESSION_ENDED, session=session.id, state=state, verb=verb, hint=hint)
