"""docs/contract.md and the planner know the same keys, and every example is a contract that is accepted."""

import re
from collections.abc import Mapping
from pathlib import Path

import pytest

from marathond.domain import limits
from marathond.domain.instants import format_duration
from marathond.planning import draft
from marathond.planning.freeze import AGENT_DEFAULT, BRANCH_DEFAULT, plan
from marathond.planning.source import read_source
from tests.support.plans import AGENTS, make_repository, plan_text

ROOT = Path(__file__).parent.parent
DOCS = (ROOT / "docs" / "contract.md").read_text(encoding="utf-8")
EXAMPLES = sorted((ROOT / "examples").glob("*.toml"))
BLOCKS = re.findall(r"^```toml\n(.*?)^```", DOCS, re.DOTALL | re.MULTILINE)

TABLES: dict[str, draft.Keys] = {
    "The contract itself": draft.CONTRACT_KEYS,
    "`[workspace]`": draft.WORKSPACE_KEYS,
    "`[limits]`": draft.LIMITS_KEYS,
    "`[defaults]`": draft.DEFAULTS_KEYS,
    "`[[task]]`": draft.TASK_KEYS,
    "`[[task.check]]`": draft.CHECK_KEYS,
    "`[delivery]`": draft.DELIVERY_KEYS,
}


def section(title: str) -> str:
    """What stands under a heading."""
    return DOCS.split(f"\n## {title}\n", 1)[1].split("\n## ", 1)[0]


def documented(title: str) -> dict[str, str]:
    """The keys of a section's table and how their default is given."""
    rows = re.findall(r"^\| `(\w+)` \|[^|]*\|([^|]*)\|", section(title), re.MULTILINE)
    return {key: default.strip().strip("`") for key, default in rows}


@pytest.mark.parametrize("title", TABLES)
def test_keys(title: str) -> None:
    """Every accepted key is documented, and every documented key is accepted, in the same order."""
    assert list(documented(title)) == list(TABLES[title])


def test_defaults() -> None:
    """The defaults in the documentation are those that are filled in."""
    expected: Mapping[str, object] = {
        "agent": f'"{AGENT_DEFAULT}"',
        "attempts": limits.ATTEMPTS_DEFAULT,
        "timeout": f'"{format_duration(limits.TIMEOUT_DEFAULT_MS)}"',
        "idle": f'"{format_duration(limits.IDLE_DEFAULT_MS)}"',
    }
    found = documented("`[defaults]`")
    assert {key: found[key] for key in expected} == {key: str(value) for key, value in expected.items()}
    assert documented("`[limits]`")["parallel"] == str(limits.PARALLEL_DEFAULT)
    assert documented("`[delivery]`")["branch"] == f'"{BRANCH_DEFAULT}"'
    assert documented("`[[task.check]]`")["timeout"] == f'"{format_duration(limits.CHECK_TIMEOUT_DEFAULT_MS)}"'


def test_limits() -> None:
    """So are the bounds."""
    for number in (limits.TASKS_MAX, limits.TEXT_CHARS_MAX, limits.PROMPT_BYTES_MAX):
        assert f"{number:,}" in DOCS
    assert f"1 to {limits.ATTEMPTS_MAX}" in DOCS
    assert f"1 to {limits.PARALLEL_MAX}" in DOCS
    assert f"{limits.CONTRACT_BYTES_MAX // 2**20} MiB" in DOCS


@pytest.mark.parametrize("block", BLOCKS, ids=range(len(BLOCKS)))
def test_blocks(block: str, tmp_path: Path) -> None:
    """Every contract that the documentation shows is accepted without a warning."""
    assert plan_text(block, make_repository(tmp_path)).warnings == []


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
def test_examples(example: Path, tmp_path: Path) -> None:
    """Every contract in examples/ is accepted without a warning."""
    copy = make_repository(tmp_path) / example.name
    copy.write_bytes(example.read_bytes())
    planned = plan(read_source(copy), agents=AGENTS)
    assert planned.warnings == []
    assert planned.frozen.contract.name


def test_there_are_examples() -> None:
    """The examples that the documentation speaks of exist."""
    assert {"add-json-export", "parallel", "scripted-demo"} <= {path.stem for path in EXAMPLES}
    assert len(BLOCKS) == 3
