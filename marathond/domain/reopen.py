"""Which tasks a `retry` gives a new life."""

from collections.abc import Collection

from marathond.domain.plan import in_dependency_order
from marathond.domain.session import Done, Failed, Session, Skipped


def to_reopen(session: Session, wanted: Collection[str] = ()) -> list[str]:
    """The tasks named (default: all that failed), what they need, and what they had blocked, in the contract's order.

    Empty when there is nothing to retry. `wanted` names tasks of the session.
    """
    failed = [i for i in session.plan.order if isinstance(session.tasks[i].phase, Failed)]
    chosen = _with_needs(session, wanted or failed)
    for task_id in in_dependency_order(session.plan):
        needs = session.plan.tasks[task_id].needs
        blocked = isinstance(session.tasks[task_id].phase, Skipped)
        if blocked and all(n in chosen or isinstance(session.tasks[n].phase, Done) for n in needs):
            chosen.add(task_id)
    return [i for i in session.plan.order if i in chosen]


def _with_needs(session: Session, tasks: Collection[str]) -> set[str]:
    """The tasks and whatever they need, directly or not, that is not done: without it they could never start."""
    chosen: set[str] = set()
    queue = list(tasks)
    while queue:
        task_id = queue.pop()
        if task_id not in chosen and not isinstance(session.tasks[task_id].phase, Done):
            chosen.add(task_id)
            queue += session.plan.tasks[task_id].needs
    return chosen
