"""Folding what concerns a session as a whole: creation, end, runs, gate, requests, questions."""

from collections.abc import Callable, Mapping
from typing import Any

from immutables import Map
from msgspec.structs import replace

from marathond.domain import entries as e
from marathond.domain.contract import Frozen
from marathond.domain.folding.common import FoldError, Handler, task_of, to_phase
from marathond.domain.plan import Plan, agent_of, plan_of
from marathond.domain.session import (
    Done,
    End,
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
    Session,
    Stuck,
    Task,
)

Contracts = Mapping[str, Frozen]
"""Frozen contracts by hash: what `session.created` and `contract.amended` refer to."""


def contract_named(contracts: Contracts, hash_: str) -> Frozen:
    """The contract that an entry refers to. Raises FoldError."""
    try:
        return contracts[hash_]
    except KeyError:
        raise FoldError(f"the contract {hash_} is missing") from None


# --- creation, reopening, end -----------------------------------------------------------------------------


def created(session: Session | None, entry: e.Entry, body: e.SessionCreated, contracts: Contracts) -> Session:
    """The session as it begins. Raises FoldError when there is one already."""
    if session is not None:
        raise FoldError("session.created comes twice")
    plan = plan_of(contract_named(contracts, body.contract))
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
    return replace(session, run=run, runs=session.runs + 1, boot_id=body.boot_id, called=None)


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
            session = to_phase(session, task_id, Ready(mode=phase.mode, why=phase.why))
    return session


def _request_abort(session: Session, _entry: e.Entry, _body: e.RequestAbort) -> Session:
    return replace(session, aborting=True, halt=None)


def _request_answer(session: Session, entry: e.Entry, body: e.RequestAnswer) -> Session:
    question = session.questions.get(body.question)
    if question is None:
        return session
    session = replace(
        session, questions=session.questions.delete(body.question), called=session.called if session.run else "answer"
    )
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
    task = task_of(session, task_id)
    if not isinstance(task.phase, Held) or task.phase.question != question.id:
        return session  # an agent asked: the answer is for it
    if not yes:
        return to_phase(session, task_id, Failing(reason="a person said not to try again", final=True))
    return to_phase(session, task_id, Ready(mode=task.phase.mode, why="answer"), lost_in_a_row=0, conflicts_in_a_row=0)


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
    session = replace(
        session, questions=questions, called="amend" if closed and session.run is None else session.called
    )
    if body.wall_ms is not None:
        session = replace(session, wall_granted_ms=0)
    return replace(session, deadline_moved=None) if body.deadline is not None else session


def _asked(session: Session, _entry: e.Entry, body: e.QuestionAsked) -> Session:
    question = Question(id=body.question, about=body.about, task=body.task, text=body.text)
    session = replace(session, questions=session.questions.set(body.question, question), asked=session.asked + 1)
    if body.task is None or body.about == "agent":
        return session  # an agent that asks goes on meanwhile, or waits by itself
    phase = task_of(session, body.task).phase
    mode = phase.mode if isinstance(phase, Stuck) else "fresh"
    return to_phase(session, body.task, Held(question=body.question, mode=mode))


HANDLERS: dict[type[e.Body], Handler] = {
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
}
