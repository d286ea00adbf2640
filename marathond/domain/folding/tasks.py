"""Folding the ends of tasks, the timers they rest by, and the delivery of what they made."""

from typing import Any

from msgspec.structs import replace

from marathond.domain import entries as e
from marathond.domain.contract import Task as Spec
from marathond.domain.folding.common import FoldError, Handler, set_task, task_of, to_phase
from marathond.domain.judgement import going_on, judge
from marathond.domain.plan import agent_of
from marathond.domain.session import (
    Cancelled,
    Delivery,
    Done,
    Failed,
    Pending,
    Phase,
    Ready,
    Resting,
    Session,
    Skipped,
    Task,
)

# --- tasks ------------------------------------------------------------------------------------------------


def _task_done(session: Session, _entry: e.Entry, body: e.TaskDone) -> Session:
    if isinstance(task_of(session, body.task).phase, Done):  # carried from another session: these are its final words
        return to_phase(session, body.task, Done(), text=body.text)
    return _done(session, body.task, text=body.text)


def _carried(session: Session, _entry: e.Entry, body: e.SessionCarried) -> Session:
    for task_id in body.tasks:
        session = _done(session, task_id, checkpoint=session.first)
    return session


def _done(session: Session, task_id: str, **changes: Any) -> Session:
    session = to_phase(session, task_id, Done(), **changes)
    for dependent in session.plan.dependents[task_id]:
        task = session.tasks[dependent]
        missing = task.missing - 1
        phase: Phase = Ready() if missing == 0 and isinstance(task.phase, Pending) else task.phase
        session = set_task(session, dependent, replace(task, missing=missing, phase=phase))
    return session


def _block_dependents(session: Session, task_id: str) -> Session:
    blocked = session.blocked
    for dependent in session.plan.dependents[task_id]:
        if isinstance(session.tasks[dependent].phase, Pending):
            blocked = blocked.set(dependent, task_id)
    return replace(session, blocked=blocked)


def _task_failed(session: Session, _entry: e.Entry, body: e.TaskFailed) -> Session:
    return _block_dependents(to_phase(session, body.task, Failed(reason=body.reason)), body.task)


def _task_skipped(session: Session, _entry: e.Entry, body: e.TaskSkipped) -> Session:
    session = to_phase(session, body.task, Skipped(because=body.because))
    if body.task in session.blocked:
        session = replace(session, blocked=session.blocked.delete(body.task))
    return _block_dependents(session, body.task)


def _task_cancelled(session: Session, _entry: e.Entry, body: e.TaskCancelled) -> Session:
    return to_phase(session, body.task, Cancelled())


def _task_reopened(session: Session, _entry: e.Entry, body: e.TaskReopened) -> Session:
    task = task_of(session, body.task)
    if isinstance(task.phase, Done):
        return session
    phase: Phase = Pending() if task.missing else Ready(why="retry")
    fresh = replace(
        task, phase=phase, failures=0, lost_in_a_row=0, conflicts_in_a_row=0, quota_in_a_row=0, api_in_a_row=0, thread=None
    )  # fmt: skip
    return set_task(session, body.task, fresh)


# --- timers, delivery -------------------------------------------------------------------------------------


def _timer_set(session: Session, _entry: e.Entry, body: e.TimerSet) -> Session:
    task = task_of(session, body.task)
    spec = session.plan.tasks[body.task]
    mode, why = _after_rest(spec, task, body.timer_kind)
    cause = _cause(spec, task, body)
    phase = Resting(timer=body.timer, timer_kind=body.timer_kind, due=body.due, mode=mode, why=why, cause=cause)
    task = replace(task, phase=phase)
    if body.timer_kind == "backoff":  # the attempt failed by itself: a row of conflicts ends here
        task = replace(task, failures=task.failures + 1, conflicts_in_a_row=0)
    session = set_task(session, body.task, task)
    if body.timer_kind == "quota":
        return replace(session, shut=session.shut.set(agent_of(session.plan, body.task), body.timer))
    return session


def _after_rest(spec: Spec, task: Task, kind: e.TimerKind) -> tuple[e.Mode, str]:
    """How the attempt after the rest starts, and why there is one."""
    if isinstance(task.phase, Ready):
        return task.phase.mode, task.phase.why  # its pool was closed before it could start
    if kind == "backoff":
        failing = judge(spec, task)
        return (failing.mode if failing else "fresh"), "failed"
    return going_on(spec, task.thread), kind


def _cause(spec: Spec, task: Task, body: e.TimerSet) -> str:
    if body.timer_kind == "quota":
        return body.pool or ""
    if body.timer_kind == "backoff":
        return failing.reason if (failing := judge(spec, task)) else ""
    return task.attempt.error if task.attempt else ""


def _timer_fired(session: Session, _entry: e.Entry, body: e.TimerFired) -> Session:
    for agent in [agent for agent, timer in session.shut.items() if timer == body.timer]:
        session = replace(session, shut=session.shut.delete(agent))
    for task_id in session.frontier:
        phase = session.tasks[task_id].phase
        if isinstance(phase, Resting) and phase.timer == body.timer:
            return to_phase(session, task_id, Ready(mode=phase.mode, why=phase.why))
    return session


def _delivery_intended(session: Session, entry: e.Entry, body: e.DeliveryIntended) -> Session:
    return replace(session, delivery=Delivery(branch=body.branch, commit=body.commit, ending=body.ending, n=entry.n))


def _delivery_made(session: Session, _entry: e.Entry, body: e.DeliveryMade) -> Session:
    if session.delivery is None:
        raise FoldError("delivery.made comes without an intent")
    made = replace(session.delivery, made=body.branch, commit=body.commit)
    return replace(session, delivery=made, delivered=made)


def _delivery_failed(session: Session, _entry: e.Entry, body: e.DeliveryFailed) -> Session:
    if session.delivery is None:
        raise FoldError("delivery.failed comes without an intent")
    return replace(session, delivery=replace(session.delivery, failed=body.reason))


HANDLERS: dict[type[e.Body], Handler] = {
    e.SessionCarried: _carried,
    e.TaskDone: _task_done,
    e.TaskFailed: _task_failed,
    e.TaskSkipped: _task_skipped,
    e.TaskCancelled: _task_cancelled,
    e.TaskReopened: _task_reopened,
    e.TimerSet: _timer_set,
    e.TimerFired: _timer_fired,
    e.DeliveryIntended: _delivery_intended,
    e.DeliveryMade: _delivery_made,
    e.DeliveryFailed: _delivery_failed,
}
