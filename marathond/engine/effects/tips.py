"""`MoveTip`: an accepted candidate becomes the checkpoint, by compare-and-swap."""

import anyio.to_thread

from marathond.domain import entries as e
from marathond.domain.effects import MoveTip
from marathond.domain.errors import MarathonError
from marathond.domain.session import Session
from marathond.engine import gate
from marathond.engine.effects.troubles import told
from marathond.engine.engine import Engine, Handle
from marathond.workspace import checkpoint
from marathond.workspace.git import GitError
from marathond.workspace.refs import tip_ref


async def move_tip(engine: Engine, session: Session, effect: MoveTip, _handle: Handle) -> None:
    """Stores the list of what the commit holds, moves tip and checkpoint ref together, and records it.

    A crash in between is harmless: the refs then name the commit already, and moving them again says so. A tip that somebody
    else has moved is a matter for the gate, which quarantines the session. What fails is tried again, but keeps no abort waiting.
    """
    try:
        await _move(engine, session, effect)
    except (MarathonError, GitError, OSError) as error:
        if not engine.kernel.sessions[session.id].aborting:
            raise
        why = f"it could not become the checkpoint before the session was aborted: {error}"
        reason = await told(engine, session, effect.task, why)
        await engine.append(session.id, e.CandidateRefused(task=effect.task, attempt=effect.attempt, reason=reason))


async def _move(engine: Engine, session: Session, effect: MoveTip) -> None:
    repository = await engine.rooms.repository(session)
    listed = await checkpoint.blob_list(repository, session.base, effect.commit)
    blobs = await anyio.to_thread.run_sync(engine.blobs.put, listed)
    before = None if effect.parent == session.first else effect.parent  # the ref is made by the first checkpoint
    moved = await checkpoint.advance(repository, session.id, effect.task, effect.commit, before)
    if not moved:
        verdicts = await gate.evaluate(engine, session.id)
        if not verdicts.passed:
            raise await gate.refused(engine, session.id, verdicts)
        raise RuntimeError(f"the tip of session {session.id} is not {effect.parent}, and then it is again")
    body = e.CheckpointCommitted(
        task=effect.task, attempt=effect.attempt, commit=effect.commit, parent=effect.parent,
        ref=tip_ref(session.id), revision=session.revision, blobs=blobs,
    )  # fmt: skip
    await engine.append(session.id, body)
