"""The one module through which workspaces and deliveries run git.

Every call is made the same way: no hooks, no fsmonitor, no replace refs, no prompts, no pager, no automatic
maintenance, no discovery of a repository above the folder that is meant, objects and refs fsynced (git by itself does
not sync loose objects), and never the user's index. Filters (Git LFS, line endings) do what the user's configuration
says. A call runs in a worker thread and is never cut in the middle: cancellation takes effect after git has ended. Only one
that does not end within `GIT_SECONDS_MAX` is killed.

One call costs 1–3 ms on a small repository; the docstrings of the modules above say how many an operation makes.
"""

import os
import re
import signal
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Final, NamedTuple

import anyio.to_thread

from marathond.domain.errors import GIT_UNUSABLE, MarathonError
from marathond.domain.limits import GIT_SECONDS_MAX

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


class Output(NamedTuple):
    """What a finished git command left: exit status, standard output, standard error."""

    code: int
    stdout: bytes
    stderr: str

    @property
    def text(self) -> str:
        """Standard output without its final newline; bytes that are not UTF-8 survive as surrogates."""
        return os.fsdecode(self.stdout).removesuffix("\n")

    @property
    def items(self) -> list[bytes]:
        """The NUL-terminated items of a `-z` output."""
        return self.stdout.split(b"\0")[:-1] if self.stdout else []


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
        work = partial(_run, self.command(*args), self.cwd, self.environment(env), input, limit)
        try:
            output = await anyio.to_thread.run_sync(work)
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


_inherited: set[int] = set()


@contextmanager
def inherited(descriptor: int) -> Iterator[None]:
    """While the block is open, every git command keeps `descriptor` open as long as it runs (see `leash`)."""
    _inherited.add(descriptor)
    try:
        yield
    finally:
        _inherited.discard(descriptor)


def _run(argv: Sequence[str], cwd: Path, env: Mapping[str, str], given: bytes, limit: int | None) -> Output:
    # Its own session: an interrupt typed at the daemon's terminal must not cut git in the middle of a change.
    if limit is None:
        return _run_bounded(argv, cwd, env, given)
    with subprocess.Popen(
        argv,
        cwd=cwd,
        env=env,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
        pass_fds=tuple(_inherited),
    ) as process:
        assert process.stdout is not None
        head = process.stdout.read(limit)
        process.stdout.close()  # git ends by SIGPIPE when there was more
        process.wait()
    cut = len(head) == limit
    return Output(0 if cut else process.returncode, head, "")


def _run_bounded(argv: Sequence[str], cwd: Path, env: Mapping[str, str], given: bytes) -> Output:
    """A filter of the user's that waits for ever, on a network say, must not hold a session for ever: it is ended with its git."""
    pipe = subprocess.PIPE
    with subprocess.Popen(
        argv, cwd=cwd, env=env, stdin=pipe, stdout=pipe, stderr=pipe, start_new_session=True, pass_fds=tuple(_inherited)
    ) as process:
        try:
            stdout, stderr = process.communicate(given, GIT_SECONDS_MAX)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
            return Output(-signal.SIGKILL, b"", f"it did not end within {GIT_SECONDS_MAX:.0f} s")
        return Output(process.returncode, stdout, stderr.decode("utf-8", "replace"))


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
