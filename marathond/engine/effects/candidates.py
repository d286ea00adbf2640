"""`MakeCandidate`: what an attempt left becomes a commit on the session's tip, or is found to conflict with it."""

from collections.abc import Sequence

import anyio.to_thread

from marathond.domain import entries as e
from marathond.domain.effects import MakeCandidate
from marathond.domain.session import Attempt, Session
from marathond.engine.effects.troubles import may_pass, plain, told
from marathond.engine.engine import Engine, Handle
from marathond.engine.environment import forbidding, secrets_of
from marathond.engine.prepare import asked
from marathond.workspace.call import ended_by
from marathond.workspace.candidate import Candidate, Refused, Withheld, make_candidate
from marathond.workspace.integrate import Conflict, integrate
from marathond.workspace.isolation import WorkspaceMissing
from marathond.workspace.message import checkpoint_message
from marathond.workspace.refs import agent_ref, candidate_ref

_PATHS_MAX = 200
_PATHS_CHARS_MAX = 32_000


async def candidate(engine: Engine, session: Session, effect: MakeCandidate, handle: Handle) -> None:
    """See the module. Where there is a candidate already, the tip has moved since: it is replayed onto the new one.

    What cannot be done, such as to commit a file that a filter refuses, is tried again a few times and then fails the attempt.
    """
    try:
        with ended_by(handle.stop):
            bodies = await _outcome(engine, session, effect)
    except Exception as error:
        if handle.stop.is_set():
            raise  # nobody wants it any more, and that is why it failed
        # a workspace that is gone never comes back
        if not isinstance(error, WorkspaceMissing) and may_pass(error, handle.tries):
            raise
        why = f"its work cannot be committed: {str(error) or type(error).__name__}"
        bodies = [await _refused(engine, session, effect, Refused(why, ()))]
    await engine.append(session.id, *bodies)


async def _outcome(engine: Engine, session: Session, effect: MakeCandidate) -> list[e.Body]:
    attempt = session.tasks[effect.task].attempt
    assert attempt is not None
    made = _recorded(attempt) or await _make(engine, session, effect, attempt)
    notes = [await _noted(engine, session, effect, made.withheld)] if made.withheld else []
    if isinstance(made, Refused):
        return [*notes, await _refused(engine, session, effect, made)]
    repository = await engine.rooms.repository(session)
    ref = candidate_ref(session.id, effect.task, effect.attempt)
    message = _message(session, effect.task)
    fitted = await integrate(repository, made, effect.onto, message, engine.clock.wall(), ref=ref)
    if isinstance(fitted, Conflict):
        patch = await anyio.to_thread.run_sync(engine.blobs.put, fitted.patch.encode())
        conflicted = e.CandidateConflicted(
            task=effect.task,
            attempt=effect.attempt,
            onto=effect.onto,
            paths=_listed(fitted.paths),
            patch=patch,
        )
        return [*notes, conflicted]
    body = e.CandidateMade(
        task=effect.task, attempt=effect.attempt, commit=fitted.commit, tree=fitted.tree, parent=fitted.parent,
        changed_files=made.changed_files or (attempt.candidate.changed_files if attempt.candidate else 0),
        empty=fitted.empty,
    )  # fmt: skip
    return [*notes, body]


async def _refused(engine: Engine, session: Session, effect: MakeCandidate, made: Refused) -> e.CandidateRefused:
    listed = f" (in {', '.join(made.paths[:5])})" if made.paths else ""
    reason = await told(engine, session, effect.task, f"{made.reason}{listed}")
    return e.CandidateRefused(task=effect.task, attempt=effect.attempt, reason=reason)


async def _noted(engine: Engine, session: Session, effect: MakeCandidate, withheld: Withheld) -> e.AttemptNoted:
    text = "its own commits are not kept, since they contain a secret that was handed out"
    if withheld.branch:
        text += f"; {withheld.branch} still holds them"
    clean = await told(engine, session, effect.task, text)
    return e.AttemptNoted(task=effect.task, attempt=effect.attempt, what="withheld", text=clean)


def _listed(paths: Sequence[str]) -> list[str]:
    """As many of the paths as an entry has room for."""
    listed: list[str] = []
    left = _PATHS_CHARS_MAX
    for path in map(plain, paths[:_PATHS_MAX]):
        left -= len(path)
        if left < 0:
            break
        listed.append(path)
    return listed


def _recorded(attempt: Attempt) -> Candidate | None:
    """The candidate that was made before the tip moved."""
    if attempt.candidate is None:
        return None
    made = attempt.candidate
    return Candidate(made.commit, made.tree, made.parent, (), None)


async def _make(engine: Engine, session: Session, effect: MakeCandidate, attempt: Attempt) -> Candidate | Refused:
    workspace = await engine.rooms.workspace(session, effect.task)
    secrets = await secrets_of(engine, session, session.plan.tasks[effect.task])
    return await make_candidate(
        workspace,
        attempt.start,
        _message(session, effect.task),
        ref=candidate_ref(session.id, effect.task, effect.attempt),
        agent_ref=agent_ref(session.id, effect.task, effect.attempt),
        at=engine.clock.wall(),
        forbidden=forbidding(secrets),
    )


def _message(session: Session, task_id: str) -> str:
    """The subject names the task and the first line of what was asked; the ledger's head travels as a trailer."""
    spec = session.plan.tasks[task_id]
    text = asked(session, spec).strip()
    if text.startswith("[["):  # a list of actions is no sentence
        text = (session.plan.contract.goal or session.name).strip()
    return checkpoint_message(
        task=task_id, summary=text.partition("\n")[0], session=session.id,
        contract_hash=session.plan.frozen.hash, head_seq=session.head.seq, head_hash=session.head.hash,
    )  # fmt: skip
