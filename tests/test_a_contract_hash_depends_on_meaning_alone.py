"""The frozen text and its hash: what they depend on, and what never moves them."""

import copy
import json
import random
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from marathond.domain.contract import thaw
from tests.support.plans import make_repository, plan_object, plan_text

CONTRACT: dict[str, Any] = {
    "name": "add-json-export",
    "goal": "Add a --json flag",
    "workspace": {"repo": ".", "base": "HEAD", "isolation": "worktree", "setup": ["make deps", "make gen"]},
    "limits": {"parallel": 3, "wall": "4h", "deadline": "2030-01-01T00:00:00Z"},
    "variables": {"module": "export", "zebra": "z", "apfel": "ä"},
    "defaults": {"agent": "codex", "attempts": 5, "timeout": "30m", "idle": "5m", "env": ["HOME_PAGE"]},
    "task": [
        {"id": "plan", "prompt": "Plan {{ module }} {{ zebra }} {{ apfel }}", "agent": "claude", "model": "opus"},
        {
            "id": "implement",
            "needs": ["plan"],
            "prompt": "Do {{ task.plan.text }}",
            "check": [
                {"run": "pytest -q", "timeout": "2m"},
                {"file": "docs/export.md", "contains": "--json", "matches": "^#", "changed": True},
            ],
        },
        {"id": "lint", "needs": ["implement", "plan"], "run": "ruff check ."},
    ],
    "delivery": {"branch": "marathon/{name}"},
}


@pytest.fixture(scope="module")
def repo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository."""
    return make_repository(tmp_path_factory.mktemp("hashes") / "repo")


def shuffled(value: Any, rng: random.Random) -> Any:
    """The same value with the keys of every table in another order."""
    if isinstance(value, dict):
        items = [(key, shuffled(each, rng)) for key, each in value.items()]
        rng.shuffle(items)
        return dict(items)
    return [shuffled(each, rng) for each in value] if isinstance(value, list) else value


def paths(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The paths of all arrays in plain data that have two elements or more."""
    found = []
    if isinstance(value, list):
        found += [path] if len(value) > 1 else []
        for index, each in enumerate(value):
            found += paths(each, (*path, index))
    elif isinstance(value, dict):
        for key, each in value.items():
            found += paths(each, (*path, key))
    return found


@settings(max_examples=50, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_key_order(repo: Path, seed: int) -> None:
    """The order in which keys are written never matters."""
    assert plan_object(shuffled(CONTRACT, random.Random(seed)), repo).frozen == plan_object(CONTRACT, repo).frozen


@pytest.mark.parametrize("path", paths(CONTRACT), ids=str)
def test_array_order(repo: Path, path: tuple[Any, ...]) -> None:
    """The order of an array always matters."""
    other = copy.deepcopy(CONTRACT)
    array: Any = other
    for part in path:
        array = array[part]
    array.reverse()
    assert plan_object(other, repo).frozen.hash != plan_object(CONTRACT, repo).frozen.hash


@settings(max_examples=100, deadline=None)
@given(text=st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1))
def test_unicode(repo: Path, text: str) -> None:
    """Text is hashed as given: never normalised, and the same when read back."""
    contract = {"name": "x", "goal": text, "task": [{"id": "a", "run": "true"}]}
    frozen = plan_object(contract, repo, allow_secrets=True).frozen
    assert thaw(frozen.text) == frozen
    assert frozen.contract.goal == text
    assert json.loads(frozen.text)["goal"] == text


def test_composed_and_decomposed_are_two_texts(repo: Path) -> None:
    """é as one character and as two are different contracts."""
    one, two = ({"goal": goal, "task": [{"id": "a", "run": "true"}]} for goal in ("\u00e9", "e\u0301"))
    assert plan_object(one, repo).frozen.hash != plan_object(two, repo).frozen.hash


def test_what_does_not_count(repo: Path, tmp_path: Path) -> None:
    """Comments, layout, the machine's paths and where the contract lies leave the hash alone."""
    other = make_repository(tmp_path / "other")
    plain = plan_text('name="x"\n[[task]]\nid="a"\nrun="true"', repo).frozen
    laid_out = f'# hi\nname = "x" # ho\n\n[workspace]\nrepo = "{other}"\n\n[[task]]\n  run = \'true\'\n  id = """a"""\n'
    assert plan_text(laid_out, repo).frozen == plain
    assert plan_text('name="x"\n[[task]]\nid="a"\nrun="true"', other).frozen == plain
    assert str(repo).encode() not in plain.text


def test_toml_and_json_are_one_contract(repo: Path) -> None:
    """The form of the file is not part of the contract."""
    as_toml = plan_text('name = "x"\n[[task]]\nid = "a"\nprompt = "b\\nc"\nattempts = 2\n', repo)
    as_json = plan_object({"task": [{"attempts": 2, "prompt": "b\nc", "id": "a"}], "name": "x"}, repo)
    assert as_toml.frozen == as_json.frozen


def test_a_prompt_file_is_its_text(repo: Path) -> None:
    """A prompt from a file is frozen as its text, so that the file may change or go afterwards."""
    (repo / "a.md").write_text("Do\nit: ü.")
    from_file = plan_text('[[task]]\nid = "a"\nprompt_file = "./a.md"\n', repo)
    inline = plan_text('[[task]]\nid = "a"\nprompt = "Do\\nit: ü."\n', repo)
    assert from_file.frozen == inline.frozen


def test_defaults_are_filled_in(repo: Path) -> None:
    """What a task does not say comes from `[defaults]`, else from Marathon, and is written into the frozen text."""
    contract = plan_object(CONTRACT, repo).frozen.contract
    plan, implement, lint = contract.tasks
    assert (plan.agent, plan.model, plan.attempts, plan.timeout_ms, plan.idle_ms) == (
        "claude",
        "opus",
        5,
        1_800_000,
        300_000,
    )
    assert (implement.agent, implement.model, implement.env) == ("codex", None, ("HOME_PAGE",))
    assert (lint.agent, lint.run, lint.prompt, lint.needs) == ("command", "ruff check .", None, ("implement", "plan"))
    assert contract.delivery.branch == "marathon/add-json-export"
    assert contract.limits.parallel == 3
    bare = plan_object({"task": [{"id": "a", "prompt": "x"}]}, repo)
    text = json.loads(bare.frozen.text)
    assert text == {
        "v": 1,
        "name": "a",
        "goal": "",
        "workspace": {"base": "HEAD", "isolation": "worktree", "setup": []},
        "limits": {"parallel": 2},
        "variables": {},
        "tasks": [
            {
                "id": "a",
                "needs": [],
                "prompt": "x",
                "agent": "claude",
                "attempts": 3,
                "timeout_ms": 2_400_000,
                "idle_ms": 600_000,
                "allow_empty": False,
                "env": [],
                "checks": [],
            }
        ],
        "delivery": {"branch": "marathon/a"},
    }
    assert bare.repo == repo.resolve()
    assert len(bare.base) == 40


def test_a_model_belongs_to_its_agent(repo: Path) -> None:
    """The default model is for the default agent; a task with another agent, or with none, does not get it."""
    tasks = [{"id": "a", "prompt": "x"}, {"id": "b", "prompt": "x", "agent": "codex"}, {"id": "c", "run": "x"}]
    contract = plan_object({"defaults": {"model": "opus"}, "task": tasks}, repo).frozen.contract
    assert [task.model for task in contract.tasks] == ["opus", None, None]
