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
from marathond.domain.outlook import (
    busy,
    in_order,
    is_checkpointed,
    moving_tip,
    resting,
    restings,
    wall_spent_ms,
    working,
)
from marathond.domain.session import (
    TERMINAL,
    Checking,
    Failed,
    Failing,
    Pending,
    Session,
    Settled,
    Stuck,
    Task,
)

_NAMED_MAX = 20
"""Tasks that a reason names: an entry has to hold it."""

QUOTA_SLACK_US = 1_000_000
"""Vendors round reset times; a probe one second late is cheaper than one that comes too early."""


def decide(session: Session, now: int) -> list[e.Body]:
    """The entries that must follow; nothing when all of them are already there."""
    if session.end is not None:
        return _close_run(session)
    if session.aborting:
        return _abort(session)
    if session.quarantine is not None:
        return _halt(session, drain=False) if session.halt is not None else _close_run(session)
    if session.given_up is not None:
        return _give_up(session)
    if session.halt is not None:
        return _halt(session, drain=session.halt.drain)
    if session.halted:
        return _close_run(session)
    if asked := _ask_about_budget(session, now):
        return asked
    if session.run is None:
        return []
    return _skip_blocked(session) or _settle_tasks(session, now) or _fire_timers(session, now) or _finish(session)


# --- the ways a session ends or rests ---------------------------------------------------------------------


def _close_run(session: Session) -> list[e.Body]:
    if session.run is None:
        return []
    reason = session.end.state if session.end else "quarantined" if session.quarantine is not None else "halted"
    return [e.RunEnded(run=session.run.id, reason=reason)]


def _abort(session: Session) -> list[e.Body]:
    if session.live:
        return []  # the stop effects are under way; `attempt.finished` or `attempt.lost` follows
    if done := _checkpointed(session):
        return done
    if session.run is not None and session.quarantine is None and moving_tip(session) is not None:
        return []
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
    if done := _checkpointed(session):
        return done
    if moving_tip(session) is not None:
        return []  # git may have it already: what it comes to is part of the result
    reason = session.given_up or ""
    open_tasks = _unfinished(session)
    begun = [i for i in open_tasks if not isinstance(session.tasks[i].phase, Pending)]
    if failed := [e.TaskFailed(task=i, reason=reason) for i in begun]:
        return list(failed)
    if skipped := [e.TaskSkipped(task=i, because=session.blocked.get(i, "")) for i in open_tasks]:
        return list(skipped)
    return _finish(session)


def _halt(session: Session, *, drain: bool) -> list[e.Body]:
    if session.live or (drain and working(session)):
        return _settle_tasks(session, None) if drain else []
    if drain and session.unfinished == 0:
        return _finish(session)
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
    failed = [i for i in session.plan.order if isinstance(session.tasks[i].phase, Failed)]
    more = f" and {len(failed) - _NAMED_MAX} more" if len(failed) > _NAMED_MAX else ""
    return "task " + ", ".join(failed[:_NAMED_MAX]) + f"{more} failed" if failed else "a task it needs did not get done"


# --- budgets ----------------------------------------------------------------------------------------------


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
    """All at once, however long the chain: one by one, a long one would take as many rounds."""
    because = dict(sorted(session.blocked.items()))
    queue = list(because)
    for task_id in queue:  # grows while it is walked
        for dependent in session.plan.dependents[task_id]:
            if dependent not in because and isinstance(session.tasks[dependent].phase, Pending):
                because[dependent] = task_id
                queue.append(dependent)
    return [e.TaskSkipped(task=i, because=b) for i, b in because.items()]


def _checkpointed(session: Session) -> list[e.Body]:
    """The tasks whose work has moved the tip are done, whatever else happens."""
    tasks = ((i, session.tasks[i]) for i in in_order(session))
    return [e.TaskDone(task=i, text=t.attempt.text) for i, t in tasks if t.attempt and is_checkpointed(t)]


def _settle_tasks(session: Session, now: int | None) -> list[e.Body]:
    """What follows from attempts that ended. Without `now` (a drain) nothing new is set in motion."""
    out: list[e.Body] = []
    for task_id in in_order(session):
        task = session.tasks[task_id]
        match task.phase:
            case Checking() if task.attempt is not None and is_checkpointed(task):
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
    if session.barred:
        return []
    due = sorted(p.timer for p in restings(session) if p.due <= now)
    return [e.TimerFired(timer=timer) for timer in due]


def _unfinished(session: Session) -> list[str]:
    return [i for i in session.plan.order if not isinstance(session.tasks[i].phase, TERMINAL)]
