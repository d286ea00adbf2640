"""A contract made ready for folding: its tasks by id, in order, with the edges of the graph both ways."""

from typing import NamedTuple

from marathond.domain.contract import Contract, Frozen, Task


class Plan(NamedTuple):
    """Look-ups over one contract revision. Built once per revision, shared by every state."""

    frozen: Frozen
    tasks: dict[str, Task]
    ids: tuple[str, ...]
    order: dict[str, int]
    dependents: dict[str, tuple[str, ...]]

    @property
    def contract(self) -> Contract:
        """The contract itself."""
        return self.frozen.contract


def plan_of(frozen: Frozen) -> Plan:
    """The plan of a frozen contract."""
    tasks = {task.id: task for task in frozen.contract.tasks}
    dependents: dict[str, list[str]] = {task_id: [] for task_id in tasks}
    for task in frozen.contract.tasks:
        for need in task.needs:
            dependents[need].append(task.id)
    return Plan(
        frozen=frozen,
        tasks=tasks,
        ids=tuple(tasks),
        order={task_id: index for index, task_id in enumerate(tasks)},
        dependents={task_id: tuple(ids) for task_id, ids in dependents.items()},
    )


def agent_of(plan: Plan, task_id: str) -> str:
    """The agent that works on a task; `command` for one that has none."""
    spec = plan.tasks[task_id]
    return "command" if spec.run is not None else spec.agent


def in_dependency_order(plan: Plan) -> list[str]:
    """All tasks, each after those that it needs. A contract may list them in any order."""
    open_needs = {task_id: len(task.needs) for task_id, task in plan.tasks.items()}
    out = [task_id for task_id, count in open_needs.items() if count == 0]
    for task_id in out:  # grows while it is walked
        for dependent in plan.dependents[task_id]:
            open_needs[dependent] -= 1
            if open_needs[dependent] == 0:
                out.append(dependent)
    return out
