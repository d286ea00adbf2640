"""What planning has to know of a git repository: that there is one, its top folder, and which commit a revision names.

Two short calls of git, blocking: the daemon makes them in a thread, and the client's `check` has no loop at all.
"""

import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple, Protocol

from marathond.domain.limits import PLANNING_GIT_SECONDS_MAX


class RepositoryError(ValueError):
    """There is no repository to work on; the text says why."""


class RepositoryFacts(Protocol):
    """A git repository, as far as a contract is concerned."""

    @property
    def top(self) -> Path:
        """The top folder of its checkout, absolute."""

    def commit(self, revision: str) -> str | None:
        """The full id of the commit that a revision names; None when it names none."""


FindRepository = Callable[[Path], RepositoryFacts]
"""Finds the repository that contains a folder. Raises RepositoryError."""


class Checkout(NamedTuple):
    """A checkout on disk."""

    top: Path

    def commit(self, revision: str) -> str | None:
        """The full id of the commit that a revision names; None when it names none."""
        asked = _git(self.top, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{revision}^{{commit}}")
        return asked.stdout.strip() if asked.returncode == 0 else None


def find_repository(folder: Path) -> Checkout:
    """The checkout that contains `folder`. Raises RepositoryError when there is none, or a bare one."""
    if not folder.is_dir():
        raise RepositoryError(f"there is no folder {folder}")
    asked = _git(folder, "rev-parse", "--show-toplevel")
    if asked.returncode == 0 and asked.stdout.strip():
        return Checkout(Path(asked.stdout.removesuffix("\n")))
    reason = asked.stderr.strip().partition("\n")[0].removeprefix("fatal: ")
    if "work tree" in reason:
        raise RepositoryError(f"{folder} has no checkout: it is a bare repository or inside .git")
    if "not a git repository" in reason:
        raise RepositoryError(f"{folder} is not in a git repository")
    raise RepositoryError(f"git cannot use {folder}: {reason}")


def _git(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    environment |= {"LC_ALL": "C", "GIT_NO_REPLACE_OBJECTS": "1", "GIT_TERMINAL_PROMPT": "0"}
    try:
        return subprocess.run(
            ["git", "-c", "core.fsmonitor=", "-c", "core.hooksPath=/dev/null", *arguments],
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="surrogateescape",
            timeout=PLANNING_GIT_SECONDS_MAX,
            check=False,
        )
    except FileNotFoundError:
        raise RepositoryError("git is not installed, or not on the PATH") from None
    except subprocess.TimeoutExpired:
        raise RepositoryError(f"git did not answer within {PLANNING_GIT_SECONDS_MAX:.0f} s") from None
