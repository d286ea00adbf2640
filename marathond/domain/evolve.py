"""`evolve(session, entry) -> session`: applies one fact. It decides nothing; see `decide`.

An ended session absorbs: late results are in the ledger and change nothing here. Only `session.reopened` opens it again.
"""

from bisect import bisect_left
from collections.abc import Callable, Mapping
from typing import Any

from immutables import Map
from msgspec.structs import replace

from marathond.domain import entries as e
from marathond.domain.contract import Frozen
from marathond.domain.contract import Task as Spec
from marathond.domain.judgement import going_on, judge
from marathond.domain.limits import CONFLICTS_IN_A_ROW_MAX, LOST_IN_A_ROW_MAX
from marathond.domain.plan import Plan, agent_of, plan_of
from marathond.domain.session import (
    LIVE,
    TERMINAL,
    Attempt,
    Cancelled,
    Candidate,
    Checking,
    CheckResult,
    Delivery,
    Dispatched,
    Done,
    End,
    Failed,
    Failing,
    Halt,
    Head,
    Held,
    Pending,
    Phase,
    Question,
    Ready,
    Resting,
    Run,
    Running,
    Session,
    Settled,
    Skipped,
    Stuck,
    Task,
)

Contracts = Mapping[str, Frozen]
"""Frozen contracts by hash: what `session.created` and `contract.amended` refer to."""


class FoldError(Exception):
    """The entry cannot follow the ones before it: the stream is not one that Marathon wrote."""


def evolve(session: Session | None, entry: e.Entry, contracts: Contracts) -> Session:
    """The session after `entry`. Raises FoldError for an entry that makes no sense where it stands."""
    body = entry.body
    if isinstance(body, e.SessionCreated):
        return _created(session, entry, body, contracts)
    if session is None:
        raise FoldError(f"{entry.kind} comes before session.created")
    head = Head(n=entry.n, hash=entry.hash, seq=entry.seq, link=entry.link)
    session = replace(session, head=head)
    if isinstance(body, e.ContractAmended):
        return replace(session, plan=plan_of(_contract(contracts, body.hash)), revision=body.k)
    if session.end is not None and not isinstance(body, (e.SessionReopened, *_LATE)):
        return session
    handler = _HANDLERS.get(type(body))
    if handler is None:
        raise FoldError(f"{entry.kind} does not belong into a session's stream")
    folded: Session = handler(session, entry, body)
    return folded


def _contract(contracts: Contracts, hash_: str) -> Frozen:
    try:
        return contracts[hash_]
    except KeyError:
        raise FoldError(f"the contract {hash_} is missing") from None


# --- tasks: small steps that keep the session's indexes true ----------------------------------------------


def _set(session: Session, task_id: str, task: Task) -> Session:
    """Puts a task in place and keeps indexes and counters in step with its phase."""
    before, phase = session.tasks[task_id].phase, task.phase
    frontier, unfinished, flawed = session.frontier, session.unfinished, session.flawed
    in_frontier = not isinstance(phase, (Pending, Ready, *TERMINAL))
    ready = session.ready
    if isinstance(before, Ready) != isinstance(phase, Ready):
        ready = _ready(session, task_id, isinstance(phase, Ready))
    if in_frontier and task_id not in frontier:
        frontier = frontier.set(task_id, None)
    elif not in_frontier and task_id in frontier:
        frontier = frontier.delete(task_id)
    unfinished += isinstance(before, TERMINAL) - isinstance(phase, TERMINAL)
    flawed += isinstance(phase, (Failed, Skipped, Cancelled)) - isinstance(before, (Failed, Skipped, Cancelled))
    return replace(
        session,
        tasks=session.tasks.set(task_id, task),
        frontier=frontier,
        ready=ready,
        unfinished=unfinished,
        flawed=flawed,
    )


def _ready(session: Session, task_id: str, is_ready: bool) -> Map[str, tuple[int, ...]]:
    """The index of ready tasks with a task put in or taken out."""
    agent, place = agent_of(session.plan, task_id), session.plan.order[task_id]
    places = session.ready.get(agent, ())
    at = bisect_left(places, place)
    places = (*places[:at], place, *places[at:]) if is_ready else places[:at] + places[at + 1 :]
    return session.ready.set(agent, places) if places else session.ready.delete(agent)


def _phase(session: Session, task_id: str, phase: Phase, **changes: Any) -> Session:
    return _set(session, task_id, replace(_task(session, task_id), phase=phase, **changes))


def _task(session: Session, task_id: str) -> Task:
    try:
        return session.tasks[task_id]
    except KeyError:
        raise FoldError(f"there is no task {task_id!r}") from None


def _current(session: Session, task_id: str, number: int, *phases: type[Phase]) -> tuple[Task, Attempt] | None:
    """The task and its attempt when `number` is the current one and the task is in one of `phases`; None for a late result."""
    task = _task(session, task_id)
    if task.attempt is None or task.attempt.number != number or not isinstance(task.phase, phases):
        return None
    return task, task.attempt


def _nobody_asks(session: Session, task_id: str) -> Session:
    """An agent whose attempt is over waits for no answer any more."""
    asked = [q.id for q in session.questions.values() if q.about == "agent" and q.task == task_id]
    questions = session.questions
    for question in asked:
        questions = questions.delete(question)
    return replace(session, questions=questions) if asked else session


def _over(session: Session, before: Phase, at: int, lived_ms: int) -> Session:
    """One live attempt less; the time in which there was at least one running is the `wall` that was used.

    An attempt's end is told by its own clock: the wall clock ran on while the machine slept or nobody looked.
    """
    session = replace(session, live=session.live - 1)
    if not isinstance(before, Running) or session.live_since is None:
        return session
    until = max(session.live_until, min(at, before.started + 1000 * lived_ms))
    if any(isinstance(session.tasks[i].phase, Running) for i in session.frontier):
        return replace(session, live_until=until)
    used = max(0, until - session.live_since) // 1000
    return replace(session, live_since=None, wall_used_ms=session.wall_used_ms + used)


# --- creation, reopening, end -----------------------------------------------------------------------------


def _created(session: Session | None, entry: e.Entry, body: e.SessionCreated, contracts: Contracts) -> Session:
    if session is not None:
        raise FoldError("session.created comes twice")
    plan = plan_of(_contract(contracts, body.contract))
    carried = frozenset(body.carried_tasks)
    tasks: dict[str, Task] = {}
    for task in plan.contract.tasks:
        missing = sum(need not in carried for need in task.needs)
        phase: Phase = Done() if task.id in carried else Pending() if missing else Ready()
        tasks[task.id] = Task(phase=phase, missing=missing, checkpoint=body.tip if task.id in carried else None)
    return Session(
        id=body.session,
        name=body.name,
        plan=plan,
        revision=1,
        repo=body.repo,
        base=body.base,
        first=body.tip,
        tip=body.tip,
        unsandboxed=body.unsandboxed,
        created=entry.wall,
        key=body.key,
        head=Head(n=entry.n, hash=entry.hash, seq=entry.seq, link=entry.link),
        tasks=Map(tasks),
        ready=_all_ready(plan, tasks),
        unfinished=sum(not isinstance(t.phase, Done) for t in tasks.values()),
    )


def _all_ready(plan: Plan, tasks: Mapping[str, Task]) -> Map[str, tuple[int, ...]]:
    places: dict[str, list[int]] = {}
    for task_id, place in plan.order.items():
        if isinstance(tasks[task_id].phase, Ready):
            places.setdefault(agent_of(plan, task_id), []).append(place)
    return Map({agent: tuple(found) for agent, found in places.items()})


def _reopened(session: Session, _entry: e.Entry, _body: e.SessionReopened) -> Session:
    return replace(session, end=None, delivery=None, given_up=None, halt=None, halted=False, questions=Map())


def _end(state: str) -> Callable[[Session, e.Entry, Any], Session]:
    def fold(session: Session, entry: e.Entry, body: Any) -> Session:
        end = End(state=state, at=entry.wall, reason=getattr(body, "reason", ""), branch=body.branch)  # type: ignore[arg-type]
        return replace(session, end=end, halt=None, halted=False, aborting=False, questions=Map(), shut=Map())

    return fold


# --- runs, gate, requests ---------------------------------------------------------------------------------


def _run_started(session: Session, _entry: e.Entry, body: e.RunStarted) -> Session:
    run = Run(id=body.run, reason=body.reason, boot_id=body.boot_id)
    return replace(session, run=run, runs=session.runs + 1, boot_id=body.boot_id)


def _run_ended(session: Session, _entry: e.Entry, body: e.RunEnded) -> Session:
    return replace(session, run=None) if session.run is not None and session.run.id == body.run else session


def _gate_passed(session: Session, entry: e.Entry, _body: e.GatePassed) -> Session:
    return replace(session, quarantine=None, passed=entry.seq)


def _gate_refused(session: Session, _entry: e.Entry, body: e.GateRefused) -> Session:
    return replace(session, quarantine=tuple(body.points)) if body.quarantine else session


def _request_halt(session: Session, _entry: e.Entry, body: e.RequestHalt) -> Session:
    # a second, impatient halt overrules a drain
    return replace(session, halt=Halt(drain=body.drain))


def _halted(session: Session, _entry: e.Entry, _body: e.SessionHalted) -> Session:
    return replace(session, halt=None, halted=True)


def _resumed(session: Session, _entry: e.Entry, body: e.SessionResumed) -> Session:
    session = replace(session, halt=None, halted=False, shut=Map() if body.now else session.shut)
    for task_id in list(session.frontier):
        phase = session.tasks[task_id].phase
        if isinstance(phase, Resting) and (body.now or phase.timer_kind != "quota"):
            session = _phase(session, task_id, Ready(mode=phase.mode, why=phase.why))
    return session


def _request_abort(session: Session, _entry: e.Entry, _body: e.RequestAbort) -> Session:
    return replace(session, aborting=True, halt=None)


def _request_answer(session: Session, entry: e.Entry, body: e.RequestAnswer) -> Session:
    question = session.questions.get(body.question)
    if question is None:
        return session
    session = replace(session, questions=session.questions.delete(body.question))
    yes = body.answer == "yes"
    if question.task is not None:
        return _answer_for_task(session, question, question.task, yes=yes)
    if not yes:
        return replace(session, given_up=f"{question.text} The answer was no", halted=False)
    limits = session.plan.contract.limits
    if question.about == "wall":
        # as much again from here on: ending the attempts may have taken longer than a small budget
        return replace(session, wall_granted_ms=max(session.limits_wall_ms or 0, session.wall_used_ms))
    if question.about == "deadline" and limits.deadline is not None:
        return replace(session, deadline_moved=entry.wall + max(0, limits.deadline - session.created))
    return session


def _answer_for_task(session: Session, question: Question, task_id: str, *, yes: bool) -> Session:
    task = _task(session, task_id)
    if not isinstance(task.phase, Held) or task.phase.question != question.id:
        return session  # an agent asked: the answer is for it
    if not yes:
        return _phase(session, task_id, Failing(reason="a person said not to try again", final=True))
    return _phase(session, task_id, Ready(mode=task.phase.mode, why="answer"), lost_in_a_row=0, conflicts_in_a_row=0)


def _request_amend(session: Session, entry: e.Entry, body: e.RequestAmend) -> Session:
    """New limits that suffice close the questions they answer."""
    closed = [
        q.id
        for q in session.questions.values()
        if (q.about == "wall" and body.wall_ms is not None and body.wall_ms > session.wall_used_ms)
        or (q.about == "deadline" and body.deadline is not None and body.deadline > entry.wall)
    ]
    questions = session.questions
    for question in closed:
        questions = questions.delete(question)
    session = replace(session, questions=questions)
    if body.wall_ms is not None:
        session = replace(session, wall_granted_ms=0)
    return replace(session, deadline_moved=None) if body.deadline is not None else session


def _asked(session: Session, _entry: e.Entry, body: e.QuestionAsked) -> Session:
    question = Question(id=body.question, about=body.about, task=body.task, text=body.text)
    session = replace(session, questions=session.questions.set(body.question, question), asked=session.asked + 1)
    if body.task is None or body.about == "agent":
        return session  # an agent that asks goes on meanwhile, or waits by itself
    phase = _task(session, body.task).phase
    mode = phase.mode if isinstance(phase, Stuck) else "fresh"
    return _phase(session, body.task, Held(question=body.question, mode=mode))


# --- attempts ---------------------------------------------------------------------------------------------


def _intended(session: Session, entry: e.Entry, body: e.AttemptIntended) -> Session:
    attempt = Attempt(
        number=body.attempt, run=body.run, mode=body.mode, agent=body.agent, start=body.start, n=entry.n,
        pool=body.pool or body.agent, thread=body.thread,
    )  # fmt: skip
    session = _phase(session, body.task, Dispatched(), attempt=attempt, begun=body.attempt)
    return replace(session, live=session.live + 1)


def _started(session: Session, entry: e.Entry, body: e.AttemptStarted) -> Session:
    if (found := _current(session, body.task, body.attempt, Dispatched)) is None:
        return session
    attempt = replace(found[1], thread=body.thread or found[1].thread)
    session = _phase(session, body.task, Running(pid=body.pid, started=entry.wall), attempt=attempt)
    return session if session.live_since is not None else replace(session, live_since=entry.wall, live_until=entry.wall)


def _adopted(session: Session, _entry: e.Entry, body: e.AttemptAdopted) -> Session:
    if (found := _current(session, body.task, body.attempt, *LIVE)) is None:
        return session
    task, attempt = found
    return _set(session, body.task, replace(task, attempt=replace(attempt, run=body.run)))


def _finished(session: Session, entry: e.Entry, body: e.AttemptFinished) -> Session:
    if (found := _current(session, body.task, body.attempt, *LIVE)) is None:
        return session
    session = _nobody_asks(session, body.task)
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
    return _over(_set(session, body.task, task), found[0].phase, entry.wall, body.lived_ms or body.elapsed_ms)


def _lost(session: Session, entry: e.Entry, body: e.AttemptLost) -> Session:
    if (found := _current(session, body.task, body.attempt, *LIVE)) is None:
        return session
    session = _nobody_asks(session, body.task)
    task, attempt = found
    lost = task.lost_in_a_row + 1
    attempt = replace(attempt, error=body.why, thread=body.thread or attempt.thread)
    mode = going_on(session.plan.tasks[body.task], attempt.thread)
    phase: Phase = Stuck(about="lost", mode=mode) if lost % LOST_IN_A_ROW_MAX == 0 else Ready(mode=mode, why="lost")
    task = replace(task, phase=phase, attempt=attempt, lost_in_a_row=lost, thread=attempt.thread or task.thread)
    return _over(_set(session, body.task, task), found[0].phase, entry.wall, body.lived_ms)


def _candidate(session: Session, entry: e.Entry, body: e.CandidateMade) -> Session:
    if (found := _current(session, body.task, body.attempt, Settled, Checking)) is None:
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
    return _set(session, body.task, replace(task, phase=Checking(), attempt=attempt))


def _conflicted(session: Session, _entry: e.Entry, body: e.CandidateConflicted) -> Session:
    if (found := _current(session, body.task, body.attempt, Settled, Checking)) is None:
        return session
    task, attempt = found
    conflicts = task.conflicts_in_a_row + 1
    stuck = conflicts % CONFLICTS_IN_A_ROW_MAX == 0
    phase: Phase = Stuck(about="conflicts", mode="fresh") if stuck else Ready(mode="fresh", why="conflict")
    attempt = replace(attempt, conflict_paths=tuple(body.paths), patch=body.patch)
    return _set(
        session,
        body.task,
        replace(task, phase=phase, attempt=attempt, conflicts_in_a_row=conflicts, thread=None),
    )


def _refused(session: Session, _entry: e.Entry, body: e.CandidateRefused) -> Session:
    if (found := _current(session, body.task, body.attempt, Settled, Checking)) is None:
        return session
    task, attempt = found
    return _set(session, body.task, replace(task, attempt=replace(attempt, refused=body.reason)))


def _checked(session: Session, entry: e.Entry, body: e.CheckFinished) -> Session:
    if (found := _current(session, body.task, body.attempt, Settled, Checking)) is None:
        return session
    task, attempt = found
    if attempt.candidate is None or attempt.candidate.commit != body.commit:
        return session  # the tip moved meanwhile: this verdict is about a tree that is no longer the candidate
    result = CheckResult(ok=body.ok, detail=body.detail, output=body.output)
    candidate = replace(attempt.candidate, judged=entry.n)
    attempt = replace(attempt, candidate=candidate, checks=attempt.checks.set(body.index, result))
    return _set(session, body.task, replace(task, attempt=attempt))


def _checkpoint(session: Session, _entry: e.Entry, body: e.CheckpointCommitted) -> Session:
    task = _task(session, body.task)
    session = _set(session, body.task, replace(task, checkpoint=body.commit))
    return replace(session, tip=body.commit)


# --- tasks ------------------------------------------------------------------------------------------------


def _task_done(session: Session, _entry: e.Entry, body: e.TaskDone) -> Session:
    if isinstance(_task(session, body.task).phase, Done):  # carried from another session: these are its final words
        return _phase(session, body.task, Done(), text=body.text)
    session = _phase(session, body.task, Done(), text=body.text)
    for dependent in session.plan.dependents[body.task]:
        task = session.tasks[dependent]
        missing = task.missing - 1
        phase: Phase = Ready() if missing == 0 and isinstance(task.phase, Pending) else task.phase
        session = _set(session, dependent, replace(task, missing=missing, phase=phase))
    return session


def _block_dependents(session: Session, task_id: str) -> Session:
    blocked = session.blocked
    for dependent in session.plan.dependents[task_id]:
        if isinstance(session.tasks[dependent].phase, Pending):
            blocked = blocked.set(dependent, task_id)
    return replace(session, blocked=blocked)


def _task_failed(session: Session, _entry: e.Entry, body: e.TaskFailed) -> Session:
    return _block_dependents(_phase(session, body.task, Failed(reason=body.reason)), body.task)


def _task_skipped(session: Session, _entry: e.Entry, body: e.TaskSkipped) -> Session:
    session = _phase(session, body.task, Skipped(because=body.because))
    if body.task in session.blocked:
        session = replace(session, blocked=session.blocked.delete(body.task))
    return _block_dependents(session, body.task)


def _task_cancelled(session: Session, _entry: e.Entry, body: e.TaskCancelled) -> Session:
    return _phase(session, body.task, Cancelled())


def _task_reopened(session: Session, _entry: e.Entry, body: e.TaskReopened) -> Session:
    task = _task(session, body.task)
    if isinstance(task.phase, Done):
        return session
    phase: Phase = Pending() if task.missing else Ready(why="retry")
    fresh = replace(
        task, phase=phase, failures=0, lost_in_a_row=0, conflicts_in_a_row=0, quota_in_a_row=0, api_in_a_row=0, thread=None
    )  # fmt: skip
    return _set(session, body.task, fresh)


# --- timers, delivery -------------------------------------------------------------------------------------


def _timer_set(session: Session, _entry: e.Entry, body: e.TimerSet) -> Session:
    task = _task(session, body.task)
    spec = session.plan.tasks[body.task]
    mode, why = _after_rest(spec, task, body.timer_kind)
    cause = _cause(spec, task, body)
    phase = Resting(timer=body.timer, timer_kind=body.timer_kind, due=body.due, mode=mode, why=why, cause=cause)
    task = replace(task, phase=phase)
    if body.timer_kind == "backoff":  # the attempt failed by itself: a row of conflicts ends here
        task = replace(task, failures=task.failures + 1, conflicts_in_a_row=0)
    session = _set(session, body.task, task)
    if body.timer_kind == "quota":
        return replace(session, shut=session.shut.set(agent_of(session.plan, body.task), body.timer))
    return session


def _after_rest(spec: Spec, task: Task, kind: e.TimerKind) -> tuple[e.Mode, str]:
    """How the attempt after the rest starts, and why there is one."""
    if isinstance(task.phase, Ready):
        return task.phase.mode, task.phase.why  # its pool was closed before it could start
    if kind == "backoff":
        failing = judge(spec, task)
        return (failing.mode if failing else "fresh"), "failed"
    return going_on(spec, task.thread), kind


def _cause(spec: Spec, task: Task, body: e.TimerSet) -> str:
    if body.timer_kind == "quota":
        return body.pool or ""
    if body.timer_kind == "backoff":
        return failing.reason if (failing := judge(spec, task)) else ""
    return task.attempt.error if task.attempt else ""


def _timer_fired(session: Session, _entry: e.Entry, body: e.TimerFired) -> Session:
    for agent in [agent for agent, timer in session.shut.items() if timer == body.timer]:
        session = replace(session, shut=session.shut.delete(agent))
    for task_id in session.frontier:
        phase = session.tasks[task_id].phase
        if isinstance(phase, Resting) and phase.timer == body.timer:
            return _phase(session, task_id, Ready(mode=phase.mode, why=phase.why))
    return session


def _delivery_intended(session: Session, entry: e.Entry, body: e.DeliveryIntended) -> Session:
    return replace(session, delivery=Delivery(branch=body.branch, commit=body.commit, ending=body.ending, n=entry.n))


def _delivery_made(session: Session, _entry: e.Entry, body: e.DeliveryMade) -> Session:
    if session.delivery is None:
        raise FoldError("delivery.made comes without an intent")
    made = replace(session.delivery, made=body.branch, commit=body.commit)
    return replace(session, delivery=made, delivered=made)


def _delivery_failed(session: Session, _entry: e.Entry, body: e.DeliveryFailed) -> Session:
    if session.delivery is None:
        raise FoldError("delivery.failed comes without an intent")
    return replace(session, delivery=replace(session.delivery, failed=body.reason))


_LATE = (e.RunEnded,)
"""What may still change an ended session: the end of the run in which it ended."""

_HANDLERS: dict[type[e.Body], Callable[[Session, e.Entry, Any], Session]] = {
    e.SessionReopened: _reopened,
    e.SessionHalted: _halted,
    e.SessionResumed: _resumed,
    e.SessionAborted: _end("aborted"),
    e.SessionCompleted: _end("done"),
    e.SessionFailed: _end("failed"),
    e.RunStarted: _run_started,
    e.RunEnded: _run_ended,
    e.GatePassed: _gate_passed,
    e.GateRefused: _gate_refused,
    e.RequestHalt: _request_halt,
    e.RequestAbort: _request_abort,
    e.RequestAnswer: _request_answer,
    e.RequestAmend: _request_amend,
    e.QuestionAsked: _asked,
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
    e.TaskDone: _task_done,
    e.TaskFailed: _task_failed,
    e.TaskSkipped: _task_skipped,
    e.TaskCancelled: _task_cancelled,
    e.TaskReopened: _task_reopened,
    e.TimerSet: _timer_set,
    e.TimerFired: _timer_fired,
    e.DeliveryIntended: _delivery_intended,
    e.DeliveryMade: _delivery_made,
    e.DeliveryFailed: _delivery_failed,
}
