"""One call of git as a process of its own: bounded in time, and ended with all that it started when nobody wants it any more.

Git is not cut in the middle for nothing. Most calls take milliseconds, so whoever lets go of one waits for it a moment; only
one that hangs, in a filter of the user's on a dead network say, is asked to end, by SIGTERM, on which git removes its lock
files, and then killed.
"""

import os
import signal
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import NamedTuple

import anyio
import anyio.to_thread

from marathond.domain.limits import GIT_GRACE_SECONDS, GIT_SECONDS_MAX

_inherited: set[int] = set()
_asked_to_end: ContextVar[anyio.Event | None] = ContextVar("asked_to_end", default=None)


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


@contextmanager
def inherited(descriptor: int) -> Iterator[None]:
    """While the block is open, every git command keeps `descriptor` open as long as it runs (see `leash`)."""
    _inherited.add(descriptor)
    try:
        yield
    finally:
        _inherited.discard(descriptor)


@contextmanager
def ended_by(event: anyio.Event) -> Iterator[None]:
    """Calls made in the block are ended, and fail, when `event` is set and they do not end by themselves at once."""
    token = _asked_to_end.set(event)
    try:
        yield
    finally:
        _asked_to_end.reset(token)


class Call:
    """A command that runs once, in a thread; `send` reaches it and what it started from any other."""

    def __init__(self, argv: Sequence[str], cwd: Path, env: Mapping[str, str], given: bytes, limit: int | None) -> None:
        self._argv, self._cwd, self._env, self._given, self._limit = argv, cwd, env, given, limit
        self._process: subprocess.Popen[bytes] | None = None
        self.overdue = False
        """Whether it was ended because it took longer than `GIT_SECONDS_MAX`."""

    def run(self) -> Output:
        """Blocks until it has ended. With a limit its standard error is not kept. Raises OSError when it cannot be started."""
        pipe = subprocess.PIPE
        bounded = self._limit is not None
        with subprocess.Popen(
            self._argv,
            cwd=self._cwd,
            env=self._env,
            stdin=subprocess.DEVNULL if bounded else pipe,
            stdout=pipe,
            stderr=subprocess.DEVNULL if bounded else pipe,
            # Its own session: an interrupt typed at the daemon's terminal must not cut git in the middle of a change.
            start_new_session=True,
            pass_fds=tuple(_inherited),
        ) as self._process:
            return self._all(self._process) if self._limit is None else self._beginning(self._process, self._limit)

    def send(self, number: int) -> None:
        """Signals the command's whole process group; nothing when it has ended."""
        if self._process is not None and self._process.poll() is None:
            os.killpg(self._process.pid, number)

    def _beginning(self, process: "subprocess.Popen[bytes]", limit: int) -> Output:
        assert process.stdout is not None
        head = process.stdout.read(limit)
        process.stdout.close()  # git ends by SIGPIPE when there was more
        process.wait()
        cut = len(head) == limit
        return Output(0 if cut else process.returncode, head, "")

    def _all(self, process: "subprocess.Popen[bytes]") -> Output:
        stdout, stderr = process.communicate(self._given)
        said = f"it did not end within {GIT_SECONDS_MAX:.0f} s" if self.overdue else stderr.decode("utf-8", "replace")
        return Output(process.returncode, stdout, said)


async def finished(call: Call) -> Output:
    """Runs a call in a worker thread. Raises OSError when it cannot be started.

    Neither cancellation, nor the event of `ended_by`, nor that it takes longer than `GIT_SECONDS_MAX` cuts it at once: it has
    `GIT_GRACE_SECONDS` to end by itself, and as long again after SIGTERM.
    """
    over = anyio.Event()
    output: Output | None = None
    failure: OSError | None = None
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(_end_when_unwanted, call, over)
        try:
            output = await anyio.to_thread.run_sync(call.run)
        except OSError as error:
            failure = error
        finally:
            over.set()
            tasks.cancel_scope.cancel()
    if failure is not None:
        raise failure
    assert output is not None
    return output


async def _end_when_unwanted(call: Call, over: anyio.Event) -> None:
    asked = _asked_to_end.get() or anyio.Event()
    try:
        with anyio.move_on_after(GIT_SECONDS_MAX) as patience:
            await asked.wait()
        call.overdue = patience.cancelled_caught
    finally:  # asked, overdue, or cancelled: because the call is over, or because its caller was
        with anyio.CancelScope(shield=True):
            for number in (signal.SIGTERM, signal.SIGKILL):
                if not over.is_set():
                    with anyio.move_on_after(GIT_GRACE_SECONDS):
                        await over.wait()
                if not over.is_set():
                    call.send(number)
