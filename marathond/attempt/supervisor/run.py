"""Runs a job from its setup lines to the last of its processes, and says how it ended."""

import os
import time
from collections.abc import Mapping
from pathlib import Path

from marathond.attempt.job import Confidential, Job
from marathond.attempt.processes import ATTEMPT_MARKER, JOB_MARKER
from marathond.attempt.records import ERRORS_FILE, OUTPUT_FILE, Cause, Exit, write_durably
from marathond.attempt.redact import Redactor
from marathond.attempt.supervisor.capture import Capture
from marathond.attempt.supervisor.cgroup import Cgroup
from marathond.attempt.supervisor.signals import Signals
from marathond.attempt.supervisor.spawn import SpawnFailedError
from marathond.attempt.supervisor.supervision import End, Supervision
from marathond.attempt.supervisor.tree import Tree


def run_job(
    directory: Path, job: Job, confidential: Confidential, signals: Signals, tree: Tree, cgroup: Cgroup | None
) -> Exit:
    """Runs the job; afterwards none of its processes is left and its output files are durable. Raises OSError."""
    began = _now_ms()
    redactor = Redactor(confidential.secrets)
    output = Capture(directory / OUTPUT_FILE, job.output_bytes_max, Redactor(confidential.secrets))
    errors = Capture(directory / ERRORS_FILE, job.output_bytes_max, Redactor(confidential.secrets))
    supervision = Supervision(signals, tree, cgroup, job.stop_signals, job.grace_ms)
    run = _Run(directory, job, _environment(job, confidential.env), supervision, output, errors)
    try:
        exit_ = run.setup() or run.program()
    except SpawnFailedError as failed:
        exit_ = _exit(None, "spawn_failed", f"{job.argv[0]!r} could not be started: {failed}")
    all_gone = supervision.finish()
    output.finish()
    errors.finish()
    details = [
        exit_.detail,
        "" if all_gone else "a process could not be killed",
        output.file.failed,
        errors.file.failed,
    ]
    return exit_._replace(
        detail=redactor.redact_text("; ".join(filter(None, details))),
        output_bytes=output.bytes_seen,
        truncated=output.file.truncated or errors.file.truncated,
        lived_ms=_now_ms() - began,
    )


class _Run:
    """The steps of one job. `setup` gives an exit when the program must not run."""

    def __init__(
        self,
        directory: Path,
        job: Job,
        env: Mapping[str, str],
        supervision: Supervision,
        output: Capture,
        errors: Capture,
    ) -> None:
        self._directory = directory
        self._job = job
        self._env = env
        self._supervision = supervision
        self._output = output
        self._errors = errors

    def setup(self) -> Exit | None:
        """The shell lines that prepare the workspace, unless they have succeeded there before.

        What they print goes to `errors`: `output` belongs to the program, whose reader would stumble over it.
        """
        marker = self._job.setup_marker
        if not self._job.setup or (marker is not None and Path(marker).exists()):
            return None
        end_ms = _now_ms() + self._job.setup_timeout_ms
        env = {name: value for name, value in self._env.items() if name not in self._job.setup_without}
        for line in self._job.setup:
            self._errors.write(f"$ {line}\n".encode("utf-8", "surrogateescape"))
            end = self._start(["sh", "-c", line], env, None, None, max(end_ms - _now_ms(), 0), None)
            if end.cause == "stopped":
                return _exit(end, "stopped", "stopped during setup")
            if end.cause == "timeout":
                return _exit(end, "setup_failed", f"setup took longer than {self._job.setup_timeout_ms} ms, in: {line}")
            if end.status != 0:
                return _exit(end, "setup_failed", f"setup line failed ({_describe(end.status)}): {line}")
        if marker is not None:
            write_durably(Path(marker), b"")
        return None

    def program(self) -> Exit:
        """The job's program itself."""
        end = self._start(
            self._job.argv, self._env, self._job.stdin, self._output, self._job.timeout_ms, self._job.idle_ms
        )
        detail = {
            "timeout": f"ran longer than {self._job.timeout_ms} ms",
            "idle": f"printed nothing for {self._job.idle_ms} ms",
            "stopped": "was told to stop",
        }.get(end.cause, "")
        return _exit(end, end.cause, detail)

    def _start(
        self,
        argv: tuple[str, ...] | list[str],
        env: Mapping[str, str],
        stdin: str | None,
        output: Capture | None,
        timeout_ms: int | None,
        idle_ms: int | None,
    ) -> End:
        return self._supervision.run(
            argv,
            env=env,
            cwd=self._job.cwd,
            stdin=os.devnull if stdin is None else str(self._directory / stdin),
            output=output,
            errors=self._errors,
            timeout_ms=timeout_ms,
            idle_ms=idle_ms,
        )


def _environment(job: Job, env: Mapping[str, str]) -> dict[str, str]:
    return {**env, "PWD": job.cwd, ATTEMPT_MARKER: job.attempt_id, JOB_MARKER: job.id}


def _exit(end: End | None, cause: Cause, detail: str) -> Exit:
    code = signum = None
    if end is not None:
        status = os.waitstatus_to_exitcode(end.status)
        code, signum = (status, None) if status >= 0 else (None, -status)
    elapsed = 0 if end is None else end.elapsed_ms
    return Exit(code, signum, cause, detail, elapsed, time.time_ns() // 1000)


def _describe(status: int) -> str:
    code = os.waitstatus_to_exitcode(status)
    return f"exit {code}" if code >= 0 else f"signal {-code}"


def _now_ms() -> int:
    return time.monotonic_ns() // 1_000_000
