"""Nothing that happens to the daemon happens to a job, and nothing that happens to a supervisor goes unnoticed."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import anyio
import pytest

from marathond.attempt.detach import spawn_supervisor
from marathond.attempt.job import Confidential, Job, write_job
from marathond.attempt.lifecycle import Absent, Alive, Ended, LaunchFailed, Lost, inspect, launch, recover, wait
from marathond.attempt.records import write_start
from tests.support.jobs import ENV, is_alive, living, read_pid, run, shell_job, swept, until

pytestmark = pytest.mark.anyio

LAUNCHER = """
import anyio, pathlib, sys
from marathond.attempt.lifecycle import launch
from tests.support.jobs import ENV, shell_job
root = pathlib.Path(sys.argv[1])
async def main():
    await launch(root / "job", shell_job(root, sys.argv[2], id=sys.argv[3]), env=ENV)
    print("started", flush=True)
    await anyio.sleep_forever()
anyio.run(main)
"""


async def test_a_job_is_adopted_after_its_daemon_was_killed(tmp_path: Path) -> None:
    """kill -9 of the process that launched a job leaves it running; another process finds, follows and ends it."""
    job = shell_job(tmp_path, "echo $$ > main; while [ ! -e go ]; do sleep 0.01; done; echo done; exit 3")
    with swept(job):
        daemon = subprocess.Popen(
            [sys.executable, "-c", LAUNCHER, str(tmp_path), job.argv[2], job.id],
            stdout=subprocess.PIPE,
            start_new_session=True,
        )
        assert daemon.stdout is not None
        with daemon.stdout:
            assert daemon.stdout.readline() == b"started\n"
            os.killpg(daemon.pid, signal.SIGKILL)
            daemon.wait()
            assert daemon.stdout.read() == b"", "nobody else holds the daemon's pipe"
        state = inspect(tmp_path / "job")
        assert isinstance(state, Alive)
        assert is_alive(read_pid(tmp_path / "main"))
        assert await recover(tmp_path / "job") == state
        (tmp_path / "go").touch()
        end = await wait(tmp_path / "job", state.started)
        assert isinstance(end, Ended)
        assert end.exit.exit_code == 3
        assert (tmp_path / "job/output").read_text() == "done\n"


async def test_a_terminal_cannot_end_a_supervisor(tmp_path: Path) -> None:
    """SIGHUP and SIGINT, as from a closed terminal or Ctrl-C, do not touch a job."""
    job = shell_job(tmp_path, "while [ ! -e go ]; do sleep 0.01; done; exit 5")
    with swept(job):
        started = await launch(tmp_path / "job", job, env=ENV)
        for signum in (signal.SIGHUP, signal.SIGINT, signal.SIGPIPE):
            os.kill(started.pid, signum)
        (tmp_path / "go").touch()
        state = await wait(tmp_path / "job", started)
        assert isinstance(state, Ended)
        assert state.exit.exit_code == 5


async def test_a_killed_supervisor_is_lost_and_its_agent_swept(tmp_path: Path) -> None:
    """When the supervisor itself is killed, waiting says Lost, and no process of the job lives on."""
    job = shell_job(
        tmp_path, "(setsid sh -c 'echo $$ > orphan; exec sleep 300' > /dev/null 2>&1 &); echo $$ > main; sleep 300"
    )
    with swept(job):
        started = await launch(tmp_path / "job", job, env=ENV)
        pids = [read_pid(tmp_path / name) for name in ("main", "orphan")]
        os.kill(started.pid, signal.SIGKILL)
        state = await wait(tmp_path / "job", started)
        assert state == Lost(started, "its supervisor is gone")
        assert not any(map(is_alive, pids))
        assert inspect(tmp_path / "job") == state


async def test_recovery_sweeps_the_agent_of_a_supervisor_that_died_unseen(tmp_path: Path) -> None:
    """A daemon that comes back after both it and the supervisor were killed ends what the agent left running."""
    job = shell_job(tmp_path, "(setsid sh -c 'echo $$ > orphan; exec sleep 300' > /dev/null 2>&1 &); sleep 300")
    with swept(job):
        started = await launch(tmp_path / "job", job, env=ENV)
        orphan = read_pid(tmp_path / "orphan")
        os.kill(started.pid, signal.SIGKILL)
        until(lambda: not is_alive(started.pid))
        assert is_alive(orphan)
        assert isinstance(await recover(tmp_path / "job"), Lost)
        assert living(job) == []


async def test_after_a_reboot_a_job_is_lost_whoever_has_its_pid_now(tmp_path: Path) -> None:
    """A start record of another boot is believed in nothing, though a live process has its pid."""
    job = shell_job(tmp_path, "exit 0")
    state = await run(tmp_path / "job", job)
    (tmp_path / "job/exit.json").unlink()
    before = state.started._replace(boot_id="another boot", pid=os.getpid())
    write_start(tmp_path / "job", before)
    assert inspect(tmp_path / "job") == Lost(before, "the machine was restarted")


async def test_a_pid_that_changed_hands_is_not_waited_for(tmp_path: Path) -> None:
    """The pid of an ended supervisor may belong to somebody else now: the start tick tells them apart."""
    job = shell_job(tmp_path, "exit 0")
    state = await run(tmp_path / "job", job)
    with anyio.fail_after(5):
        assert await wait(tmp_path / "job", state.started._replace(pid=os.getpid())) == state


async def test_two_supervisors_run_one_agent(tmp_path: Path) -> None:
    """Of supervisors that race for a folder exactly one runs the job; the others do nothing at all."""
    job = shell_job(tmp_path, "echo x >> ran; while [ ! -e go ]; do sleep 0.01; done")
    results: list[object] = []

    async def race() -> None:
        try:
            results.append(await launch(tmp_path / "job", job, env=ENV))
        except LaunchFailed as failed:
            results.append(str(failed))

    with swept(job):
        async with anyio.create_task_group() as group:
            for _ in range(3):
                group.start_soon(race)
        (tmp_path / "go").touch()
        refused = [r for r in results if r == "another supervisor works, or has worked, in this folder"]
        assert (len(results), len(refused)) == (3, 2)
        state = inspect(tmp_path / "job")
        if isinstance(state, Alive):
            await wait(tmp_path / "job", state.started)
        assert (tmp_path / "ran").read_text() == "x\n"


async def test_a_supervisor_that_comes_after_recovery_starts_nothing(tmp_path: Path) -> None:
    """Once recovery has found nothing, the job may be launched again, and a supervisor of the earlier launch leaves at any time."""
    job = shell_job(tmp_path, "echo x >> ran; while [ ! -e go ]; do sleep 0.01; done")
    old = job._replace(launch="spawned by a daemon that was killed")
    write_job(tmp_path / "job", old)
    assert inspect(tmp_path / "job") == Absent()
    assert await recover(tmp_path / "job") == Absent()
    assert await _came_to_nothing(tmp_path / "job", old)
    write_job(tmp_path / "job", job._replace(launch="stored, and its supervisor is not there yet"))
    assert await _came_to_nothing(tmp_path / "job", old)
    with swept(job):
        started = await launch(tmp_path / "job", job, env=ENV)
        (tmp_path / "go").touch()
        assert isinstance(await wait(tmp_path / "job", started), Ended)
    assert (tmp_path / "ran").read_text() == "x\n"


async def _came_to_nothing(folder: Path, job: Job) -> bool:
    """Whether a supervisor ended without a start record."""
    ready = spawn_supervisor(folder, job, Confidential(ENV, {}))
    with anyio.fail_after(10):
        await anyio.wait_readable(ready)
    said = os.read(ready, 1)
    os.close(ready)
    return said == b"" and inspect(folder) == Absent()


async def test_a_supervisor_that_cannot_start_says_why(tmp_path: Path) -> None:
    """A job that this supervisor does not understand is refused with the reason, and runs nothing."""
    job = shell_job(tmp_path, "echo x >> ran", v=99)
    with pytest.raises(LaunchFailed, match="protocol 99"):
        await launch(tmp_path / "job", job, env=ENV)
    assert not (tmp_path / "ran").exists()


async def test_a_supervisor_that_fails_says_why_and_ends_its_job(tmp_path: Path) -> None:
    """A supervisor that cannot go on leaves no result, but the reason."""
    job = shell_job(tmp_path, "sleep 300")
    (tmp_path / "job/output").mkdir(parents=True)
    with swept(job):
        started = await launch(tmp_path / "job", job, env=ENV)
        state = await wait(tmp_path / "job", started)
        assert isinstance(state, Lost)
        assert state.why.startswith("its supervisor failed: IsADirectoryError")
        assert living(job) == []
