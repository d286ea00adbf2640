"""The graph of tasks: ids that are there once, needs that exist, no way back to where one came from."""

from collections import deque
from collections.abc import Sequence

from marathond.planning.draft import TaskDraft
from marathond.planning.problems import Problems


class Graph:
    """Who comes before whom. For tasks in or behind a cycle that is not known, and every question is answered yes."""

    def __init__(self, places: dict[str, int], before: dict[str, int]) -> None:
        self._places = places
        self._before = before  # for each task the set of those before it, as bits: 10,000 of them stay small

    def __contains__(self, task: str) -> bool:
        return task in self._places

    @property
    def ids(self) -> list[str]:
        """All ids, in the order of the contract."""
        return list(self._places)

    def comes_before(self, earlier: str, later: str) -> bool:
        """Whether `later` needs `earlier`, directly or through others."""
        return later not in self._before or bool(self._before[later] >> self._places[earlier] & 1)


def check_graph(tasks: Sequence[TaskDraft], problems: Problems) -> Graph:
    """Finds duplicate ids, needs of tasks that do not exist, and cycles."""
    places: dict[str, int] = {}
    for task in tasks:
        if task.id is None:
            if "id" not in task.given:
                problems.add((*task.path, "id"), "is missing: each task has an id")
        elif task.id in places:
            first = ("task", places[task.id])
            where = f" in line {line}" if (line := problems.line(first)) else ""
            problems.add((*task.path, "id"), f"{task.id!r} is already the id of task[{places[task.id]}]{where}")
        else:
            places[task.id] = task.index
    needs = {task.id: _needs(task, places, problems) for task in reversed(tasks) if task.id is not None}
    return Graph(places, _order(needs, places, problems))


def _needs(task: TaskDraft, places: dict[str, int], problems: Problems) -> list[str]:
    known = []
    for index, need in enumerate(task.needs or ()):
        if need in places:
            known.append(need)
        else:
            meant = problems.nearest(need, places, but=task.id)
            problems.add((*task.path, "needs", index), f"there is no task {need!r}", meant)
    return known


def _order(needs: dict[str, list[str]], places: dict[str, int], problems: Problems) -> dict[str, int]:
    """For each task the bits of all tasks before it; cycles are recorded and their tasks left out."""
    waiting = {task: set(needed) for task, needed in needs.items()}
    dependents: dict[str, list[str]] = {}
    for task, needed in waiting.items():
        for need in needed:
            dependents.setdefault(need, []).append(task)
    before = {task: 0 for task, needed in waiting.items() if not needed}
    ready = deque(before)
    while ready:
        done = ready.popleft()
        for task in dependents.get(done, ()):
            waiting[task].discard(done)
            if not waiting[task]:
                before[task] = _bits(needs[task], before, places)
                ready.append(task)
    _record_cycles({t: sorted(w, key=places.__getitem__) for t, w in waiting.items() if w}, places, problems)
    return before


def _bits(needs: list[str], before: dict[str, int], places: dict[str, int]) -> int:
    bits = 0
    for need in needs:
        bits |= before[need] | 1 << places[need]
    return bits


def _record_cycles(blocked: dict[str, list[str]], places: dict[str, int], problems: Problems) -> None:
    """Each blocked task waits for another one: following them leads into a cycle. Each cycle is told once."""
    settled: set[str] = set()
    for start in sorted(blocked, key=places.__getitem__):
        trail: dict[str, int] = {}
        task = start
        while task not in settled and task not in trail:
            trail[task] = len(trail)
            task = blocked[task][0]
        if task not in settled:
            cycle = [*list(trail)[trail[task] :], task]
            path = ("task", places[task], "needs")
            shown = cycle if len(cycle) <= 12 else [*cycle[:6], "…", *cycle[-5:]]
            problems.add(path, f"goes in a circle: {' needs '.join(shown)}")
        settled.update(trail)
