"""Whatever is written, planning answers with a contract or with problems."""

import functools
import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from marathond.domain.contract import thaw
from marathond.domain.errors import CONTRACT_INVALID, MarathonError
from marathond.domain.limits import PROBLEMS_MAX
from marathond.planning import draft
from marathond.planning.freeze import plan
from marathond.planning.source import from_text
from tests.support.plans import AGENTS, find_once, make_repository, plan_object, problems_of

TEXTS = st.sampled_from(
    ["", "a", "b", "40m", "-x", "../x", ".git/x", "{{ a }}", "{{", "{{ task.a.text }}", "(", "claude", "scripted", "2030-01-01", "\ud800", "\0"]
) | st.text(max_size=20)  # fmt: skip
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats() | TEXTS | st.datetimes() | st.dates(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=6,
)


def like(keys: Mapping[str, draft.Key], **special: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """A table that has some of these keys, with anything in them, and perhaps a foreign one."""
    known = {key: special.get(key, TEXTS | ANYTHING) for key in keys}
    return st.fixed_dictionaries({}, optional=known | {"foreign": ANYTHING}) | ANYTHING


TASKS = st.lists(
    like(
        draft.TASK_KEYS,
        id=st.sampled_from(["a", "b", "c", "A"]),
        needs=st.lists(st.sampled_from("abcd"), max_size=3) | ANYTHING,
        check=st.lists(like(draft.CHECK_KEYS), max_size=2) | ANYTHING,
    ),
    max_size=4,
)
CONTRACTS = st.fixed_dictionaries(
    {},
    optional={
        "name": TEXTS | ANYTHING,
        "goal": TEXTS | ANYTHING,
        "workspace": like(draft.WORKSPACE_KEYS, repo=st.sampled_from([".", "~nobody", "/", 1])),
        "limits": like(draft.LIMITS_KEYS),
        "variables": st.dictionaries(TEXTS, TEXTS | ANYTHING, max_size=3) | ANYTHING,
        "defaults": like(draft.DEFAULTS_KEYS),
        "task": TASKS | ANYTHING,
        "delivery": like(draft.DELIVERY_KEYS, branch=TEXTS),
    },
)


@pytest.fixture(scope="module")
def repo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository."""
    return make_repository(tmp_path_factory.mktemp("fuzz") / "repo")


def answer(call: functools.partial[Any]) -> None:
    """The call gives a contract that reads back, or refuses with problems that JSON can carry."""
    try:
        frozen = call().frozen
    except MarathonError as error:
        refusal = error
    else:
        assert thaw(frozen.text) == frozen
        return
    assert refusal.kind is CONTRACT_INVALID
    assert json.loads(json.dumps(refusal.data))["problems"]
    assert all(problem["message"] for problem in refusal.data["problems"])


@settings(max_examples=150, deadline=None)
@given(contract=CONTRACTS)
@example(contract={"task": [{"id": "a", "run": "x"}], "limits": {"deadline": "9999-12-31T23:59:59Z"}})
@example(contract={"task": [{"id": "a", "run": "x"}], "name": "\ud800"})
@example(contract={"\ud800": 1, "task": [{"id": "a", "run": "x"}]})
def test_any_object(repo: Path, contract: dict[str, Any]) -> None:
    """No object makes planning fail in another way than by telling problems."""
    answer(functools.partial(plan_object, contract, repo))


@settings(max_examples=150, deadline=None)
@given(
    text=st.text(st.sampled_from('[]{}=."\'#\n\\, -:0123456789taskidrunprompt"""\U0001f600é'), max_size=60),
    form=st.sampled_from(["toml", "json"]),
)
@example(text='task = [{id = "a", run = "x"}]', form="toml")
@example(text="a = 1e999", form="toml")
@example(text='{"a": 1e999, "b": ' + "9" * 5000 + "}", form="json")
@example(text='{"a": "\\ud800"}', form="json")
@example(text="x = " + "[" * 90 + "]" * 90, form="toml")
@example(text='{"x": ' + "[" * 900 + "]" * 900 + "}", form="json")
@example(text=f"name = 0x{'f' * 5000}\ngoal = [0x{'f' * 5000}]\ntask = 0x{'f' * 5000}", form="toml")
@example(text=f"limits = {{parallel = [0x{'f' * 5000}]}}", form="toml")
@example(text=f"name = 0x{'f' * 5000}", form="toml")
def test_any_text(repo: Path, text: str, form: Any) -> None:
    """No text does either."""
    answer(functools.partial(lambda: plan(from_text(text, form, root=repo), agents=AGENTS, find=find_once)))


def chain(count: int, more: str = "") -> str:
    """A contract of so many tasks, each needing the one before, with what an ordinary task has."""
    tasks = [
        f'[[task]]\nid = "t{n}"\nneeds = [{f"{chr(34)}t{n - 1}{chr(34)}" if n else ""}]\nagent = "codex"\n'
        f'prompt = "Do {f"{{{{ task.t{n // 2}.text }}}}" if n else "it"}, step {n}."\n{more}'
        f'[[task.check]]\nrun = "python -m pytest -q tests/test_{n}.py"\n'
        for n in range(count)
    ]
    return "".join(tasks)


def test_ten_thousand_tasks(repo: Path) -> None:
    """A contract may have 10,000 tasks in one chain; planning it takes about a second, and refusing it no longer."""
    began = time.process_time()
    planned = plan(from_text(chain(10_000), "toml", root=repo), agents=AGENTS)
    assert len(planned.frozen.contract.tasks) == 10_000
    problems = problems_of(lambda: plan(from_text(chain(10_000, "mdoel = 1\n"), "toml", root=repo), agents=AGENTS))
    assert len(problems) == PROBLEMS_MAX + 1
    assert problems[-1]["message"] == "and 9000 more problems"
    assert time.process_time() - began < 15, "ten times what it takes on a slow machine"


def test_one_task_too_many(repo: Path) -> None:
    """The limit is told, not reached in silence."""
    (problem,) = problems_of(lambda: plan_object({"task": [{"id": "a", "run": "x"}] * 10_001}, repo))
    assert problem["message"] == "has 10,001 elements; 10,000 are allowed"
