"""Contracts for tests: a real repository to plan in, and short ways to plan."""

import functools
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from marathond.domain.errors import CONTRACT_INVALID, MarathonError
from marathond.planning.freeze import Planned, plan
from marathond.planning.repository import Checkout, find_repository
from marathond.planning.source import from_object, from_text

AGENTS = frozenset({"claude", "codex", "command", "scripted"})

GIT_ENVIRONMENT = {
    "GIT_CONFIG_GLOBAL": "/dev/null",
    "GIT_CONFIG_SYSTEM": "/dev/null",
    "GIT_AUTHOR_NAME": "Ada",
    "GIT_AUTHOR_EMAIL": "ada@example.org",
    "GIT_COMMITTER_NAME": "Ada",
    "GIT_COMMITTER_EMAIL": "ada@example.org",
}


def git(folder: Path, *arguments: str) -> str:
    """What git prints in `folder`; raises when it fails."""
    run = subprocess.run(
        ["git", *arguments], cwd=folder, env=os.environ | GIT_ENVIRONMENT, capture_output=True, text=True, check=True
    )
    return run.stdout


def make_repository(folder: Path) -> Path:
    """A new repository with one commit."""
    folder.mkdir(parents=True, exist_ok=True)
    git(folder, "init", "-q", "-b", "main")
    git(folder, "commit", "-q", "--allow-empty", "-m", "start")
    return folder


class _Remembered:
    """A real checkout whose answers are asked of git once: hundreds of generated contracts ask the same."""

    def __init__(self, checkout: Checkout) -> None:
        self.top = checkout.top
        self.commit: Callable[[str], str | None] = functools.cache(checkout.commit)


@functools.cache
def find_once(folder: Path) -> _Remembered:
    """Like `find_repository`, but each folder is asked for once."""
    return _Remembered(find_repository(folder))


def plan_text(text: str, root: Path, **options: Any) -> Planned:
    """Plans a TOML contract that is written in `root`."""
    return plan(from_text(text, "toml", root=root), agents=AGENTS, **options)


def plan_object(contract: dict[str, Any], root: Path, **options: Any) -> Planned:
    """Plans a contract that is given as an object."""
    return plan(from_object(contract, root=root), agents=AGENTS, find=find_once, **options)


def problems_of(call: Callable[[], object]) -> list[dict[str, Any]]:
    """The problems with which `call` refuses a contract."""
    with pytest.raises(MarathonError) as caught:
        call()
    assert caught.value.kind is CONTRACT_INVALID, caught.value
    problems: list[dict[str, Any]] = caught.value.data["problems"]
    assert problems
    return problems
