"""The resume gate: six questions that are answered from what is on disk, before anything is executed.

Asked in this order: (6) nobody works on the session; (1) contract and ledger can be read; (2) the chain is gap-free and
intact and the head is where it was anchored; (3) every contract revision hashes to what was frozen; (4) the last run ended
resumably or was cut off; (5) the checkpoint's refs, commit, trees and blobs are what was recorded. Points 2, 3 and 5
quarantine the session. What cannot be asked because an earlier answer was no is "not evaluated".
"""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Literal, NamedTuple

import anyio.to_thread
from immutables import Map
from msgspec.structs import replace

from marathond.domain import entries as e
from marathond.domain.effects import MoveTip, open_effects
from marathond.domain.entries import Verdict
from marathond.domain.errors import GATE_REFUSED, LOCK_HELD, PARTIAL_ARTIFACTS, MarathonError
from marathond.domain.instants import format_instant
from marathond.domain.outlook import due_at, may_open
from marathond.domain.session import Run, Session
from marathond.engine.engine import Engine
from marathond.engine.history import session_entries
from marathond.engine.kernel import Broken
from marathond.engine.sessions import load
from marathond.engine.views.words import refusal, session_state
from marathond.store.artifacts import SessionArtifacts, inspect_session
from marathond.store.writer import Change
from marathond.workspace.proof import verify_checkpoint
from marathond.workspace.refs import checkpoint_ref, session_refs, tip_ref

_TITLES = {
    1: "contract and ledger are there",
    2: "the ledger's chain is intact",
    3: "the contract is the frozen one",
    4: "the last run ended resumably",
    5: "the checkpoint is the recorded one",
    6: "nobody else works on the session",
}
_NAMED_MAX = 10
WON = "another client has just won it"
QUARANTINING = frozenset({2, 3, 5})
RunReason = Literal["start", "resume", "retry", "answer", "amend", "wake", "boot"]


class Verdicts(NamedTuple):
    """All six points, in the order of their numbers."""

    points: tuple[Verdict, ...]

    @property
    def failed(self) -> list[int]:
        """The numbers of the points that failed."""
        return [p.point for p in self.points if p.verdict == "fail"]

    @property
    def passed(self) -> bool:
        """Whether the gate is open."""
        return not self.failed

    def plain(self) -> list[dict[str, Any]]:
        """For results and error data."""
        return [{"point": p.point, "verdict": p.verdict, "detail": p.detail} for p in self.points]


def _verdicts(asked: dict[int, str | None]) -> Verdicts:
    """`asked` maps a point to what is wrong (None: nothing); the rest was not evaluated."""
    out = []
    for point in range(1, 7):
        if point not in asked:
            out.append(Verdict(point=point, verdict="not_evaluated", detail="not evaluated"))
        elif (wrong := asked[point]) is not None:
            out.append(Verdict(point=point, verdict="fail", detail=wrong))
        else:
            out.append(Verdict(point=point, verdict="pass", detail=_TITLES[point]))
    return Verdicts(tuple(out))


def at_start(created: e.SessionCreated) -> list[Verdict]:
    """The verdicts of a session that comes into being in this very commit: there is nothing that could be wrong yet."""
    verdicts = _verdicts(dict.fromkeys(range(1, 7)))
    points = list(verdicts.points)
    points[4] = Verdict(point=5, verdict="pass", detail=f"the base commit is {created.base[:12]}")
    return points


# --- asking -----------------------------------------------------------------------------------------------


async def evaluate(engine: Engine, session_id: str, *, reopening: bool = False) -> Verdicts:
    """Asks points 1 to 5 of what is on disk; point 6 is the caller's. Changes nothing."""
    artifacts = await anyio.to_thread.run_sync(inspect_session, engine.places, session_id)
    asked = _stored(engine, artifacts)
    if any(asked.values()):
        return _verdicts({6: None, **asked})
    session = engine.kernel.sessions.get(session_id) or await load(engine, session_id)
    if isinstance(session, Broken):
        return _verdicts({6: None, 1: None, 2: session.what, 3: None})
    asked[4] = None if reopening else _resumable(session)
    if asked[4] is None:
        problems = await checkpoint_problems(engine, session)
        more = [f"and {len(problems) - _NAMED_MAX} more"] if len(problems) > _NAMED_MAX else []
        asked[5] = "; ".join([*problems[:_NAMED_MAX], *more]) or None
    return _verdicts({6: None, **asked})


def _stored(engine: Engine, artifacts: SessionArtifacts) -> dict[int, str | None]:
    """Points 1, 2 and 3."""
    if artifacts.absent:
        return {1: "; ".join(artifacts.absent)}
    chain = [problem.what for problem in artifacts.chain]
    if engine.writer.read_only and not chain:
        chain = [engine.writer.read_only]
    return {1: None, 2: "; ".join(chain[:3]) or None, 3: "; ".join(artifacts.contracts_changed) or None}


def _resumable(session: Session) -> str | None:
    if session.end is not None:
        return f"the session has ended ({session.end.state})"
    return None


async def checkpoint_problems(engine: Engine, session: Session) -> list[str]:
    """Point 5: what is wrong with the refs and objects of a session's checkpoints; before the first one, of its base commit."""
    try:
        repository = await engine.rooms.repository(session)
    except MarathonError as error:
        return [error.message]
    if session.tip == session.first:
        return await verify_checkpoint(repository, None, session.tip)
    digest = await blob_list_digest(engine, session, session.tip)
    try:
        listed = await anyio.to_thread.run_sync(engine.blobs.get, digest) if digest else None
    except MarathonError as error:
        return [error.message]
    held = await repository.refs(f"{session_refs(session.id)}/")
    pending = _pending_tip(session)
    ahead = pending is not None and held.get(tip_ref(session.id)) == pending
    problems = await verify_checkpoint(repository, None if ahead else tip_ref(session.id), session.tip, listed)
    for task_id, task in session.tasks.items():
        ref = checkpoint_ref(session.id, task_id)
        if task.checkpoint not in (None, session.first) and held.get(ref) not in (
            task.checkpoint,
            pending,
        ):
            problems.append(f"{ref} should name {task.checkpoint} and names {held.get(ref, 'nothing')}")
    return problems


def _pending_tip(session: Session) -> str | None:
    """The commit that a cut-off move of the tip may have reached already, ahead of its record."""
    opened = open_effects(_as_if_running(session), 0)
    return next((effect.commit for effect in opened if isinstance(effect, MoveTip)), None)


def _as_if_running(session: Session) -> Session:
    run = Run(id="", reason="", boot_id="")
    return replace(session, run=run, quarantine=None, halt=None, aborting=False, given_up=None, questions=Map())


async def blob_list_digest(engine: Engine, session: Session, commit: str) -> str | None:
    """The digest of the list of file hashes that was stored with a checkpoint."""
    async for entry in session_entries(engine, session.id):
        if isinstance(entry.body, e.CheckpointCommitted) and entry.body.commit == commit:
            return entry.body.blobs
    return None


# --- going through ----------------------------------------------------------------------------------------


async def through(
    engine: Engine,
    session_id: str,
    reason: RunReason,
    before: Sequence[e.Body] = (),
    prepare: Callable[[Session], Awaitable[None]] | None = None,
) -> dict[str, Any]:
    """Takes a session through the gate into a new run, at a user's request; `before` are the facts that come first.

    `prepare` is awaited between the open gate and the run, so that a refusal changes nothing.
    Raises LOCK_HELD (point 6; nothing is recorded), PARTIAL_ARTIFACTS (point 1) or GATE_REFUSED, with all six verdicts.
    """
    _refuse_given_up(engine, session_id)
    _refuse_second(engine, session_id)
    engine.at_gate.add(session_id)
    try:
        verdicts = await evaluate(engine, session_id, reopening=reason == "retry")
        if not verdicts.passed:
            raise await refused(engine, session_id, verdicts)
        if prepare is not None:
            await prepare(engine.kernel.sessions[session_id])
        await open_run(engine, session_id, verdicts, reason, before)
    finally:
        engine.leave_gate(session_id)
    session = engine.kernel.sessions[session_id]
    return outcome(session, verdicts, f"{session_id}.{session.runs}")


def outcome(session: Session, verdicts: Verdicts, run: str) -> dict[str, Any]:
    """The result of `session/resume` and `session/retry`."""
    due = due_at(session) if session.end is None else None
    return {
        "session_id": session.id,
        "run_id": run,
        "gate": verdicts.plain(),
        "state": session_state(session),
        "due_at": format_instant(due) if due is not None else None,
    }


def _refuse_given_up(engine: Engine, session_id: str) -> None:
    """A fault that was contained in the session would be met again; nothing is recorded."""
    if (broken := engine.kernel.given_up.get(session_id)) is not None:
        data = {"session_id": session_id, "run_id": None, "gate": _verdicts({}).plain()}
        hint = "`marathonctl daemon stop` and the next command start the daemon anew."
        raise MarathonError(GATE_REFUSED, session=session_id, reason=broken.what, hint=hint, data=data)


def _refuse_second(engine: Engine, session_id: str) -> None:
    session = engine.kernel.sessions.get(session_id)
    cut_off = engine.writer.read_only is not None or session_id in engine.kernel.unsound  # its end cannot be recorded
    if session is not None and session.run is not None and not cut_off:
        raise held(session_id, f"run {session.run.id} is under way")
    if session_id in engine.at_gate:
        raise held(session_id, WON)


def held(session_id: str, reason: str) -> MarathonError:
    """The refusal of point 6."""
    data = {"session_id": session_id, "run_id": None, "gate": _verdicts({6: reason}).plain()}
    return MarathonError(LOCK_HELD, session=session_id, reason=reason, data=data)


async def open_run(
    engine: Engine, session_id: str, verdicts: Verdicts, reason: RunReason, before: Sequence[e.Body] = ()
) -> None:
    """Records the open gate and the new run, if it is still wanted: judging took its time. Raises LOCK_HELD otherwise."""

    def bodies(session: Session) -> list[e.Body]:
        if (why := may_open(session, engine.clock.wall(), reason)) is not None:
            raise held(session_id, why)
        run = f"{session_id}.{session.runs + 1}"
        passed = e.GatePassed(run=run, points=list(verdicts.points))
        return [*before, passed, e.RunStarted(run=run, reason=reason, boot_id=engine.boot_id)]

    await engine.propose(session_id, bodies)


async def refused(engine: Engine, session_id: str, verdicts: Verdicts) -> MarathonError:
    """Records a refusal where the chain allows it and returns the error that tells the user."""
    failed = verdicts.failed
    quarantine = bool(QUARANTINING & set(failed))
    data = {"session_id": session_id, "run_id": None, "gate": verdicts.plain()}
    reason = refusal(verdicts.points)
    if 1 in failed:
        return MarathonError(PARTIAL_ARTIFACTS, session=session_id, reason=reason, data=data)
    if quarantine and not engine.writer.read_only:
        await _record(engine, session_id, verdicts, sound=2 not in failed)
    return MarathonError(GATE_REFUSED, session=session_id, reason=reason, hint=_remedy(session_id, failed), data=data)


def _remedy(session_id: str, failed: list[int]) -> str:
    """What to do about a refusal: an ended session needs another verb, a damaged one a person's look."""
    if failed == [4]:
        return (
            f"`marathonctl retry {session_id}` reopens a failed session; `marathonctl start FILE --from {session_id}` carries on"
            " from its last checkpoint."
        )
    return (
        "A person must look: `marathonctl verify` names the first bad entry; `marathonctl start FILE --from"
        f" {session_id}` goes on from its last checkpoint that verifies."
    )


async def _record(engine: Engine, session_id: str, verdicts: Verdicts, *, sound: bool) -> None:
    """In the session's stream if its chain is sound, else in `system`."""
    points = list(verdicts.points)
    if sound:
        await engine.append(session_id, e.GateRefused(points=points, quarantine=True))
        return
    body = e.SessionQuarantined(session=session_id, points=points)
    await engine.writer.submit(lambda: Change(drafts=[e.Draft(e.SYSTEM, body)]))
