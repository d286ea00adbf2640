"""A job: a process tree that is run under supervision, be it an attempt's agent, a command or a check.

Standard library only: the daemon writes `job.json`, the supervisor reads it.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

from marathond.attempt.records import write_durably
from marathond.domain.limits import OUTPUT_BYTES_MAX, SETUP_TIMEOUT_MS, STOP_GRACE_MS, SUPERVISOR_PROTOCOL

JOB_FILE: Final = "job.json"


class Job(NamedTuple):
    """What a supervisor has to run, where, and within which bounds.

    `id` is `<session>/<task>/<attempt>`, for a check with `/<name>` after it. `stdin` names a file in the job's folder;
    None means an empty input. `timeout_ms` counts from the start of `argv`, `idle_ms` is silence on both of its outputs
    (None: no such bound); neither runs while the machine is suspended. `output_bytes_max` bounds each output file: half of it
    for the beginning, half for the end. To end it, each of `stop_signals` (`INT`, `TERM`, `HUP`) is sent to the whole tree and
    given `grace_ms`; what lives after that is killed. The shell lines of `setup` run first unless the file `setup_marker` exists, which
    is made when all of them succeeded; without a marker they run each time. They do not see the variables `setup_without`. `launch` names one launch: only the supervisor
    that was spawned for the one stored last runs the job.
    """

    id: str
    argv: tuple[str, ...]
    cwd: str
    timeout_ms: int | None
    idle_ms: int | None = None
    stdin: str | None = None
    output_bytes_max: int = OUTPUT_BYTES_MAX
    grace_ms: int = STOP_GRACE_MS
    stop_signals: tuple[str, ...] = ("TERM",)
    setup: tuple[str, ...] = ()
    setup_marker: str | None = None
    setup_timeout_ms: int = SETUP_TIMEOUT_MS
    setup_without: tuple[str, ...] = ()
    launch: str = ""
    v: int = SUPERVISOR_PROTOCOL

    @property
    def attempt_id(self) -> str:
        """The attempt that the job belongs to, `<session>/<task>/<attempt>`."""
        return "/".join(self.id.split("/")[:3])

    @property
    def patience_ms(self) -> int:
        """How long ending it may take before anything is killed."""
        return self.grace_ms * len(self.stop_signals)


def write_job(directory: Path, job: Job) -> None:
    """Makes the job's folder (0700) and stores the job in it (0600), durably. Raises OSError."""
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    write_durably(directory / JOB_FILE, json.dumps(job._asdict()).encode())


def read_job(directory: Path) -> Job:
    """The job stored in a folder. Raises OSError or ValueError."""
    fields: dict[str, Any] = json.loads((directory / JOB_FILE).read_bytes())
    if fields["v"] != SUPERVISOR_PROTOCOL:
        raise ValueError(f"job.json speaks protocol {fields['v']}, this supervisor {SUPERVISOR_PROTOCOL}")
    return Job(
        **{
            **fields,
            "argv": tuple(fields["argv"]),
            "setup": tuple(fields["setup"]),
            "setup_without": tuple(fields["setup_without"]),
            "stop_signals": tuple(fields["stop_signals"]),
        }
    )


class Confidential(NamedTuple):
    """What a job needs and must not be written down: its environment, and the secrets to keep out of its output by name."""

    env: Mapping[str, str]
    secrets: Mapping[str, str]

    def __repr__(self) -> str:
        return f"Confidential({len(self.env)} variables, {len(self.secrets)} secrets)"

    def encode(self) -> bytes:
        """As JSON. Values that are not UTF-8 travel as lone surrogates, as `os.environ` has them."""
        return json.dumps({"env": dict(self.env), "secrets": dict(self.secrets)}).encode()

    @classmethod
    def decode(cls, text: bytes) -> "Confidential":
        """Reads what `encode` made. Raises ValueError."""
        fields = json.loads(text)
        return cls(fields["env"], fields["secrets"])
