"""`decide(session, now) -> list[Body]`: the entries that must follow from what is known.

Deciding is harmless: on its own folded output, at the same `now`, it returns nothing. What needs the outside world is not
decided here but derived from the state as an open effect (see `effects`); what needs the box's slots is decided by the
coordinator. `now` is an instant in microseconds.
"""

from typing import Literal

from marathond.domain import entries as e
from marathond.domain.instants import format_duration, format_instant
from marathond.domain.judgement import judge, paused
from marathond.domain.limits import (
    API_BACKOFF_FIRST_MS,
    API_BACKOFF_MAX_MS,
    ATTEMPTS_MAX,
    BACKOFF_FIRST_MS,
    BACKOFF_MAX_MS,
    CONFLICTS_IN_A_ROW_MAX,
    LOST_IN_A_ROW_MAX,
    QUOTA_UNKNOWN_FIRST_MS,
    QUOTA_UNKNOWN_MAX_MS,
)
from marathond.domain.session import (
    LIVE,
    OCCUPYING,
    TERMINAL,
    Checking,
    Failing,
    Ready,
    Resting,
    Session,
    Settled,
    Stuck,
    Task,
)

QUOTA_SLACK_US = 1_000_000
"""Vendors round reset times; a probe one second late is cheaper than one that comes too early."""


def decide(session: Session, now: int) -> list[e.Body]:
    """The entries that must follow; nothing when all of them are already there."""
    if session.end is not None:
        return _close_run(session)
    if session.aborting:
        return _abort(session)
    if session.quarantine is not None:
        return _close_run(session)
    if session.given_up is not None:
        return _give_up(session)
    if session.halt is not None:
        return _halt(session, drain=session.halt.drain)
    if session.halted:
        return []
    if asked := _ask_about_budget(session, now):
        return asked
    if session.run is None:
        return []
    return _skip_blocked(session) or _settle_tasks(session, now) or _fire_timers(session, now) or _finish(session)


# --- the ways a session ends or rests ---------------------------------------------------------------------


def _close_run(session: Session) -> list[e.Body]:
    if session.run is None:
        return []
    return [e.RunEnded(run=session.run.id, reason=session.end.state if session.end else "quarantined")]


def _abort(session: Session) -> list[e.Body]:
    if session.live:
        return []  # the stop effects are under way; `attempt.finished` or `attempt.lost` follows
    if cancelled := [e.TaskCancelled(task=i) for i in _unfinished(session)]:
        return list(cancelled)
    if session.quarantine is None and (delivery := _deliver(session, "aborted")):
        return delivery
    if session.delivery is not None and not session.delivery.settled and session.quarantine is None:
        return []
    return [e.SessionAborted(branch=_branch(session))]


def _give_up(session: Session) -> list[e.Body]:
    if session.live:
        return []
    reason = session.given_up or ""
    open_tasks = _unfinished(session)
    if failed := [e.TaskFailed(task=i, reason=reason) for i in open_tasks if i in session.frontier]:
        return list(failed)
    if skipped := [e.TaskSkipped(task=i, because=session.blocked.get(i, "")) for i in open_tasks]:
        return list(skipped)
    return _finish(session)


def _halt(session: Session, *, drain: bool) -> list[e.Body]:
    if session.live or (drain and working(session)):
        return _settle_tasks(session, None) if drain else []
    ended: list[e.Body] = [e.RunEnded(run=session.run.id, reason="halted")] if session.run else []
    return [*ended, e.SessionHalted()]


def _finish(session: Session) -> list[e.Body]:
    """What follows when there is nothing to do now: the end, or the end of the run."""
    if session.unfinished == 0:
        ending: Literal["done", "failed"] = "failed" if session.flawed else "done"
        if delivery := _deliver(session, ending):
            return delivery
        if session.delivery is not None and not session.delivery.settled:
            return []
        if ending == "done":
            return [e.SessionCompleted(branch=_branch(session))]
        return [e.SessionFailed(reason=_why_failed(session), branch=_branch(session))]
    if session.run is None or busy(session):
        return []
    reason: Literal["waiting", "held"] = "waiting" if resting(session) and not session.barred else "held"
    return [e.RunEnded(run=session.run.id, reason=reason)]


def _deliver(session: Session, ending: Literal["done", "failed", "aborted"]) -> list[e.Body]:
    """The intent to deliver; nothing when there is no checkpoint or it is already there."""
    if session.delivery is None and session.tip != session.base:
        branch = session.plan.contract.delivery.branch
        return [e.DeliveryIntended(branch=branch, commit=session.tip, ending=ending)]
    return []


def _branch(session: Session) -> str | None:
    return session.delivery.made if session.delivery else None


def _why_failed(session: Session) -> str:
    order = session.plan.order
    failed = sorted((i for i, t in session.tasks.items() if type(t.phase).__name__ == "Failed"), key=order.__getitem__)
    return "task " + ", ".join(failed) + " failed" if failed else "a task it needs did not get done"


# --- budgets ----------------------------------------------------------------------------------------------


def wall_spent_ms(session: Session, now: int) -> int:
    """Milliseconds with a live attempt so far, the current stretch included."""
    stretch = max(0, now - session.live_since) // 1000 if session.live_since is not None else 0
    return session.wall_used_ms + stretch


def _ask_about_budget(session: Session, now: int) -> list[e.Body]:
    """The question that a spent budget raises; it bars every task until it is answered or amended away."""
    asked = {q.about for q in session.questions.values()}
    wall, deadline = session.limits_wall_ms, session.deadline
    if session.unfinished == 0:
        return []
    if wall is not None and "wall" not in asked and wall_spent_ms(session, now) >= wall:
        text = f"The wall budget of {format_duration(wall)} is spent. Grant the same again?"
        return [_question(session, "wall", None, text)]
    if deadline is not None and "deadline" not in asked and now >= deadline:
        text = f"The deadline {format_instant(deadline)} has passed. Grant the same time again?"
        return [_question(session, "deadline", None, text)]
    return []


def _question(session: Session, about: e.About, task: str | None, text: str) -> e.QuestionAsked:
    return e.QuestionAsked(question=f"q{session.asked + 1}", about=about, task=task, text=text)


def ask_after_boot(session: Session) -> e.QuestionAsked:
    """The question under `on_boot = "ask"`."""
    return _question(session, "on_boot", None, "The machine was restarted. Go on with this session?")


# --- tasks ------------------------------------------------------------------------------------------------


def _skip_blocked(session: Session) -> list[e.Body]:
    return [e.TaskSkipped(task=i, because=because) for i, because in sorted(session.blocked.items())]


def _settle_tasks(session: Session, now: int | None) -> list[e.Body]:
    """What follows from attempts that ended. Without `now` (a drain) nothing new is set in motion."""
    out: list[e.Body] = []
    for task_id in in_order(session):
        task = session.tasks[task_id]
        match task.phase:
            case Checking() if (
                task.attempt and task.attempt.candidate and task.checkpoint == task.attempt.candidate.commit
            ):
                out.append(e.TaskDone(task=task_id, text=task.attempt.text))
            case Settled() | Checking() | Failing() if now is not None:
                out.extend(_settle(session, task_id, task, now))
            case Stuck(about=about) if now is not None:
                question = _question(session, about, task_id, _stuck_text(task_id, about))
                return [*out, question]  # ids count questions: one at a time
            case _:
                pass
    return out


def _settle(session: Session, task_id: str, task: Task, now: int) -> list[e.Body]:
    spec, attempt = session.plan.tasks[task_id], task.attempt
    if attempt is not None and isinstance(task.phase, Settled) and paused(attempt):
        return [_rest(task_id, task, now)]
    failing = judge(spec, task)
    if failing is None:
        return []
    failures = task.failures + 1
    if failing.final or failures >= min(spec.attempts, ATTEMPTS_MAX):
        return [e.TaskFailed(task=task_id, reason=failing.reason)]
    due = now + 1000 * _doubling(BACKOFF_FIRST_MS, BACKOFF_MAX_MS, failures)
    return [e.TimerSet(timer=f"{task_id}/{task.begun}/backoff", timer_kind="backoff", task=task_id, due=due)]


def _rest(task_id: str, task: Task, now: int) -> e.TimerSet:
    """The timer after an attempt that a vendor's limit or a failing API cut short."""
    attempt = task.attempt
    assert attempt is not None
    timer = f"{task_id}/{task.begun}"
    stated = attempt.outcome in ("quota", "rate_limit") and attempt.reset is not None
    if attempt.outcome == "quota" or stated:
        due = quota_until(attempt.reset, task.quota_in_a_row, now)
        return e.TimerSet(timer=f"{timer}/quota", timer_kind="quota", task=task_id, due=due, pool=attempt.pool)
    due = now + 1000 * _doubling(API_BACKOFF_FIRST_MS, API_BACKOFF_MAX_MS, task.api_in_a_row)
    return e.TimerSet(timer=f"{timer}/api", timer_kind="api", task=task_id, due=due)


def quota_until(reset: int | None, in_a_row: int, now: int) -> int:
    """When to try again after a limit: the stated reset with a little slack, else 15 min doubling to 4 h. In microseconds."""
    if reset is not None:
        return max(reset, now) + QUOTA_SLACK_US
    return now + 1000 * _doubling(QUOTA_UNKNOWN_FIRST_MS, QUOTA_UNKNOWN_MAX_MS, in_a_row)


def _doubling(first: int, most: int, nth: int) -> int:
    return min(most, first << min(30, max(0, nth - 1)))


def _stuck_text(task_id: str, about: str) -> str:
    if about == "lost":
        return f"Task {task_id} lost {LOST_IN_A_ROW_MAX} attempts in a row (their processes died without a result). Grant three more?"
    return f"Task {task_id} met {CONFLICTS_IN_A_ROW_MAX} merge conflicts in a row. Grant three more?"


def _fire_timers(session: Session, now: int) -> list[e.Body]:
    due = sorted(p.timer for p in _restings(session) if p.due <= now)
    return [e.TimerFired(timer=timer) for timer in due]


# --- views that decide shares with effects, coordinator and status ------------------------------------------


def in_order(session: Session) -> list[str]:
    """The tasks that are neither pending nor ended, in the contract's order."""
    return sorted(session.frontier, key=session.plan.order.__getitem__)


def _unfinished(session: Session) -> list[str]:
    return [i for i in session.plan.order if not isinstance(session.tasks[i].phase, TERMINAL)]


def _restings(session: Session) -> list[Resting]:
    phases = (session.tasks[i].phase for i in session.frontier)
    return [p for p in phases if isinstance(p, Resting)]


def resting(session: Session) -> bool:
    """Whether a timer will wake the session."""
    return bool(_restings(session))


def _occupied(session: Session) -> bool:
    return any(isinstance(session.tasks[i].phase, OCCUPYING) for i in session.frontier)


def working(session: Session) -> bool:
    """Whether an attempt lives or its result is still being judged."""
    for task_id in session.frontier:
        task = session.tasks[task_id]
        if isinstance(task.phase, LIVE):
            return True
        if isinstance(task.phase, (Settled, Checking)) and task.attempt is not None:
            paused_now = isinstance(task.phase, Settled) and paused(task.attempt)
            if not paused_now and judge(session.plan.tasks[task_id], task) is None:
                return True
    return False


def busy(session: Session) -> bool:
    """Whether something goes on or could go on right now: a live attempt, an open judgement, a ready task."""
    ready = False if session.barred else any(isinstance(session.tasks[i].phase, Ready) for i in session.frontier)
    return ready or bool(session.blocked) or _occupied(session) or _undecided(session)


def _undecided(session: Session) -> bool:
    return any(isinstance(session.tasks[i].phase, (Failing, Stuck)) for i in session.frontier)


def next_due(session: Session) -> int | None:
    """The next instant at which time alone changes something; None when only events do."""
    if session.end is not None or session.quarantine is not None or session.halted or session.aborting:
        return None
    due = [p.due for p in _restings(session)] if not session.barred else []
    abouts = {q.about for q in session.questions.values()}
    wall, deadline = session.limits_wall_ms, session.deadline
    if wall is not None and session.live_since is not None and "wall" not in abouts:
        due.append(session.live_since + 1000 * max(0, wall - session.wall_used_ms))
    if deadline is not None and "deadline" not in abouts and session.unfinished:
        due.append(deadline)
    return min(due, default=None)


def due_at(session: Session) -> int | None:
    """When the session goes on by itself: its earliest timer."""
    return min((p.due for p in _restings(session)), default=None)


def wants_run(session: Session, now: int) -> bool:
    """Whether the session should be worked on and no run is open: the engine then takes it through the gate."""
    if session.run is not None or session.end is not None or session.quarantine is not None:
        return False
    if session.aborting:
        return False  # ends without a run: nothing new is executed
    if session.halt is not None:
        return session.halt.drain
    if session.given_up is not None:
        return True
    if session.halted:
        return False
    if busy(session) or session.unfinished == 0:
        return True
    return not session.barred and any(p.due <= now for p in _restings(session))


def live_tasks(session: Session) -> list[str]:
    """The tasks with an attempt that is dispatched or running, in the contract's order."""
    return [i for i in in_order(session) if isinstance(session.tasks[i].phase, LIVE)]
