"""`DriveAttempt`: start an attempt, or follow the one that lives, until its end is recorded.

What is true is asked of the attempt's folder and its lock, never of memory: nothing there yet means that it was never
executed and may be started under its own number; a held lock means that it lives and is adopted; an exit record means that
it ended; neither means that it is lost.
"""

import logging
from collections.abc import Awaitable, Callable
from pathlib import Path

import anyio
import anyio.to_thread

from marathond.agents import launch
from marathond.attempt import lifecycle
from marathond.attempt.lifecycle import Absent, Alive, Ended, Lost
from marathond.attempt.records import Started
from marathond.domain import entries as e
from marathond.domain.effects import DriveAttempt
from marathond.domain.errors import CHECKOUT_BUSY, MarathonError
from marathond.domain.session import Attempt, Dispatched, Session
from marathond.engine.conclude import conclude, said_thread
from marathond.engine.effects.troubles import is_full, is_unreadable, told
from marathond.engine.engine import Engine, Handle
from marathond.engine.prepare import Ready, prepare
from marathond.workspace.call import ended_by
from marathond.workspace.git import GitError

log = logging.getLogger(__name__)


def folder(engine: Engine, session: str, task: str, attempt: int) -> Path:
    """Where an attempt's files are."""
    return engine.places.attempts / session / task / str(attempt)


async def drive(engine: Engine, session: Session, effect: DriveAttempt, handle: Handle) -> None:
    """See the module. `handle.stop` ends the attempt's whole process tree first."""
    task = session.tasks[effect.task]
    attempt = task.attempt
    assert attempt is not None
    where = folder(engine, session.id, effect.task, effect.attempt)
    found = await lifecycle.recover(where)
    if isinstance(found, Absent):
        started = await _begin(engine, session, effect, attempt, where, handle)
        if started is None:
            return
    elif isinstance(found, Alive):
        started = found.started
        await _take_over(engine, session, effect, attempt, started)
    else:
        if isinstance(task.phase, Dispatched):  # the daemon that started it had no time to say so
            await engine.append(session.id, _started(engine, session, effect, found.started, None))
        await _record(engine, session, effect, where, found, await anyio.to_thread.run_sync(_last_sign, where))
        return
    grace_ms = await anyio.to_thread.run_sync(lifecycle.patience_ms, where)
    over = await follow(where, started, grace_ms, handle)
    await _record(engine, session, effect, where, over, engine.clock.wall())


async def _begin(
    engine: Engine, session: Session, effect: DriveAttempt, attempt: Attempt, where: Path, handle: Handle
) -> Started | None:
    """Prepares and starts; None when there was nothing to start, and that is recorded. Raises where a disk is full or the environment is damaged."""
    try:
        ready = await _prepared(engine, session, effect, attempt, where, handle)
        started = ready and await _launched(where, ready)
    except (MarathonError, GitError, lifecycle.LaunchFailed, OSError) as error:
        if not handle.stop.is_set():
            await _could_not(engine, session, effect, error)
            return None
        ready = started = None  # nobody wants it any more, and that is why it failed
    if ready is None or started is None:
        await engine.append(session.id, _not_run(effect, "interrupted", "it was stopped before it started"))
        return None
    await engine.append(session.id, _started(engine, session, effect, started, ready.agent_version))
    return started


async def _could_not(engine: Engine, session: Session, effect: DriveAttempt, error: Exception) -> None:
    """Records why an attempt could not be started. Raises what is no fault of its own: it is tried again and costs none."""
    if is_full(error) or is_unreadable(error):
        raise error
    reason = await told(engine, session, effect.task, str(error))
    log.warning("session %s: %s/%d could not be started: %s", session.id, effect.task, effect.attempt, reason)
    await engine.append(session.id, _not_run(effect, "not_started", reason))


async def _launched(where: Path, ready: Ready) -> Started:
    seen = ready.environment
    return await lifecycle.launch(where, ready.job, env=seen.values, secrets=seen.secrets, stdin=ready.stdin)


async def _prepared(
    engine: Engine, session: Session, effect: DriveAttempt, attempt: Attempt, where: Path, handle: Handle
) -> Ready | None:
    """The attempt, ready to start; None when it was stopped while the session before it had yet to leave the checkout."""
    while not handle.stop.is_set():
        try:
            with ended_by(handle.stop):
                return await prepare(engine, session, effect.task, attempt, where)
        except MarathonError as error:
            if error.kind is not CHECKOUT_BUSY:
                raise
        async with anyio.create_task_group() as tasks:

            async def first(event: Callable[[], Awaitable[object]]) -> None:
                await event()
                tasks.cancel_scope.cancel()

            tasks.start_soon(first, engine.rooms.released)
            tasks.start_soon(first, handle.stop.wait)
    return None


def _not_run(effect: DriveAttempt, outcome: e.Outcome, error: str) -> e.AttemptFinished:
    return e.AttemptFinished(task=effect.task, attempt=effect.attempt, outcome=outcome, error=error)


def _started(
    engine: Engine, session: Session, effect: DriveAttempt, started: Started, version: str | None
) -> e.AttemptStarted:
    return e.AttemptStarted(
        task=effect.task, attempt=effect.attempt, pid=started.pid, start_ticks=started.start_ticks,
        boot_id=started.boot_id, agent_version=version, thread=_thread(engine, session, effect),
    )  # fmt: skip


async def _take_over(
    engine: Engine, session: Session, effect: DriveAttempt, attempt: Attempt, started: Started
) -> None:
    """An attempt that an earlier daemon started: it is adopted into the present run."""
    bodies: list[e.Body] = []
    if isinstance(session.tasks[effect.task].phase, Dispatched):
        bodies.append(_started(engine, session, effect, started, None))
    if session.run is not None and attempt.run != session.run.id:
        bodies.append(e.AttemptAdopted(task=effect.task, attempt=effect.attempt, run=session.run.id))
    if bodies:
        await engine.append(session.id, *bodies)


async def follow(where: Path, started: Started, grace_ms: int, handle: Handle) -> Ended | Lost:
    """Waits for the end, and brings it about when asked to."""
    ended: Ended | Lost | None = None

    async def stop_when_asked() -> None:
        nonlocal ended
        await handle.stop.wait()
        ended = await lifecycle.stop(where, started, grace_ms)
        tasks.cancel_scope.cancel()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(stop_when_asked)
        ended = await lifecycle.wait(where, started) if ended is None else ended
        tasks.cancel_scope.cancel()
    assert ended is not None
    return ended


def _last_sign(where: Path) -> int:
    """When a job that nobody followed was last seen to live: the newest change of its files, in microseconds since the epoch."""
    return max(path.stat().st_mtime_ns for path in where.iterdir() if path.is_file()) // 1000


async def _record(
    engine: Engine, session: Session, effect: DriveAttempt, where: Path, found: Ended | Lost, seen: int
) -> None:
    """`seen` is when it was last known to live, should it be lost."""
    if isinstance(found, Lost):
        marker = f"{session.id}/{effect.task}/{effect.attempt}"
        await anyio.to_thread.run_sync(lifecycle.sweep, marker, found.started.cgroup)
        thread = await said_thread(engine, session, effect.task, where)
        lived = max(0, seen - found.started.started_wall_us) // 1000
        lost = e.AttemptLost(task=effect.task, attempt=effect.attempt, why=found.why, lived_ms=lived, thread=thread)
        await engine.append(session.id, lost)
        return
    finished = await conclude(engine, session, effect.task, effect.attempt, where, found.exit)
    await engine.append(session.id, finished)


def _thread(engine: Engine, session: Session, effect: DriveAttempt) -> str | None:
    """The conversation, as far as it is known before the agent says a word: the one that goes on, or the one we chose."""
    attempt = session.tasks[effect.task].attempt
    if attempt is not None and attempt.thread is not None:
        return attempt.thread
    profile = engine.agents().find(session.plan.tasks[effect.task].agent)
    chosen = profile is not None and profile.thread == "chosen"  # it may have been removed since the attempt began
    return launch.thread_id(session.id, effect.task, effect.attempt) if chosen else None
