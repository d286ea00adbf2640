"""What the attempt before left, gathered for a handoff."""

import anyio.to_thread
from immutables import Map
from msgspec.structs import replace

from marathond.domain import entries as e
from marathond.domain.session import Attempt, Candidate, CheckResult, Session
from marathond.engine.engine import Engine
from marathond.engine.handoff import Past
from marathond.engine.history import session_entries


async def past_of(engine: Engine, session: Session, task_id: str, attempt: Attempt) -> Past | None:
    """The facts of the attempt before `attempt`, from the ledger, with its blobs; None for a first attempt."""
    if attempt.number == 1:
        return None
    found: Attempt | None = None
    why = "first"
    async for entry in session_entries(engine, session.id):
        body = entry.body
        if getattr(body, "task", None) != task_id:
            continue
        if isinstance(body, e.AttemptIntended):
            if body.attempt == attempt.number:
                why = body.why
                break
            found = Attempt(
                number=body.attempt, run=body.run, mode=body.mode, agent=body.agent, start=body.start, n=entry.n
            )
        elif found is not None:
            found = _with(found, body, entry.n)
    if found is None:
        return None
    outputs = {i: await _text(engine, r.output) for i, r in found.checks.items() if not r.ok and r.output}
    patch = await _text(engine, found.patch) if found.patch else ""
    return Past(found, outputs, patch, why)


def _with(attempt: Attempt, body: e.Body, n: int) -> Attempt:
    match body:
        case e.AttemptFinished():
            return replace(attempt, outcome=body.outcome, text=body.text, error=body.error, exit_code=body.exit_code)
        case e.AttemptLost():
            return replace(attempt, error=body.why)
        case e.CandidateMade():
            candidate = Candidate(
                commit=body.commit,
                tree=body.tree,
                parent=body.parent,
                changed_files=body.changed_files,
                empty=body.empty,
                n=n,
                judged=n,
            )
            return replace(attempt, checks=Map(), candidate=candidate)
        case e.CandidateConflicted():
            return replace(attempt, conflict_paths=tuple(body.paths), patch=body.patch)
        case e.CandidateRefused():
            return replace(attempt, refused=body.reason)
        case e.CheckFinished():
            result = CheckResult(ok=body.ok, detail=body.detail, output=body.output)
            return replace(attempt, checks=attempt.checks.set(body.index, result))
        case _:
            return attempt


async def _text(engine: Engine, blob: str) -> str:
    content = await anyio.to_thread.run_sync(engine.blobs.get, blob)
    return content.decode("utf-8", "replace")
