"""The records that a supervisor leaves in its job's folder, each written whole or not at all.

Standard library only. A file is written under another name, fsynced, renamed and its folder fsynced, so that after a crash
it is either absent or complete.
"""

import json
import os
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple

from marathond.attempt.processes import Process

LOCK_FILE: Final = "lock"
START_FILE: Final = "start.json"
EXIT_FILE: Final = "exit.json"
LOG_FILE: Final = "supervisor.log"
OUTPUT_FILE: Final = "output"
ERRORS_FILE: Final = "errors"

_RESERVED_BYTES: Final = 4096
_DETAIL_CHARS_MAX: Final = 1000

Cause = Literal["exit", "timeout", "idle", "stopped", "setup_failed", "spawn_failed"]
"""Why a job is over: it ended by itself; a bound was reached; it was told to stop; its program never ran."""


class Started(NamedTuple):
    """A supervisor at work: written before it executes anything. `cgroup` is the control group of the job's processes."""

    protocol: int
    boot_id: str
    pid: int
    start_ticks: int
    attempt: str
    job: str
    started_wall_us: int
    cgroup: str | None = None

    @property
    def process(self) -> Process:
        """The supervisor itself."""
        return Process(self.pid, self.start_ticks)


class Exit(NamedTuple):
    """How a job ended. Exactly one of `exit_code` and `signal` is set when its program ran.

    `elapsed_ms` is the program's own time on the monotonic clock, `lived_ms` that of the whole job, its setup included.
    `output_bytes` is what it wrote to its standard output, after redaction; `truncated` says that the middle of `output` or
    `errors` was left out.
    """

    exit_code: int | None
    signal: int | None
    cause: Cause
    detail: str
    elapsed_ms: int
    ended_wall_us: int
    output_bytes: int = 0
    truncated: bool = False
    lived_ms: int = 0


def write_durably(path: Path, content: bytes) -> None:
    """Replaces a file (0600) so that a crash leaves the old one or the new one. Raises OSError."""
    fresh = path.with_name(
        f"{path.name}.{os.urandom(6).hex()}.new"
    )  # its own name: two may write the same file at once
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        _write_all(descriptor, content)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    fresh.rename(path)
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Makes the names in a folder durable. Raises OSError."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def is_used(folder: Path) -> bool:
    """Whether a supervisor has started in a folder."""
    return any((folder / name).exists() for name in (START_FILE, EXIT_FILE))


def write_start(folder: Path, started: Started) -> None:
    """Stores `start.json`. Raises OSError."""
    write_durably(folder / START_FILE, json.dumps(started._asdict()).encode())


def read_start(folder: Path) -> Started | None:
    """The start record, None when there is none. Raises ValueError for a damaged one."""
    fields = _read(folder / START_FILE)
    return None if fields is None else Started(**_known(Started, fields))


def read_exit(folder: Path) -> Exit | None:
    """The exit record, None when there is none. Raises ValueError for a damaged one."""
    fields = _read(folder / EXIT_FILE)
    return None if fields is None else Exit(**_known(Exit, fields))


class ExitSlot:
    """Room for `exit.json`, taken at the start, so that a disk that fills up later cannot swallow the result."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._fresh = folder / (EXIT_FILE + ".new")
        self._descriptor = os.open(self._fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        try:
            os.posix_fallocate(self._descriptor, 0, _RESERVED_BYTES)
        except OSError:
            pass  # this file system cannot reserve; then the record needs free space when it is written

    def fill(self, exit_: Exit) -> None:
        """Stores `exit.json`. Raises OSError."""
        content = json.dumps(exit_._replace(detail=exit_.detail[:_DETAIL_CHARS_MAX])._asdict()).encode()
        _write_all(self._descriptor, content)
        os.ftruncate(self._descriptor, len(content))
        os.fsync(self._descriptor)
        os.close(self._descriptor)
        self._fresh.rename(self._folder / EXIT_FILE)
        sync_folder(self._folder)


def _read(path: Path) -> dict[str, Any] | None:
    try:
        fields = json.loads(path.read_bytes())
    except FileNotFoundError:
        return None
    if not isinstance(fields, dict):
        raise ValueError(f"{path} holds no record")
    return fields


def _known(record: type[Started] | type[Exit], fields: dict[str, Any]) -> dict[str, Any]:
    """The fields that this version knows: a supervisor of the next protocol may write more of them."""
    missing = [n for n in record._fields if n not in fields and n not in record._field_defaults]
    if missing:
        raise ValueError(f"the {record.__name__} record lacks {', '.join(missing)}")
    return {name: value for name, value in fields.items() if name in record._fields}


def _write_all(descriptor: int, content: bytes) -> None:
    view = memoryview(content)
    while view:
        view = view[os.write(descriptor, view) :]
