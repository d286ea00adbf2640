"""Why a session or a task does not go on, and the command that would help."""

from collections.abc import Iterator, Mapping
from typing import Any

from marathond.domain import session as s
from marathond.domain.coordinator import Capacity, in_checkout, wants
from marathond.domain.instants import format_instant
from marathond.domain.outlook import due_with
from marathond.domain.plan import agent_of
from marathond.domain.system import Box
from marathond.engine.kernel import NO_LEDGER, OWN_FAULT
from marathond.engine.views.words import refusal, session_state, task_reason

Reason = dict[str, Any]

_NAMED_MAX = 3
"""Sessions that a reason names."""


def _reason(
    kind: str, text: str, *, task: str | None = None, due: int | None = None, command: str | None = None
) -> Reason:
    return {
        "kind": kind,
        "task": task,
        "text": text,
        "due_at": format_instant(due) if due is not None else None,
        "command": command,
    }


def reasons(session: s.Session, box: Box, capacity: Capacity, leased: Mapping[str, str]) -> list[Reason]:
    """All that applies, most decisive first. `leased` says which session is at work in which checkout."""
    owner = leased.get(session.repo, session.id) if in_checkout(session) else session.id
    return [*_of_session(session), *_of_tasks(session, box, capacity, owner)]


def _of_session(session: s.Session) -> Iterator[Reason]:
    me = session.id
    state = session_state(session)
    match state:
        case "done":
            yield _reason("ended", "It is done.")
        case "failed":
            reason = session.end.reason if session.end else ""
            yield _reason("ended", f"It failed: {reason}.", command=f"marathonctl retry {me}")
        case "aborted":
            yield _reason("ended", "It was aborted.", command="marathonctl start FILE")
        case "quarantined":
            yield _of_quarantine(session)
        case "halted":
            yield _reason("user", "A user halted it.", command=f"marathonctl resume {me}")
        case _ if session.halt is not None:
            yield _reason(
                "user", "It is being halted." if not session.halt.drain else "It halts when live attempts are over."
            )
    if session.end is not None and session.delivery is not None:
        yield from _of_delivery(session.id, session.delivery)
    for question in session.questions.values():
        limit = f" (or marathonctl amend {me} --{question.about} …)" if question.about in ("wall", "deadline") else ""
        if question.task is None or question.about == "agent":
            yield _reason("question", question.text, task=question.task, command=_answer(session, question.id) + limit)


_WAYS_OUT = {OWN_FAULT: "marathonctl daemon stop", NO_LEDGER: "marathond --accept-head"}
"""Verdicts that are not the gate's, and the command that helps."""


def _of_quarantine(session: s.Session) -> Reason:
    verdicts = session.quarantine or ()
    if verdicts and (command := _WAYS_OUT.get(verdicts[0].point)):
        return _reason("gate", f"{verdicts[0].detail.removesuffix('.')}.", command=command)
    text = f"The resume gate refused it ({refusal(verdicts)})."
    return _reason("gate", text, command=f"marathonctl resume {session.id}")


def _answer(session: s.Session, question: str) -> str:
    """The command that answers; with several open questions it has to say which one."""
    which = f" --question {question}" if len(session.questions) > 1 else ""
    return f"marathonctl answer {session.id} yes|no{which}"


def _of_delivery(session: str, delivery: s.Delivery) -> Iterator[Reason]:
    """What a user would not expect of the branch: another name than the contract's, or none at all."""
    if delivery.made is not None and delivery.made != delivery.branch:
        yield _reason("branch", f"{delivery.branch} is taken by others, so its branch is {delivery.made}.")
    elif delivery.failed is not None:
        where = f"refs/marathon/{session}/tip"
        yield _reason(
            "branch",
            f"Its branch could not be made ({delivery.failed}); its work is at {where}.",
            command=f"git branch NAME {where}",
        )


def _of_tasks(session: s.Session, box: Box, capacity: Capacity, owner: str) -> Iterator[Reason]:
    if session.end is not None:
        for task_id, task in session.tasks.items():
            if isinstance(task.phase, s.Failed):
                text = task_reason(session, task_id) or ""
                yield _reason("ended", text, task=task_id, command=f"marathonctl retry {session.id} {task_id}")
        return
    startable = set(wants(session))
    for task_id in session.plan.order:
        yield from _of_task(session, task_id, task_id in startable, box, capacity, owner)
    for task_id in session.plan.order:
        if isinstance(session.tasks[task_id].phase, s.Pending):
            first = next(n for n in session.plan.tasks[task_id].needs if not isinstance(session.tasks[n].phase, s.Done))
            text = task_reason(session, task_id) or ""
            yield _reason("dependency", text, task=task_id, command=f"marathonctl why {session.id} {first}")


def _of_task(
    session: s.Session, task_id: str, startable: bool, box: Box, capacity: Capacity, owner: str
) -> Iterator[Reason]:
    task = session.tasks[task_id]
    text = task_reason(session, task_id) or ""
    me = session.id
    match task.phase:
        case s.Resting(timer_kind="quota", due=due):
            yield _reason("quota", text, task=task_id, due=due, command=f"marathonctl resume {me} --now")
        case s.Resting(due=due):
            yield _reason("timer", text, task=task_id, due=due, command=f"marathonctl resume {me}")
        case s.Held(question=question):
            yield _reason("question", text, task=task_id, command=_answer(session, question))
        case s.Dispatched() | s.Running():
            yield _reason(
                "running", f"attempt {task.begun} runs", task=task_id, command=f"marathonctl logs -f {me} {task_id}"
            )
        case s.Settled() | s.Checking() | s.Failing() | s.Stuck():
            yield _reason("running", text, task=task_id)
        case s.Ready() if (opens := due_with(session, task_id)) is not None:
            yield _reason("quota", text, task=task_id, due=opens, command=f"marathonctl resume {me} --now")
        case s.Ready() if session.run is not None and owner != me:
            busy = f"ready; session {owner} is at work in the checkout {session.repo}"
            yield _reason("lock", busy, task=task_id, command=f"marathonctl halt {owner}")
        case s.Ready() if session.run is not None:
            yield _waiting_for_slot(session, task_id, startable, box, capacity)


def _waiting_for_slot(session: s.Session, task_id: str, startable: bool, box: Box, capacity: Capacity) -> Reason:
    agent = agent_of(session.plan, task_id)
    users = [
        slot.session for slot, used_by in box.slots.items() if len(box.slots) >= capacity.slots or used_by == agent
    ]
    others = [i for i in dict.fromkeys(users) if i != session.id]
    command = f"marathonctl halt {others[0]}" if others else None
    if not startable:
        text, command = _narrow(session)
    elif len(box.slots) >= capacity.slots:
        text = f"ready; all {capacity.slots} slots of this machine are in use{_by(others)}"
    else:
        text = (
            f"ready; agent {agent} is at its limit of {capacity.per_agent.get(agent)} attempt(s) at once{_by(others)}"
        )
    return _reason("slot", text, task=task_id, command=command)


def _narrow(session: s.Session) -> tuple[str, str | None]:
    if in_checkout(session):
        return 'ready; in your own checkout (isolation = "none") one task runs at a time', None
    parallel = session.plan.contract.limits.parallel
    text = f"ready; the contract lets {parallel} task(s) run at once"
    return text, f"marathonctl amend {session.id} --parallel {parallel + 1}"


def _by(others: list[str]) -> str:
    more = f" and {len(others) - _NAMED_MAX} more" if len(others) > _NAMED_MAX else ""
    return f" by session {', '.join(others[:_NAMED_MAX])}{more}" if others else ""
