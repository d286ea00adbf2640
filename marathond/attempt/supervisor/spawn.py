"""Starts one program: its own session, two pipes for its output, and word of why it could not be executed."""

import os
import signal
from collections.abc import Mapping
from typing import Final, NamedTuple

from marathond.attempt.supervisor import kernel
from marathond.attempt.supervisor.cgroup import Cgroup

_RESTORED_SIGNALS: Final = (
    signal.SIGHUP, signal.SIGINT, signal.SIGTERM, signal.SIGCHLD, signal.SIGPIPE, signal.SIGXFSZ,
)  # fmt: skip


class Spawned(NamedTuple):
    """A running program: its pid and the read ends of its output and error pipes."""

    pid: int
    output: int
    errors: int


class SpawnFailedError(Exception):
    """The program could not be executed; the text says why."""


def spawn(
    argv: tuple[str, ...] | list[str],
    *,
    env: Mapping[str, str],
    cwd: str,
    stdin: str,
    merge: bool,
    cgroup: Cgroup | None,
) -> Spawned:
    """Executes `argv`, found on the PATH of `env`. With `merge` both its outputs go to the error pipe. Raises SpawnFailedError.

    The supervisor has one thread, so fork is safe. The program dies with its supervisor: without one nobody would read
    its output or bound its time.
    """
    output, output_end = os.pipe()
    errors, errors_end = os.pipe()
    trouble, trouble_end = os.pipe()
    parent = os.getpid()
    pid = os.fork()
    if pid == 0:
        try:
            os.setsid()
            kernel.die_with_parent(parent)
            if cgroup is not None:
                cgroup.enter()
            for signum in _RESTORED_SIGNALS:
                signal.signal(signum, signal.SIG_DFL)
            _arrange_files(stdin, errors_end if merge else output_end, errors_end)
            os.chdir(cwd)
            os.execvpe(argv[0], argv, env)  # noqa: S606 - starting the user's program is what this is for
        except BaseException as wrong:  # noqa: BLE001 - whatever it is, the parent must hear of it, and the child must not go on
            os.write(trouble_end, str(wrong).encode("utf-8", "replace")[:1000] or b"unknown")
        finally:
            os._exit(127)
    for end in (output_end, errors_end, trouble_end):
        os.close(end)
    reason = _read_all(trouble)
    if reason:
        os.close(output)
        os.close(errors)
        os.waitpid(pid, 0)
        raise SpawnFailedError(reason.decode("utf-8", "replace"))
    return Spawned(pid, output, errors)


def _arrange_files(stdin: str, output: int, errors: int) -> None:
    os.dup2(os.open(stdin, os.O_RDONLY), 0)
    os.dup2(output, 1)
    os.dup2(errors, 2)


def _read_all(descriptor: int) -> bytes:
    """All that comes until the other end is closed, which executing the program does."""
    content = b""
    with os.fdopen(descriptor, "rb", buffering=0) as file:
        while chunk := file.read(4096):
            content += chunk
    return content
