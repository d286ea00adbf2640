"""What `marathonctl init` writes passes the check as it stands and knows the project's tests."""

from pathlib import Path

import pytest

from marathond.domain.contract import RunCheck
from marathond.planning.starter import find_test_command, starter
from tests.support.plans import make_repository, plan_text

PROJECTS = [
    ("Makefile", "all:\n\techo\ntest: all\n\tpytest\n", "make test"),
    ("Makefile", "test := x\n", None),
    ("package.json", '{"scripts": {"test": "vitest run"}}', "npm test"),
    ("package.json", '{"scripts": {"test": "echo \\"Error: no test specified\\" && exit 1"}}', None),
    ("package.json", "[", None),
    ("Cargo.toml", "[package]", "cargo test"),
    ("go.mod", "module x", "go test ./..."),
    ("pytest.ini", "", "python -m pytest -q"),
    ("pyproject.toml", "[tool.pytest.ini_options]\n", "python -m pytest -q"),
    ("pyproject.toml", "= broken", None),
    ("README.md", "hi", None),
]


@pytest.mark.parametrize(("file", "content", "command"), PROJECTS)
def test_starter(tmp_path: Path, file: str, content: str, command: str | None) -> None:
    """The test command of each kind of project is found, and the contract with it is accepted without a warning."""
    repo = make_repository(tmp_path / 'My "Project" {x}')
    (repo / file).write_text(content)
    assert find_test_command(repo) == command
    planned = plan_text(starter(repo), repo)
    assert planned.warnings == []
    contract = planned.frozen.contract
    assert contract.name == "my-project-x"
    assert [task.id for task in contract.tasks] == ["plan", "implement"]
    (check,) = contract.tasks[1].checks
    assert isinstance(check, RunCheck)
    assert check.run == (command or "git diff --check HEAD~1")


def test_every_commented_key_is_real(tmp_path: Path) -> None:
    """Each line that is commented out can be switched on."""
    repo = make_repository(tmp_path / "repo")
    lines = starter(repo).splitlines()
    on = [line[2:] if line.startswith("# ") and " = " in line else line for line in lines]
    assert sum(a != b for a, b in zip(lines, on, strict=True)) == 9
    planned = plan_text("\n".join(on), repo)
    assert planned.frozen.contract.limits.wall_ms == 4 * 3_600_000
