"""The graph of tasks: every circle is found, and who comes before whom is known."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from marathond.planning.draft import TaskDraft
from marathond.planning.graph import check_graph
from marathond.planning.problems import Problems

GRAPHS = st.integers(1, 7).flatmap(
    lambda count: st.lists(st.lists(st.integers(0, count - 1), unique=True, max_size=3), min_size=count, max_size=count)
)


def reached(needs: list[list[int]], start: int) -> set[int]:
    """Everything that `start` needs, walked naively."""
    found: set[int] = set()
    todo = list(needs[start])
    while todo:
        each = todo.pop()
        if each not in found:
            found.add(each)
            todo += needs[each]
    return found


@given(GRAPHS)
def test_graph(needs: list[list[int]]) -> None:
    """A circle is told when there is one, and is one; without any, the order agrees with a plain walk."""
    tasks = [
        TaskDraft(given=frozenset({"id"}), index=n, id=f"t{n}", needs=tuple(f"t{m}" for m in each))
        for n, each in enumerate(needs)
    ]
    problems = Problems()
    graph = check_graph(tasks, problems)
    cyclic = any(n in reached(needs, n) for n in range(len(needs)))
    assert bool(problems) == cyclic
    for problem in problems.all():
        circle = [int(word[1:]) for word in problem.message.removeprefix("goes in a circle: ").split(" needs ")]
        assert circle[0] == circle[-1]
        assert all(after in needs[before] for before, after in pairwise(circle))
    if not cyclic:
        for later in range(len(needs)):
            before = {n for n in range(len(needs)) if graph.comes_before(f"t{n}", f"t{later}")}
            assert before == reached(needs, later)


def test_a_long_chain_and_a_long_circle() -> None:
    """Ten thousand tasks in a row are no depth that anything could break at."""
    count = 10_000
    chain = [
        TaskDraft(given=frozenset({"id"}), index=n, id=f"t{n}", needs=(f"t{n - 1}",) if n else ()) for n in range(count)
    ]
    problems = Problems()
    assert check_graph(chain, problems).comes_before("t0", "t9999")
    assert not problems
    chain[0].needs = ("t9999",)
    check_graph(chain, problems)
    (problem,) = problems.all()
    assert problem.path == "task[0].needs"
    assert problem.message.startswith("goes in a circle: t0 needs t9999 needs t9998 ")
    assert problem.message.endswith(" needs t0")
    assert "…" in problem.message
