"""Runs the real agents as their profiles say, against the scripted model API, in a repository and a home of their own."""

import os
import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from marathond.agents import launch, registry
from marathond.agents.launch import Launch
from marathond.agents.profile import Profile
from marathond.agents.readers import Conclusion, Ending, read_conclusion
from marathond.domain.entries import Mode, Usage
from tests.support.clis import search_path
from tests.support.model_api import ModelApi, Script
from tests.support.model_steps import Step

AGENTS = registry.load(None)
RUN_SECONDS_MAX = 60.0


@dataclass
class Run:
    """One run of an agent: its files, how it ended, and the script that it was given."""

    profile: Profile
    launch: Launch
    process: "subprocess.Popen[bytes]"
    output: Path
    errors: Path
    script: Script
    marker: str

    def finish(self) -> Conclusion:
        """Waits for the end and says what the run came to."""
        self.process.wait(RUN_SECONDS_MAX)
        return self.conclude()

    def kill(self, number: int) -> None:
        """Sends a signal to the whole process group, and ends what the agent's tools left behind in groups of their own."""
        os.killpg(self.process.pid, number)
        self.process.wait(RUN_SECONDS_MAX)
        end_marked(self.marker)

    def conclude(self, previous: Usage | None = None) -> Conclusion:
        """What the ended run came to; `previous` is the usage of the thread before it."""
        return read_conclusion(self.profile, self.output, self.errors, self.ending(), previous=previous)

    def ending(self) -> Ending:
        """How the process ended, as a supervisor would record it."""
        code = self.process.returncode
        now = time.time_ns() // 1000
        return Ending(
            cause="exit", ended_us=now, exit_code=code if code >= 0 else None, signal=-code if code < 0 else None
        )


class Workshop:
    """A repository, a home and a model API for runs of one test."""

    def __init__(self, folder: Path, api: ModelApi) -> None:
        self.home, self.repo, self.folder, self.api = folder / "home", folder / "repo", folder, api
        self.home.mkdir(parents=True)
        self.repo.mkdir()
        subprocess.run(["git", "init", "-q", str(self.repo)], check=True)

    def run(self, agent: str, steps: Sequence[Step] = (), **options: object) -> Conclusion:
        """`start`, and wait for the end."""
        return self.start(agent, steps, **options).finish()  # type: ignore[arg-type]

    def start(
        self,
        agent: str,
        steps: Sequence[Step] = (),
        *,
        prompt: str = "Please do the work.",
        mode: Mode = "fresh",
        thread: str | None = None,
        attempt: int = 1,
        oauth: bool = False,
        retries: int = 0,
        env: dict[str, str | None] | None = None,
        as_root: bool | None = None,
    ) -> Run:
        """Starts an agent on a new script of `steps`; a None in `env` takes a variable away."""
        self.api.scripts.clear()
        script, profile = self.api.script(steps), AGENTS.get(agent)
        marker = f"{self.folder.name}/{agent}/{attempt}"
        started = launch.build(
            profile,
            mode=mode,
            prompt=prompt,
            session=self.folder.name,
            task=agent,
            attempt=attempt,
            cwd=str(self.repo),
            directory=str(self.folder),
            thread=thread,
            as_root=os.geteuid() == 0 if as_root is None else as_root,
        )
        own = (
            self.api.claude_env(self.home, oauth=oauth)
            if agent == "claude"
            else self.api.codex_env(self.home, retries=retries)
        )
        wanted = {
            "PATH": search_path("claude", "codex"),
            **{name: os.environ[name] for name in ("TZ",) if name in os.environ},  # texts state resets in local time
            **own,
            **started.env,
            "MARATHON_ATTEMPT": marker,
            **(env or {}),
        }
        output, errors = self.folder / f"{agent}-{attempt}.output", self.folder / f"{agent}-{attempt}.errors"
        with output.open("wb") as out, errors.open("wb") as err:
            process = subprocess.Popen(
                started.argv,
                cwd=self.repo,
                env={name: value for name, value in wanted.items() if value is not None},
                stdin=subprocess.PIPE,
                stdout=out,
                stderr=err,
                start_new_session=True,
            )
        assert process.stdin is not None
        with process.stdin:
            process.stdin.write(started.stdin or b"")
        return Run(profile, started, process, output, errors, script, marker)


def until(true: Callable[[], bool], seconds: float = 30.0) -> None:
    """Waits until something is true, looking fifty times a second. Raises TimeoutError."""
    end = time.monotonic() + seconds
    while not true():
        if time.monotonic() > end:
            raise TimeoutError("it did not come true")
        time.sleep(0.02)


def end_marked(marker: str) -> None:
    """Kills the processes whose environment has this attempt's marker."""
    wanted = f"MARATHON_ATTEMPT={marker}".encode()
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if wanted in (folder / "environ").read_bytes().split(b"\0"):
                os.kill(int(folder.name), signal.SIGKILL)
        except (OSError, ProcessLookupError):
            continue  # it ended by itself, or is not ours to look at
