"""From a profile to a process: arguments, input, environment and thread of one attempt."""

import os
import re
import shutil
import subprocess
import sys
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import msgspec

from marathond.agents.profile import Profile, Signal
from marathond.domain.entries import Mode
from marathond.domain.errors import AGENT_UNUSABLE, MarathonError

THREADS: Final = uuid.UUID("6a6d1f0e-2c39-5a41-9b0c-4d4152415448")
"""The name space of chosen thread ids (RFC 9562, version 5)."""

ARGUMENT_BYTES_MAX: Final = 128 * 1024 - 1
"""Linux allows one argument this many bytes (MAX_ARG_STRLEN, less its final NUL)."""

PROMPT_FILE: Final = "prompt.md"
VERSION_SECONDS_MAX: Final = 20.0
_PLACEHOLDER: Final = re.compile(r"\{([a-z_]+)\}")


class Launch(msgspec.Struct, frozen=True, kw_only=True):
    """All that a supervisor needs to start an agent.

    `env` is what the profile sets, to be laid over the environment that the attempt may see. `files` are to be written
    (0600) into the attempt's directory before the start. `thread_known` says that `thread` holds before the first output;
    `resumed` that it continues an earlier one. `idle_floor_ms`: the agent may be silent that long, whatever the task says.
    """

    argv: tuple[str, ...]
    stdin: bytes | None = None
    env: dict[str, str] = {}
    files: dict[str, bytes] = {}
    thread: str | None = None
    thread_known: bool = False
    resumed: bool = False
    stop_signals: tuple[Signal, ...] = ("TERM", "KILL")
    grace_ms: int = 3_000
    idle_floor_ms: int = 0

    def __repr__(self) -> str:
        """Hides prompts and values: logs must not hold what an agent was told."""
        return (
            f"Launch({self.argv[0]!r}, {len(self.argv) - 1} arguments, thread={self.thread!r}, resumed={self.resumed})"
        )


def build(
    profile: Profile,
    *,
    mode: Mode,
    prompt: str,
    session: str,
    task: str,
    attempt: int,
    cwd: str,
    directory: str,
    model: str | None = None,
    thread: str | None = None,
    continuation: str | None = None,
    as_root: bool = False,
    sandboxed: bool = False,
) -> Launch:
    """How to start `profile` for one attempt.

    `thread` is that of the attempt before. With mode `continue`, and where the profile can resume, it goes on and hears
    `continuation` (default: the profile's `resume_prompt`); in every other case a new thread starts with `prompt`, the
    whole of it. `cwd` is the workspace, `directory` the attempt's own folder. Raises `MarathonError(AGENT_UNUSABLE)` for a
    model that the profile cannot ask for and for a prompt that does not fit its argument.
    """
    start, resume = _arguments(profile, as_root=as_root and not sandboxed)
    resumed = mode == "continue" and thread is not None and bool(resume)
    said = (profile.resume_prompt if continuation is None else continuation) if resumed else prompt
    if not resumed:
        thread = thread_id(session, task, attempt) if profile.thread == "chosen" else None
    values = {
        **program_values(),
        "thread": thread or "",
        "session": thread or "",
        "model": model or "",
        "prompt": said,
        "prompt_file": str(Path(directory) / PROMPT_FILE),
        "cwd": cwd,
        "task": task,
        "attempt": str(attempt),
    }
    own = _with_options(resume if resumed else start, _model_arguments(profile, model))
    templates = (*profile.command, *own)
    return Launch(
        argv=_argv(profile, templates, values),
        stdin=said.encode() if profile.prompt == "stdin" and profile.command else None,
        env=_environment(profile, values, sandboxed),
        files={PROMPT_FILE: said.encode()} if profile.prompt == "file" else {},
        thread=thread,
        thread_known=thread is not None,
        resumed=resumed,
        stop_signals=profile.stop.signals,
        grace_ms=profile.stop.grace_s * 1000,
        idle_floor_ms=profile.stop.idle_s * 1000,
    )


def thread_id(session: str, task: str, attempt: int) -> str:
    """The thread id that Marathon chooses for an attempt: the same whenever it is asked."""
    return str(uuid.uuid5(THREADS, f"{session}/{task}/{attempt}"))


def consent_needed(profile: Profile, *, as_root: bool) -> bool:
    """Whether the agent acts without asking, so that it may run outside a sandbox only with the user's consent."""
    special = profile.as_root.bypasses_permissions if as_root else None
    return profile.bypasses_permissions if special is None else special


def find(profile: Profile, path: str) -> str | None:
    """The agent's executable on a search path such as `$PATH`; None when it is not there. A shell line needs none."""
    if not profile.command:
        return "/bin/sh"
    program = _fill(profile.command[0], program_values())
    return shutil.which(program, path=path)


def require(profile: Profile, path: str) -> str:
    """As `find`, but raises `MarathonError(AGENT_UNUSABLE)` when the executable is not there."""
    found = find(profile, path)
    if found is None:
        reason = f"there is no executable {profile.command[0]!r} on the search path"
        hint = f"Install it, or name its whole path as `command` in a profile that extends {profile.name!r}."
        raise MarathonError(AGENT_UNUSABLE, agent=profile.name, reason=reason, hint=hint)
    return found


def read_version(profile: Profile, env: Mapping[str, str]) -> str | None:
    """The first line that the profile's `version` command prints; None when there is none or it fails. Blocks."""
    if not profile.version:
        return None
    argv = [_fill(part, program_values()) for part in profile.version]
    executable = shutil.which(argv[0], path=env.get("PATH", os.defpath))
    if executable is None:
        return None
    try:
        done = subprocess.run(
            [executable, *argv[1:]],
            env=dict(env),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=VERSION_SECONDS_MAX,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None  # a version is told for the record; the attempt itself will say what is wrong with the agent
    lines = done.stdout.decode("utf-8", "replace").split("\n")
    return lines[0].strip()[:200] or None if done.returncode == 0 else None


def program_values() -> dict[str, str]:
    """The placeholders that have a value before there is an attempt."""
    return {"python": sys.executable, "agents": str(Path(__file__).parent)}


def _arguments(profile: Profile, *, as_root: bool) -> tuple[tuple[str, ...], tuple[str, ...]]:
    if not as_root:
        return profile.start, profile.resume
    return profile.as_root.start or profile.start, profile.as_root.resume or profile.resume


def _model_arguments(profile: Profile, model: str | None) -> tuple[str, ...]:
    if model is None:
        return ()
    if not profile.model:
        hint = f'Leave `model` out, or give the profile a `model` key such as ["--model", "{{model}}"]; {profile.name!r} has none.'
        raise MarathonError(
            AGENT_UNUSABLE, agent=profile.name, reason=f"it cannot be asked for the model {model!r}", hint=hint
        )
    return profile.model


def _with_options(arguments: tuple[str, ...], options: tuple[str, ...]) -> tuple[str, ...]:
    """Options go last, but before a `--`, after which everything would be taken for the prompt."""
    end = arguments.index("--") if "--" in arguments else len(arguments)
    return (*arguments[:end], *options, *arguments[end:])


def _argv(profile: Profile, templates: tuple[str, ...], values: dict[str, str]) -> tuple[str, ...]:
    if not profile.command:
        return ("/bin/sh", "-c", values["prompt"])
    argv = [_fill(part, values) for part in templates]
    if profile.prompt == "argv" and not any("{prompt}" in part for part in templates):
        argv.append(values["prompt"])
    if profile.prompt == "file" and not any("{prompt_file}" in part for part in templates):
        argv.append(values["prompt_file"])
    if max(len(part.encode()) for part in argv) > ARGUMENT_BYTES_MAX:
        hint = "Shorten the prompt, or give it to the agent by stdin or by file."
        raise MarathonError(
            AGENT_UNUSABLE, agent=profile.name, reason="the prompt is longer than an argument may be", hint=hint
        )
    return tuple(argv)


def _environment(profile: Profile, values: dict[str, str], sandboxed: bool) -> dict[str, str]:
    own = profile.env | (profile.sandbox_env if sandboxed else {})
    return {name: _fill(text, values) for name, text in own.items()}


def _fill(text: str, values: Mapping[str, str]) -> str:
    """Replaces placeholders, in one pass: what a value contains is never looked at again."""
    return _PLACEHOLDER.sub(lambda match: values.get(match[1], match[0]), text)
