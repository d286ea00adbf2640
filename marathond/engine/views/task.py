"""`session/task`: everything about one task, gathered from its entries."""

from collections.abc import Iterable
from typing import Any

import msgspec

from marathond.domain import entries as e
from marathond.domain.instants import format_instant
from marathond.domain.session import Session
from marathond.engine.views.words import task_state


def task_view(session: Session, task_id: str, entries: Iterable[e.Entry]) -> dict[str, Any]:
    """The task as it was planned, and each of its attempts as it was recorded."""
    spec, task = session.plan.tasks[task_id], session.tasks[task_id]
    attempts: dict[int, dict[str, Any]] = {}
    for entry in entries:
        if getattr(entry.body, "task", None) == task_id:
            _take(attempts, entry, [check.title for check in spec.checks])
    return {
        "session_id": session.id,
        "id": task_id,
        "state": task_state(session, task_id),
        "needs": list(spec.needs),
        "agent": "command" if spec.run is not None else spec.agent,
        "prompt": spec.prompt,
        "run": spec.run,
        "checks": [{"title": check.title} for check in spec.checks],
        "attempts": list(attempts.values()),
        "checkpoint": task.checkpoint,
    }


def _take(attempts: dict[int, dict[str, Any]], entry: e.Entry, titles: list[str]) -> None:
    body = entry.body
    match body:
        case e.AttemptIntended():
            attempts[body.attempt] = {
                "attempt": body.attempt, "mode": body.mode, "why": body.why, "outcome": None,
                "started_at": format_instant(entry.wall), "elapsed_ms": 0, "text": "", "error": "", "thread": body.thread,
                "usage": msgspec.to_builtins(e.Usage()), "transcript": None, "candidate": None, "conflict_paths": [],
                "checks": [],
            }  # fmt: skip
        case e.AttemptFinished():
            attempts[body.attempt].update(
                outcome=body.outcome, elapsed_ms=body.elapsed_ms, text=body.text, error=body.error, thread=body.thread,
                usage=msgspec.to_builtins(body.usage), transcript=body.transcript,
            )  # fmt: skip
        case e.AttemptLost():
            attempts[body.attempt].update(outcome="lost", error=body.why)
        case e.CandidateMade():
            attempts[body.attempt].update(candidate=body.commit, checks=[])
        case e.CandidateConflicted():
            attempts[body.attempt].update(conflict_paths=body.paths)
        case e.CandidateRefused():
            attempts[body.attempt].update(error=body.reason)
        case e.CheckFinished():
            attempts[body.attempt]["checks"].append(
                {
                    "index": body.index,
                    "title": titles[body.index],
                    "ok": body.ok,
                    "detail": body.detail,
                    "output": body.output,
                }
            )
        case _:
            pass
