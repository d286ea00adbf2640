"""What a state means for what comes next: what goes on, what waits and until when, and whether a run is wanted.

`decide`, `effects`, the coordinator and the views of a session share these; they decide nothing. `now` and all instants are
microseconds since the epoch.
"""

from marathond.domain.judgement import accepted, judge, paused
from marathond.domain.plan import agent_of
from marathond.domain.session import (
    LIVE,
    OCCUPYING,
    Checking,
    Failing,
    Ready,
    Resting,
    Running,
    Session,
    Settled,
    Stuck,
    Task,
)


def in_order(session: Session) -> list[str]:
    """The tasks that are neither pending nor ready nor ended, in the contract's order."""
    return sorted(session.frontier, key=session.plan.order.__getitem__)


def restings(session: Session) -> list[Resting]:
    """The timers that tasks rest on."""
    phases = (session.tasks[i].phase for i in session.frontier)
    return [p for p in phases if isinstance(p, Resting)]


def resting(session: Session) -> bool:
    """Whether a timer will wake the session."""
    return bool(restings(session))


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


def next_due(session: Session) -> int | None:
    """The next instant at which time alone changes something; None when only events do."""
    if session.end is not None or session.quarantine is not None or session.halted or session.aborting:
        return None
    due = [p.due for p in restings(session)] if not session.barred else []
    abouts = {q.about for q in session.questions.values()}
    wall, deadline = session.limits_wall_ms, session.deadline
    if wall is not None and session.live_since is not None and "wall" not in abouts and _followed(session):
        due.append(session.live_since + 1000 * max(0, wall - session.wall_used_ms))
    if deadline is not None and "deadline" not in abouts and session.unfinished:
        due.append(deadline)
    return min(due, default=None)


def due_at(session: Session) -> int | None:
    """When the session goes on by itself: its earliest timer."""
    return min((p.due for p in restings(session)), default=None)


def due_with(session: Session, task_id: str) -> int | None:
    """When a ready task may start that waits with another one for its agent's limit to pass; None when nothing keeps it."""
    if not session.shut or not isinstance(session.tasks[task_id].phase, Ready):
        return None
    timer = session.shut.get(agent_of(session.plan, task_id))
    return next((p.due for p in restings(session) if p.timer == timer), None)


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
    return not session.barred and any(p.due <= now for p in restings(session))


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
