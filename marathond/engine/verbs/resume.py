"""`resume` and `retry`: through the gate into a new run."""

from collections.abc import Mapping, Sequence
from typing import Any

from marathond.domain import entries as e
from marathond.domain.errors import NO_TASK, REFUSED_BY_STATE, MarathonError
from marathond.domain.reopen import to_reopen
from marathond.domain.session import Failed, Session
from marathond.domain.suggest import nearest
from marathond.engine import gate
from marathond.engine.engine import Engine
from marathond.engine.environment import remember, stored
from marathond.engine.sessions import get, resolve
from marathond.engine.views.words import session_state

_NAMED_MAX = 1000


async def resume(
    engine: Engine, *, session: str | None, cwd: str | None, now: bool, env: Mapping[str, str] | None, spawned: bool
) -> dict[str, Any]:
    """See `session/resume` in docs/protocol.md."""
    session_id = await resolve(engine, session, cwd)
    if spawned and (opened := await engine.opened_at_start(session_id)) is not None:
        return opened
    if env is not None and (mended := await _with_environment(engine, session_id, env)) is not None:
        return mended

    async def refresh(found: Session) -> None:
        if env is not None:
            await remember(engine, session_id, found.plan.contract, env)

    return await gate.through(engine, session_id, "resume", [e.SessionResumed(now=now)], refresh)


async def _with_environment(engine: Engine, session_id: str, env: Mapping[str, str]) -> dict[str, Any] | None:
    """Where a run is under way and cannot go on because its stored environment is damaged: stores it anew, and the run goes on."""
    session = engine.kernel.sessions.get(session_id)
    if session is None or session.run is None:
        return None
    try:
        await stored(engine, session)
    except MarathonError:
        await remember(engine, session_id, session.plan.contract, env)
    else:
        return None
    engine.nudge(session_id)
    return gate.outcome(session, await gate.evaluate(engine, session_id), session.run.id)


async def retry(
    engine: Engine, *, session: str | None, cwd: str | None, tasks: Sequence[str] | None, env: Mapping[str, str] | None
) -> dict[str, Any]:
    """See `session/retry` in docs/protocol.md."""
    found = await get(engine, session, cwd)
    if found.end is None or found.end.state != "failed":
        state = session_state(found)
        hint = (
            "`marathonctl resume` lets a halted or waiting session go on."
            if found.end is None
            else "Start a new session."
        )
        raise MarathonError(
            REFUSED_BY_STATE, session=found.id, state=state, reason="only a failed session is retried", hint=hint
        )
    reopened = _reopened(found, tasks or ())
    before: list[e.Body] = [e.SessionReopened(tasks=reopened[:_NAMED_MAX]), *(e.TaskReopened(task=i) for i in reopened)]

    async def renew(now: Session) -> None:
        """The values were removed when the session ended, and its worktrees may be on their way out at this moment."""
        async with engine.rooms.tidying(now.id):
            await remember(engine, now.id, now.plan.contract, env)

    return await gate.through(engine, found.id, "retry", before, renew)


def _reopened(session: Session, wanted: Sequence[str]) -> list[str]:
    """The tasks that get a new life. Raises NO_TASK, and REFUSED_BY_STATE when there is none."""
    for task_id in wanted:
        if task_id not in session.tasks:
            raise MarathonError(NO_TASK, session=session.id, task=task_id, suggestion=nearest(task_id, session.tasks))
    out = to_reopen(session, wanted)
    if not out:
        failed = [i for i in session.plan.order if isinstance(session.tasks[i].phase, Failed)]
        raise MarathonError(
            REFUSED_BY_STATE, session=session.id, state=session_state(session), reason="none of these tasks failed",
            hint=f"Failed: {', '.join(failed) or 'none'}.",
        )  # fmt: skip
    return out
