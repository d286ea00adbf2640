"""Where the programs from npm are that tests drive. One that is missing fails the test: a skip would hide it."""

import os
from pathlib import Path

AGENTS = Path(__file__).resolve().parents[1] / "agents"
FOLDER = AGENTS / "node_modules" / ".bin"


def search_path(*programs: str) -> str:
    """A PATH on which the pinned `programs` come first. Raises FileNotFoundError with the remedy for one that is missing."""
    for program in programs:
        if not (FOLDER / program).exists():
            raise FileNotFoundError(f"{program} is not installed: run `npm ci` in tests/agents (`make test` does)")
    return f"{FOLDER}:{os.environ['PATH']}"
