"""Small steps that keep a session's indexes and counters true while its tasks change."""

from bisect import bisect_left
from collections.abc import Callable
from typing import Any

from immutables import Map
from msgspec.structs import replace

from marathond.domain import entries as e
from marathond.domain.plan import agent_of
from marathond.domain.session import (
    TERMINAL,
    Attempt,
    Cancelled,
    Failed,
    Pending,
    Phase,
    Ready,
    Running,
    Session,
    Skipped,
    Task,
)

Handler = Callable[[Session, e.Entry, Any], Session]
"""Applies a body of one kind, given with its entry."""


class FoldError(Exception):
    """The entry cannot follow the ones before it: the stream is not one that Marathon wrote."""


def set_task(session: Session, task_id: str, task: Task) -> Session:
    """Puts a task in place and keeps indexes and counters in step with its phase."""
    before, phase = session.tasks[task_id].phase, task.phase
    frontier, unfinished, flawed = session.frontier, session.unfinished, session.flawed
    in_frontier = not isinstance(phase, (Pending, Ready, *TERMINAL))
    ready = session.ready
    if isinstance(before, Ready) != isinstance(phase, Ready):
        ready = _ready(session, task_id, isinstance(phase, Ready))
    if in_frontier and task_id not in frontier:
        frontier = frontier.set(task_id, None)
    elif not in_frontier and task_id in frontier:
        frontier = frontier.delete(task_id)
    unfinished += isinstance(before, TERMINAL) - isinstance(phase, TERMINAL)
    flawed += isinstance(phase, (Failed, Skipped, Cancelled)) - isinstance(before, (Failed, Skipped, Cancelled))
    return replace(
        session,
        tasks=session.tasks.set(task_id, task),
        frontier=frontier,
        ready=ready,
        unfinished=unfinished,
        flawed=flawed,
    )


def _ready(session: Session, task_id: str, is_ready: bool) -> Map[str, tuple[int, ...]]:
    """The index of ready tasks with a task put in or taken out."""
    agent, place = agent_of(session.plan, task_id), session.plan.order[task_id]
    places = session.ready.get(agent, ())
    at = bisect_left(places, place)
    places = (*places[:at], place, *places[at:]) if is_ready else places[:at] + places[at + 1 :]
    return session.ready.set(agent, places) if places else session.ready.delete(agent)


def to_phase(session: Session, task_id: str, phase: Phase, **changes: Any) -> Session:
    """Puts a task into a phase, with further changes of its fields. Raises FoldError for a task that there is not."""
    return set_task(session, task_id, replace(task_of(session, task_id), phase=phase, **changes))


def task_of(session: Session, task_id: str) -> Task:
    """A task by its id. Raises FoldError."""
    try:
        return session.tasks[task_id]
    except KeyError:
        raise FoldError(f"there is no task {task_id!r}") from None


def current(session: Session, task_id: str, number: int, *phases: type[Phase]) -> tuple[Task, Attempt] | None:
    """The task and its attempt when `number` is the current one and the task is in one of `phases`; None for a late result."""
    task = task_of(session, task_id)
    if task.attempt is None or task.attempt.number != number or not isinstance(task.phase, phases):
        return None
    return task, task.attempt


def nobody_asks(session: Session, task_id: str) -> Session:
    """An agent whose attempt is over waits for no answer any more."""
    asked = [q.id for q in session.questions.values() if q.about == "agent" and q.task == task_id]
    questions = session.questions
    for question in asked:
        questions = questions.delete(question)
    return replace(session, questions=questions) if asked else session


def over(session: Session, before: Phase, at: int, lived_ms: int) -> Session:
    """One live attempt less; the time in which there was at least one running is the `wall` that was used.

    An attempt's end is told by its own clock: the wall clock ran on while the machine slept or nobody looked.
    """
    session = replace(session, live=session.live - 1)
    if not isinstance(before, Running) or session.live_since is None:
        return session
    until = max(session.live_until, min(at, before.started + 1000 * lived_ms))
    if any(isinstance(session.tasks[i].phase, Running) for i in session.frontier):
        return replace(session, live_until=until)
    used = max(0, until - session.live_since) // 1000
    return replace(session, live_since=None, wall_used_ms=session.wall_used_ms + used)
