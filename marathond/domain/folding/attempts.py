"""Folding attempts, from their intent to the checkpoint that their candidate became."""

from immutables import Map
from msgspec.structs import replace

from marathond.domain import entries as e
from marathond.domain.folding.common import Handler, current, nobody_asks, over, set_task, task_of, to_phase
from marathond.domain.judgement import going_on
from marathond.domain.limits import CONFLICTS_IN_A_ROW_MAX, LOST_IN_A_ROW_MAX
from marathond.domain.plan import agent_of
from marathond.domain.session import (
    LIVE,
    Attempt,
    Candidate,
    Checking,
    CheckResult,
    Dispatched,
    Phase,
    Ready,
    Running,
    Session,
    Settled,
    Stuck,
)


def _intended(session: Session, entry: e.Entry, body: e.AttemptIntended) -> Session:
    attempt = Attempt(
        number=body.attempt, run=body.run, mode=body.mode, agent=body.agent, start=body.start, n=entry.n,
        pool=body.pool or body.agent, thread=body.thread,
    )  # fmt: skip
    session = to_phase(session, body.task, Dispatched(), attempt=attempt, begun=body.attempt)
    return replace(session, live=session.live + 1)


def _started(session: Session, entry: e.Entry, body: e.AttemptStarted) -> Session:
    if (found := current(session, body.task, body.attempt, Dispatched)) is None:
        return session
    attempt = replace(found[1], thread=body.thread or found[1].thread)
    session = to_phase(session, body.task, Running(pid=body.pid, started=entry.wall), attempt=attempt)
    return session if session.live_since is not None else replace(session, live_since=entry.wall, live_until=entry.wall)


def _adopted(session: Session, _entry: e.Entry, body: e.AttemptAdopted) -> Session:
    if (found := current(session, body.task, body.attempt, *LIVE)) is None:
        return session
    task, attempt = found
    return set_task(session, body.task, replace(task, attempt=replace(attempt, run=body.run)))


def _finished(session: Session, entry: e.Entry, body: e.AttemptFinished) -> Session:
    if (found := current(session, body.task, body.attempt, *LIVE)) is None:
        return session
    session = nobody_asks(session, body.task)
    task, attempt = found
    thread = None if body.thread_lost else body.thread or attempt.thread
    attempt = replace(
        attempt, outcome=body.outcome, exit_code=body.exit_code, text=body.text, error=body.error, reset=body.reset,
        elapsed_ms=body.elapsed_ms, usage=body.usage, transcript=body.transcript, thread=thread,
    )  # fmt: skip
    interrupted = Ready(mode=going_on(session.plan.tasks[body.task], thread), why="interrupted")
    phase: Phase = interrupted if body.outcome == "interrupted" else Settled()
    if body.thread_lost and attempt.mode == "continue":
        phase = Ready(mode="cold", why="thread lost")  # the agent forgot the conversation: not the work's fault
    task = replace(
        task,
        phase=phase,
        attempt=attempt,
        # a conversation that is full cannot go on; a new thread takes over with a handoff
        thread=None if body.outcome == "context" else thread,
        lost_in_a_row=0,
        quota_in_a_row=task.quota_in_a_row + 1 if body.outcome == "quota" else 0,
        api_in_a_row=task.api_in_a_row + 1 if body.outcome in e.API_TROUBLE else 0,
    )
    agent = agent_of(session.plan, body.task)
    if body.outcome == "ok" and agent in session.shut:
        session = replace(session, shut=session.shut.delete(agent))  # the vendor has served it since
    return over(set_task(session, body.task, task), found[0].phase, entry.wall, body.lived_ms or body.elapsed_ms)


def _lost(session: Session, entry: e.Entry, body: e.AttemptLost) -> Session:
    if (found := current(session, body.task, body.attempt, *LIVE)) is None:
        return session
    session = nobody_asks(session, body.task)
    task, attempt = found
    lost = task.lost_in_a_row + 1
    attempt = replace(attempt, error=body.why, thread=body.thread or attempt.thread)
    mode = going_on(session.plan.tasks[body.task], attempt.thread)
    phase: Phase = Stuck(about="lost", mode=mode) if lost % LOST_IN_A_ROW_MAX == 0 else Ready(mode=mode, why="lost")
    task = replace(task, phase=phase, attempt=attempt, lost_in_a_row=lost, thread=attempt.thread or task.thread)
    return over(set_task(session, body.task, task), found[0].phase, entry.wall, body.lived_ms)


def _candidate(session: Session, entry: e.Entry, body: e.CandidateMade) -> Session:
    if (found := current(session, body.task, body.attempt, Settled, Checking)) is None:
        return session
    task, attempt = found
    candidate = Candidate(
        commit=body.commit,
        tree=body.tree,
        parent=body.parent,
        changed_files=body.changed_files,
        empty=body.empty,
        n=entry.n,
        judged=entry.n,
    )
    attempt = replace(attempt, candidate=candidate, checks=Map())
    return set_task(session, body.task, replace(task, phase=Checking(), attempt=attempt))


def _conflicted(session: Session, _entry: e.Entry, body: e.CandidateConflicted) -> Session:
    if (found := current(session, body.task, body.attempt, Settled, Checking)) is None:
        return session
    task, attempt = found
    conflicts = task.conflicts_in_a_row + 1
    stuck = conflicts % CONFLICTS_IN_A_ROW_MAX == 0
    phase: Phase = Stuck(about="conflicts", mode="fresh") if stuck else Ready(mode="fresh", why="conflict")
    attempt = replace(attempt, conflict_paths=tuple(body.paths), patch=body.patch)
    return set_task(
        session,
        body.task,
        replace(task, phase=phase, attempt=attempt, conflicts_in_a_row=conflicts, thread=None),
    )


def _refused(session: Session, _entry: e.Entry, body: e.CandidateRefused) -> Session:
    if (found := current(session, body.task, body.attempt, Settled, Checking)) is None:
        return session
    task, attempt = found
    return set_task(session, body.task, replace(task, attempt=replace(attempt, refused=body.reason)))


def _checked(session: Session, entry: e.Entry, body: e.CheckFinished) -> Session:
    if (found := current(session, body.task, body.attempt, Settled, Checking)) is None:
        return session
    task, attempt = found
    if attempt.candidate is None or attempt.candidate.commit != body.commit:
        return session  # the tip moved meanwhile: this verdict is about a tree that is no longer the candidate
    result = CheckResult(ok=body.ok, detail=body.detail, output=body.output)
    candidate = replace(attempt.candidate, judged=entry.n)
    attempt = replace(attempt, candidate=candidate, checks=attempt.checks.set(body.index, result))
    return set_task(session, body.task, replace(task, attempt=attempt))


def _checkpoint(session: Session, _entry: e.Entry, body: e.CheckpointCommitted) -> Session:
    task = task_of(session, body.task)
    session = set_task(session, body.task, replace(task, checkpoint=body.commit))
    return replace(session, tip=body.commit)


def _run_stepped(session: Session, entry: e.Entry, body: e.RunStepped) -> Session:
    """What lives began so much later, as the wall clock counts now; never after this moment."""
    if (since := session.live_since) is None:
        return session

    def moved(instant: int) -> int:
        return min(instant + 1000 * body.by_ms, entry.wall)

    for task_id in session.frontier:
        task = session.tasks[task_id]
        if isinstance(task.phase, Running):
            session = set_task(
                session, task_id, replace(task, phase=replace(task.phase, started=moved(task.phase.started)))
            )
    return replace(session, live_since=moved(since), live_until=moved(session.live_until))


HANDLERS: dict[type[e.Body], Handler] = {
    e.RunStepped: _run_stepped,
    e.AttemptIntended: _intended,
    e.AttemptStarted: _started,
    e.AttemptAdopted: _adopted,
    e.AttemptFinished: _finished,
    e.AttemptLost: _lost,
    e.AttemptNoted: lambda session, _entry, _body: session,
    e.CandidateMade: _candidate,
    e.CandidateConflicted: _conflicted,
    e.CandidateRefused: _refused,
    e.CheckFinished: _checked,
    e.CheckpointCommitted: _checkpoint,
}
