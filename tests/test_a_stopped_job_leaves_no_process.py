"""However a job ends, none of its processes is left."""

import subprocess
import sys
from pathlib import Path

import pytest

from marathond.attempt.job import Confidential, write_job
from marathond.attempt.lifecycle import Ended, inspect, launch, stop
from tests.support.jobs import ENV, is_alive, living, read_pid, run, shell_job, swept, until

pytestmark = pytest.mark.anyio

# A child that leaves session and group, ignores TERM and outlives its parent: what agents' shell tools really do.
STUBBORN = """
setsid sh -c 'trap "" TERM; echo $$ > {dir}/orphan; exec sleep 300' > /dev/null 2>&1 &
(setsid setsid sh -c 'env -i sleep 301 & echo $! > {dir}/bare; wait' > /dev/null 2>&1 &)
"""


async def test_stop_takes_the_setsid_children_too(tmp_path: Path) -> None:
    """Stop ends the program and its orphans in other sessions, even those that ignore TERM or dropped the marker."""
    job = shell_job(tmp_path, STUBBORN.format(dir=tmp_path) + "echo $$ > main; exec sleep 300")
    with swept(job):
        started = await launch(tmp_path / "job", job, env=ENV)
        pids = [read_pid(tmp_path / name) for name in ("main", "orphan", "bare")]
        state = await stop(tmp_path / "job", started, job.grace_ms)
        assert isinstance(state, Ended)
        assert (state.exit.cause, state.exit.signal) == ("stopped", 15)
        assert not any(map(is_alive, pids))
        assert living(job) == []


async def test_what_a_program_leaves_behind_ends_with_it(tmp_path: Path) -> None:
    """A background process does not outlive a program that ends by itself; the program's own exit code counts."""
    job = shell_job(
        tmp_path, STUBBORN.format(dir=tmp_path) + "while [ ! -s bare ] || [ ! -s orphan ]; do sleep 0.01; done; exit 7"
    )
    with swept(job):
        state = await run(tmp_path / "job", job)
        assert (state.exit.cause, state.exit.exit_code, state.exit.signal) == ("exit", 7, None)
        assert not is_alive(read_pid(tmp_path / "orphan"))
        assert not is_alive(read_pid(tmp_path / "bare"))


async def test_a_program_may_clean_up_within_its_grace(tmp_path: Path) -> None:
    """TERM comes first, and what the program prints on its way out is kept."""
    script = "trap 'echo goodbye; exit 9' TERM; echo ready > ready; while :; do sleep 0.01; done"
    job = shell_job(tmp_path, script, grace_ms=5000)
    with swept(job):
        started = await launch(tmp_path / "job", job, env=ENV)
        until((tmp_path / "ready").exists)
        state = await stop(tmp_path / "job", started, job.grace_ms)
        assert isinstance(state, Ended)
        assert (state.exit.cause, state.exit.exit_code) == ("stopped", 9)
        assert (tmp_path / "job/output").read_text() == "goodbye\n"


async def test_stopping_twice_gives_the_same_result(tmp_path: Path) -> None:
    """Stopping what is over changes nothing."""
    job = shell_job(tmp_path, "exit 4")
    state = await run(tmp_path / "job", job)
    assert await stop(tmp_path / "job", state.started, 100) == state


def test_no_control_group_is_needed(tmp_path: Path) -> None:
    """Where no control group can be made, subreaper and marker find every process as well."""
    job = shell_job(
        tmp_path, STUBBORN.format(dir=tmp_path) + "while [ ! -s bare ] || [ ! -s orphan ]; do sleep 0.01; done"
    )
    folder = tmp_path / "job"
    write_job(folder, job)
    (tmp_path / "confidential").write_bytes(Confidential(ENV, {}).encode())
    driver = f"""
import os
from marathond.attempt.supervisor import main
main.Cgroup.make = classmethod(lambda cls, name: None)
os._exit(main.main({str(folder)!r}, "", os.open({str(tmp_path / "confidential")!r}, os.O_RDONLY), os.open(os.devnull, os.O_WRONLY)))
"""
    with swept(job):
        subprocess.run([sys.executable, "-c", driver], check=True, timeout=30, start_new_session=True)
        state = inspect(folder)
        assert isinstance(state, Ended)
        assert state.started.cgroup is None
        assert not is_alive(read_pid(tmp_path / "orphan"))
        assert not is_alive(read_pid(tmp_path / "bare"))


async def test_an_agents_own_signals_come_in_their_order(tmp_path: Path) -> None:
    """A profile that asks with INT first is asked with INT first, and with TERM only when that was not enough."""
    script = "trap 'echo int' INT; trap 'echo term; exit 9' TERM; echo ready > ready; while :; do sleep 0.01; done"
    job = shell_job(tmp_path, script, grace_ms=300)._replace(stop_signals=("INT", "TERM"))
    with swept(job):
        started = await launch(tmp_path / "job", job, env=ENV)
        until((tmp_path / "ready").exists)
        state = await stop(tmp_path / "job", started, job.patience_ms)
        assert isinstance(state, Ended)
        assert (tmp_path / "job/output").read_text() == "int\nterm\n"
