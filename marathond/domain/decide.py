"""`decide(session, now) -> list[Body]`: the entries that must follow from what is known.

Deciding is harmless: on its own folded output, at the same `now`, it returns nothing. What needs the outside world is not
decided here but derived from the state as an open effect (see `effects`); what needs the box's slots is decided by the
coordinator. `now` is an instant in microseconds.
"""

from typing import Literal

from marathond.domain import entries as e
from marathond.domain.instants import format_duration, format_instant
from marathond.domain.judgement import accepted, judge, paused
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
from marathond.domain.plan import agent_of
from marathond.domain.session import (
    LIVE,
    OCCUPYING,
    TERMINAL,
    Checking,
    Failed,
    Failing,
    Pending,
    Ready,
    Resting,
    Running,
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


def wall_spent_ms(session: Session, now: int) -> int:
    """Milliseconds with a running attempt so far, the current stretch included."""
    if session.live_since is None:
        return session.wall_used_ms
    until = now if _followed(session) else session.live_until
    return session.wall_used_ms + max(0, until - session.live_since) // 1000


def _followed(session: Session) -> bool:
    """Whether a running attempt is known to live: after a restart that shows only when it is adopted or found dead."""
    run = session.run
    tasks = (session.tasks[i] for i in session.frontier)
    return run is not None and any(
        isinstance(t.phase, Running) and t.attempt is not None and t.attempt.run == run.id for t in tasks
    )


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


def is_checkpointed(task: Task) -> bool:
    """Whether the candidate that was checked is the task's checkpoint."""
    attempt = task.attempt
    candidate = attempt.candidate if attempt is not None and isinstance(task.phase, Checking) else None
    return candidate is not None and task.checkpoint == candidate.commit


def moving_tip(session: Session) -> str | None:
    """The task whose accepted candidate is to move the tip now: the one that was accepted first.

    So a move that is under way, or was cut off after it had reached git, stays the one to be made.
    """
    first: tuple[int, str] | None = None
    for task_id in session.frontier:
        task = session.tasks[task_id]
        candidate = task.attempt.candidate if task.attempt is not None else None
        if candidate is None or candidate.parent != session.tip or is_checkpointed(task):
            continue
        if accepted(session.plan.tasks[task_id], task) and (first is None or candidate.judged < first[0]):
            first = (candidate.judged, task_id)
    return first[1] if first is not None else None


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
    due = sorted(p.timer for p in _restings(session) if p.due <= now)
    return [e.TimerFired(timer=timer) for timer in due]


# --- views that decide shares with effects, coordinator and status ------------------------------------------


def in_order(session: Session) -> list[str]:
    """The tasks that are neither pending nor ready nor ended, in the contract's order."""
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
    if asks_after_boot(session):
        return session.live > 0
    for task_id in session.frontier:
        task = session.tasks[task_id]
        if isinstance(task.phase, LIVE):
            return True
        if isinstance(task.phase, (Settled, Checking)) and task.attempt is not None:
            paused_now = isinstance(task.phase, Settled) and paused(task.attempt)
            if not paused_now and judge(session.plan.tasks[task_id], task) is None:
                return True
    return False


def asks_after_boot(session: Session) -> bool:
    """Whether the user is asked if the session is to go on after a boot: until then, nothing of it is executed."""
    return any(q.about == "on_boot" for q in session.questions.values())


def busy(session: Session) -> bool:
    """Whether something goes on or could go on right now: a live attempt, an open judgement, a ready task."""
    if asks_after_boot(session):
        return session.live > 0 or moving_tip(session) is not None  # what was cut off is concluded, and nothing else
    ready = not session.barred and any(agent not in session.shut for agent in session.ready)
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
    if wall is not None and session.live_since is not None and "wall" not in abouts and _followed(session):
        due.append(session.live_since + 1000 * max(0, wall - session.wall_used_ms))
    if deadline is not None and "deadline" not in abouts and session.unfinished:
        due.append(deadline)
    return min(due, default=None)


def due_at(session: Session) -> int | None:
    """When the session goes on by itself: its earliest timer."""
    return min((p.due for p in _restings(session)), default=None)


def due_with(session: Session, task_id: str) -> int | None:
    """When a ready task may start that waits with another one for its agent's limit to pass; None when nothing keeps it."""
    if not session.shut or not isinstance(session.tasks[task_id].phase, Ready):
        return None
    timer = session.shut.get(agent_of(session.plan, task_id))
    return next((p.due for p in _restings(session) if p.timer == timer), None)


def wants_run(session: Session, now: int) -> bool:
    """Whether the session should be worked on and no run is open: the engine then takes it through the gate."""
    if session.run is not None or session.end is not None or session.quarantine is not None:
        return False
    if session.aborting:
        return False  # ends without a run: nothing new is executed
    if session.given_up is not None:
        return True
    if session.halt is not None:
        return session.halt.drain
    if session.halted:
        return False
    if busy(session) or session.unfinished == 0:
        return True
    return not session.barred and any(p.due <= now for p in _restings(session))


def may_open(session: Session, now: int, reason: str) -> str | None:
    """Why a run may not be opened now for `reason` (see `run.started`); None when it may. The gate takes its time, and
    meanwhile a user may have halted or aborted the session, or opened a run.
    """
    if session.run is not None:
        return f"run {session.run.id} is under way"
    if session.aborting:
        return "it is being aborted"
    if reason == "retry":
        return None if session.end is not None and session.end.state == "failed" else "it has not failed"
    if session.end is not None:
        return f"it has ended ({session.end.state})"
    if reason in ("wake", "boot") and not wants_run(session, now):
        return "nothing is to be done now"
    return None


def live_tasks(session: Session) -> list[str]:
    """The tasks with an attempt that is dispatched or running, in the contract's order."""
    return [i for i in in_order(session) if isinstance(session.tasks[i].phase, LIVE)]
