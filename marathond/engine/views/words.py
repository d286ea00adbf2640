"""The names of states and the sentences that explain them."""

from typing import Final

from marathond.domain import session as s
from marathond.domain.outlook import busy, due_at, due_with, resting

_TASK_STATES: Final[dict[type, str]] = {
    s.Pending: "pending",
    s.Ready: "ready",
    s.Dispatched: "dispatched",
    s.Running: "running",
    s.Settled: "running",
    s.Checking: "running",
    s.Failing: "retrying",
    s.Stuck: "held",
    s.Held: "held",
    s.Done: "done",
    s.Failed: "failed",
    s.Skipped: "skipped",
    s.Cancelled: "cancelled",
}


def task_state(session: s.Session, task_id: str) -> str:
    """The state that a user sees of a task."""
    phase = session.tasks[task_id].phase
    if isinstance(phase, s.Ready) and due_with(session, task_id) is not None:
        return "waiting"
    if isinstance(phase, s.Resting):
        return "retrying" if phase.timer_kind == "backoff" else "waiting"
    return _TASK_STATES[type(phase)]


def session_state(session: s.Session) -> str:
    """The session's state: with parallel arms the first that applies wins."""
    if session.end is not None:
        return session.end.state
    if session.quarantine is not None:
        return "quarantined"
    if session.halted:
        return "halted"
    if session.run is not None or session.live or session.aborting or session.halt is not None:
        return "running"
    if session.given_up is not None or session.unfinished == 0:
        return "running"  # a run is about to open and to end it
    if busy(session) or (resting(session) and not session.barred):
        # a run is about to open, or a timer will open it
        return "waiting" if due_at(session) is not None and not busy(session) else "running"
    return "held"


def task_reason(session: s.Session, task_id: str) -> str | None:
    """One sentence on why a task is where it is; None where the state says it all."""
    task = session.tasks[task_id]
    match task.phase:
        case s.Pending():
            open_needs = [
                n for n in session.plan.tasks[task_id].needs if not isinstance(session.tasks[n].phase, s.Done)
            ]
            return f"needs {', '.join(open_needs)}"
        case s.Ready(why=why):
            return _while_ready(session, task_id, why)
        case s.Settled():
            return "its work is being committed"
        case s.Checking():
            return "its checks run" if session.plan.tasks[task_id].checks else "its work is being committed"
        case s.Resting(timer_kind="quota", cause=pool):
            return f"a vendor's limit holds (pool {pool})"
        case s.Resting(timer_kind="api", cause=error):
            return f"the vendor's API is in trouble{f': {error}' if error else ''}"
        case s.Resting(cause=failure):
            return f"it failed and is tried again{f': {failure}' if failure else ''}"
        case s.Failing(reason=reason) | s.Failed(reason=reason):
            return reason
        case s.Stuck(about=about):
            return f"three in a row: {about}"
        case s.Held(question=question):
            open_question = session.questions.get(question)
            return open_question.text if open_question else None
        case s.Skipped(because=because):
            return f"needs {because}, which did not get done" if because else "the session was given up"
        case _:
            return None


def _while_ready(session: s.Session, task_id: str, why: str) -> str | None:
    if due_with(session, task_id) is not None:
        return "a vendor's limit holds"
    return None if why == "first" else f"starts again: {why}"


def refusal(points: tuple[object, ...]) -> str:
    """The failed points of a gate in one line."""
    failed = [p for p in points if getattr(p, "verdict", "") == "fail"]
    return "; ".join(f"point {getattr(p, 'point', '?')}: {getattr(p, 'detail', '')}" for p in failed)
