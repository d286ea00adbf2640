"""The one module through which workspaces and deliveries run git.

Every call is made the same way: no hooks, no fsmonitor, no replace refs, no prompts, no pager, no automatic
maintenance, no discovery of a repository above the folder that is meant, objects and refs fsynced (git by itself does
not sync loose objects), and never the user's index. Filters (Git LFS, line endings) do what the user's configuration
says. How a call runs and ends is in `call`.

One call costs 1–3 ms on a small repository; the docstrings of the modules above say how many an operation makes.
"""

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from marathond.domain.errors import GIT_UNUSABLE, MarathonError
from marathond.workspace.call import Call, Output, finished

OLDEST_VERSION: Final = (2, 38)
"""`git merge-tree --write-tree` came with 2.38."""

_SETTINGS: Final = {
    "core.hooksPath": "/dev/null",
    "core.fsmonitor": "false",
    "core.fsync": "objects,reference",
    "core.safecrlf": "false",
    "core.splitIndex": "false",
    # What tells a changed file without reading it is not the repository's to weaken: an agent can write its configuration.
    "core.trustctime": "true",
    "core.checkStat": "default",
    "core.ignoreStat": "false",
    # A workspace holds the whole tree: checks judge the whole tree.
    "core.sparseCheckout": "false",
    "index.sparse": "false",
    "submodule.recurse": "false",
    "gc.auto": "0",
    "maintenance.auto": "false",
    "protocol.ext.allow": "never",
    "commit.gpgSign": "false",
    "i18n.commitEncoding": "UTF-8",
    "color.ui": "false",
    "core.quotePath": "false",
    "advice.addEmbeddedRepo": "false",
    "advice.detachedHead": "false",
}
_OPTIONS: Final = ("--no-pager", *(part for item in _SETTINGS.items() for part in ("-c", "=".join(item))))
_KEPT_VARIABLES: Final = re.compile(
    r"GIT_(CONFIG_(GLOBAL|SYSTEM|NOSYSTEM|COUNT|KEY_\d+|VALUE_\d+)|SSH|SSH_COMMAND|SSL_\w+|EXEC_PATH)"
)


class GitError(Exception):
    """A git command failed. `stderr` is what it said, `code` its exit status."""

    def __init__(self, command: Sequence[str], code: int, stderr: str) -> None:
        self.command = tuple(command)
        self.code = code
        self.stderr = stderr.strip()
        super().__init__(f"git {' '.join(command)} ended with {code}: {self.stderr}")


@dataclass(frozen=True)
class Git:
    """Git in one folder.

    With `git_dir` (and `work_tree`) nothing is discovered: a damaged worktree cannot fall through to a repository
    above it. Without, only `cwd` itself is looked at, unless `discover` is set. With `objects` new objects go there.
    """

    cwd: Path
    git_dir: Path | None = None
    work_tree: Path | None = None
    index: Path | None = None
    objects: Path | None = None
    discover: bool = False

    def with_index(self, index: Path) -> "Git":
        """The same, reading and writing the index file `index`."""
        return replace(self, index=index)

    def environment(self, extra: Mapping[str, str] | None = None) -> dict[str, str]:
        """The variables a command gets: this process's, less all that would steer git elsewhere."""
        env = {k: v for k, v in os.environ.items() if not k.startswith("GIT_") or _KEPT_VARIABLES.fullmatch(k)}
        env |= {
            "LC_ALL": "C",
            "LANGUAGE": "",
            "GIT_TERMINAL_PROMPT": "0",
            "GIT_ASKPASS": "true",
            "SSH_ASKPASS": "true",
            "GIT_OPTIONAL_LOCKS": "0",
            "GIT_NO_REPLACE_OBJECTS": "1",
            "GIT_EDITOR": "false",
        }
        if not self.discover:
            env["GIT_CEILING_DIRECTORIES"] = str(self.cwd.parent)
        for name, value in (
            ("GIT_DIR", self.git_dir),
            ("GIT_WORK_TREE", self.work_tree),
            ("GIT_INDEX_FILE", self.index),
            ("GIT_OBJECT_DIRECTORY", self.objects),
        ):
            if value is not None:
                env[name] = str(value)
        return env | dict(extra or {})

    def command(self, *args: str) -> list[str]:
        """The argument list of a call."""
        return ["git", *_OPTIONS, *args]

    async def run(
        self,
        *args: str,
        input: bytes = b"",  # noqa: A002 - the name subprocess uses for the same thing
        env: Mapping[str, str] | None = None,
        check: bool = True,
        limit: int | None = None,
    ) -> Output:
        """Runs `git ARGS` and returns its output, at most `limit` bytes of it.

        Raises GitError when `check` is set and git ends with another status than 0, and
        MarathonError(GIT_UNUSABLE) when there is no git.
        """
        try:
            output = await finished(Call(self.command(*args), self.cwd, self.environment(env), input, limit))
        except (FileNotFoundError, PermissionError) as error:
            if error.filename == "git":
                raise MarathonError(GIT_UNUSABLE, reason="there is no git on the PATH") from error
            raise GitError(args, -1, f"{error.filename}: {error.strerror}") from error
        if check and output.code != 0:
            raise GitError(args, output.code, output.stderr)
        return output

    async def text(self, *args: str) -> str:
        """Standard output of `git ARGS` without its final newline. Raises GitError."""
        return (await self.run(*args)).text


async def git_version() -> tuple[int, int]:
    """Major and minor version of the git on the PATH. Raises MarathonError(GIT_UNUSABLE)."""
    said = await Git(Path("/")).text("version")
    match = re.search(r"(\d+)\.(\d+)", said)
    if match is None:
        raise MarathonError(GIT_UNUSABLE, reason=f"`git version` says {said!r}")
    return int(match[1]), int(match[2])


async def require_git() -> None:
    """Raises MarathonError(GIT_UNUSABLE) unless git is at least OLDEST_VERSION."""
    version = await git_version()
    if version < OLDEST_VERSION:
        found, needed = (".".join(map(str, v)) for v in (version, OLDEST_VERSION))
        raise MarathonError(GIT_UNUSABLE, reason=f"git is {found}; {needed} is needed")
