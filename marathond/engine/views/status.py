"""`session/status`, `session/list` and `session/task`."""

from collections.abc import Mapping
from typing import Any

from marathond.domain import session as s
from marathond.domain.coordinator import Capacity
from marathond.domain.instants import format_instant
from marathond.domain.outlook import due_at, due_with, wall_spent_ms
from marathond.domain.system import Box
from marathond.engine.views.why import reasons
from marathond.engine.views.words import session_state, task_reason, task_state


def _instant(us: int | None) -> str | None:
    return None if us is None else format_instant(us)


def status(
    session: s.Session,
    box: Box,
    capacity: Capacity,
    leased: Mapping[str, str],
    last_words: Mapping[str, str],
    now: int,
) -> dict[str, Any]:
    """Where a session stands. `leased` are the sessions at work in checkouts, `last_words` the newest of live agents, by task."""
    contract = session.plan.contract
    listed = reasons(session, box, capacity, leased)
    return {
        "session_id": session.id,
        "name": session.name,
        "goal": contract.goal,
        "state": session_state(session),
        "reasons": [{k: v for k, v in r.items() if k != "command"} for r in listed],
        "due_at": _instant(due_at(session)) if session.end is None else None,
        "contract_hash": session.plan.frozen.hash,
        "revision": session.revision,
        "run_id": session.run.id if session.run else None,
        "repo": session.repo,
        "created_at": format_instant(session.created),
        "ended_at": _instant(session.end.at) if session.end else None,
        "wall_used_ms": wall_spent_ms(session, now),
        "live_since": _instant(session.live_since),
        "tasks": [_task(session, task_id, last_words.get(task_id, "")) for task_id in session.plan.order],
        "head": {"n": session.head.n, "hash": session.head.hash, "seq": session.head.seq, "link": session.head.link},
        "branch": session.end.branch if session.end else None,
    }


def _task(session: s.Session, task_id: str, words: str) -> dict[str, Any]:
    task, spec = session.tasks[task_id], session.plan.tasks[task_id]
    phase = task.phase
    return {
        "id": task_id,
        "state": task_state(session, task_id),
        "attempts": task.begun,
        "attempts_max": spec.attempts,
        "agent": "command" if spec.run is not None else spec.agent,
        "reason": task_reason(session, task_id),
        "checkpoint": task.checkpoint,
        "due_at": _instant(phase.due if isinstance(phase, s.Resting) else due_with(session, task_id)),
        "started_at": _instant(phase.started) if isinstance(phase, s.Running) else None,
        "last_words": words,
        "needs": list(spec.needs),
    }


def summary(session: s.Session) -> dict[str, Any]:
    """One row of the list."""
    return {
        "session_id": session.id,
        "name": session.name,
        "state": session_state(session),
        "repo": session.repo,
        "created_at": format_instant(session.created),
        "due_at": _instant(due_at(session)) if session.end is None else None,
        "tasks_done": sum(isinstance(t.phase, s.Done) for t in session.tasks.values()),
        "tasks_total": len(session.tasks),
        "branch": session.end.branch if session.end else None,
    }


def broken_status(session_id: str, what: str) -> dict[str, Any]:
    """What can still be said of a session whose entries or contract cannot be read."""
    reason = {"kind": "gate", "task": None, "text": what, "due_at": None}
    return {
        "session_id": session_id, "name": "", "goal": "", "state": "quarantined", "reasons": [reason], "due_at": None,
        "contract_hash": None, "revision": None, "run_id": None, "repo": None, "created_at": None, "ended_at": None,
        "wall_used_ms": 0, "live_since": None, "tasks": [], "head": None, "branch": None,
    }  # fmt: skip
