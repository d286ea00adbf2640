"""The contract that `marathonctl init` writes: short, commented, and valid as it stands."""

import json
import re
import tomllib
from pathlib import Path

from marathond.planning.branches import slug

_TEXT = """\
# A contract of Marathon: what to do, in which order, and how it is known to be done.
# Look it over with `marathonctl check`, start it with `marathonctl run`. Every key: docs/contract.md.

name = {name}
goal = "Say in one sentence what should be true at the end"

[workspace]
repo = "."                        # relative to this file
# base = "HEAD"                   # the commit to start from
# isolation = "worktree"          # your checkout stays untouched; "none" works in it
# setup = ["make deps"]           # run once in each new workspace

[limits]
parallel = 2                      # tasks at once
# wall = "4h"                     # ask you when agents have worked this long
# deadline = "2030-01-31T08:00:00Z"

[defaults]
agent = "claude"                  # or codex, or one of your own profiles
# attempts = 3
# timeout = "40m"                 # of one attempt
# idle = "10m"                    # silence after which an attempt counts as hung

[[task]]
id = "plan"
prompt = \"\"\"
Read the code and write down, in docs/plan.md, what has to change and in which order. Change nothing else.
\"\"\"
[[task.check]]
file = "docs/plan.md"

[[task]]
id = "implement"
needs = ["plan"]
prompt = \"\"\"
Carry out docs/plan.md. In short it says:

{{{{ task.plan.text }}}}
\"\"\"
[[task.check]]
run = {test}{note}
# timeout = "10m"

[delivery]
branch = "marathon/{{name}}"        # made when the session ends
"""


def starter(folder: Path) -> str:
    """The text of a starter contract for the project in `folder`, with the project's own test command."""
    test = find_test_command(folder)
    name = slug(folder.resolve().name)[:40].strip("-")
    return _TEXT.format(
        name=json.dumps(name),
        test=json.dumps(test or "git diff --check HEAD~1"),
        note="" if test else "   # put your test command here",
    )


def find_test_command(folder: Path) -> str | None:
    """How this project runs its tests; None when that cannot be told. A make target says it best, so it goes first."""
    if re.search(r"^test\s*:(?!=)", _text(folder / "Makefile"), re.MULTILINE):
        return "make test"
    if _has_npm_test(_text(folder / "package.json")):
        return "npm test"
    if (folder / "Cargo.toml").is_file():
        return "cargo test"
    if (folder / "go.mod").is_file():
        return "go test ./..."
    return "python -m pytest -q" if _has_pytest(folder) else None


def _has_npm_test(text: str) -> bool:
    try:
        package = json.loads(text)
    except (ValueError, RecursionError):
        return False
    scripts = package.get("scripts") if isinstance(package, dict) else None
    test = scripts.get("test") if isinstance(scripts, dict) else None
    return isinstance(test, str) and "no test specified" not in test


def _has_pytest(folder: Path) -> bool:
    if (folder / "pytest.ini").is_file() or (folder / "conftest.py").is_file():
        return True
    try:
        tools = tomllib.loads(_text(folder / "pyproject.toml")).get("tool", {})
    except (ValueError, RecursionError):
        tools = {}
    return "pytest" in tools or any((folder / "tests").glob("test_*.py"))


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return ""
