"""A job is bounded in time, silence and output, and its workspace is set up once."""

import json
import os
import subprocess
from pathlib import Path

import anyio
import pytest

from marathond.attempt.lifecycle import Ended, inspect, launch, wait
from marathond.attempt.records import Exit
from marathond.attempt.supervisor.capture import BoundedFile
from tests.support.jobs import ENV, read_pid, run, shell_job, swept, until

ORDINARY_SIGNALS = (1 << 31) - 1  # 32 and 33 are the C library's own: its posix_spawn has them ignored

pytestmark = pytest.mark.anyio


async def test_a_job_ends_at_its_timeout(tmp_path: Path) -> None:
    """A job that runs too long is ended, and what it printed until then is kept."""
    job = shell_job(tmp_path, "echo begun; while :; do echo; sleep 0.01; done", timeout_ms=200)
    with swept(job):
        exit_ = (await run(tmp_path / "job", job)).exit
        assert (exit_.cause, exit_.signal, exit_.detail) == ("timeout", 15, "ran longer than 200 ms")
        assert 200 <= exit_.elapsed_ms < 2000
        assert (tmp_path / "job/output").read_text().startswith("begun\n")


async def test_a_silent_job_counts_as_hung(tmp_path: Path) -> None:
    """Silence on both outputs ends a job; a word on either of them is a sign of life."""
    job = shell_job(tmp_path, "for i in 1 2 3 4 5 6; do echo $i >&2; sleep 0.1; done; exec sleep 60", idle_ms=300)
    with swept(job):
        exit_ = (await run(tmp_path / "job", job)).exit
        assert exit_.cause == "idle"
        assert exit_.elapsed_ms >= 800
        assert (tmp_path / "job/errors").read_text() == "1\n2\n3\n4\n5\n6\n"


async def test_output_beyond_its_bound_keeps_beginning_and_end(tmp_path: Path) -> None:
    """Of a job that prints too much the first and last lines are kept whole, and a line between says how much is missing."""
    job = shell_job(tmp_path, "i=0; while [ $i -lt 20000 ]; do echo line $i; i=$((i+1)); done", output_bytes_max=2000)
    exit_ = (await run(tmp_path / "job", job)).exit
    lines = (tmp_path / "job/output").read_text().splitlines()
    gap = next(n for n, line in enumerate(lines) if "left out" in line)
    assert lines[:gap] == [f"line {n}" for n in range(gap)]
    assert lines[gap + 1 :] == [f"line {n}" for n in range(20_000 - (len(lines) - gap - 1), 20_000)]
    missing = int(lines[gap].split()[1])
    kept = sum(len(line) + 1 for n, line in enumerate(lines) if n != gap)
    assert (exit_.truncated, exit_.output_bytes) == (True, missing + kept)
    assert not (tmp_path / "job/output.tail").exists()


@pytest.mark.parametrize("size", [0, 1, 9, 10, 11, 19, 20, 21, 39, 40, 41, 100])
@pytest.mark.parametrize("step", [1, 7, 64])
def test_a_bounded_file_loses_only_its_middle(tmp_path: Path, size: int, step: int) -> None:
    """Whatever the sizes of the writes: all is kept up to the bound, and beyond it exactly the ends."""
    data = bytes(97 + n % 26 for n in range(size))
    file = BoundedFile(tmp_path / "out", 20)
    for at in range(0, size, step):
        file.write(data[at : at + step])
    file.finish()
    kept = (tmp_path / "out").read_bytes()
    assert file.truncated == (size > 20)
    if size <= 20:
        assert kept == data
    else:
        assert kept == data[:10] + f"\n[marathon: {size - 20} bytes left out here]\n".encode() + data[-10:]


def test_a_full_disk_costs_words_but_not_the_work() -> None:
    """When output cannot be written the job goes on, and its record says what is missing."""
    file = BoundedFile(Path("/dev/full"), 1000)
    for _ in range(3):
        file.write(b"words\n")
    assert file.failed == "output could not be written: No space left on device"
    assert file.truncated
    file.finish()


async def test_a_flood_never_fills_the_disk(tmp_path: Path) -> None:
    """While a job prints without end, its files stay within the bound."""
    job = shell_job(tmp_path, "echo on; exec yes 0123456789", output_bytes_max=100_000, timeout_ms=1000)
    with swept(job):
        started = await launch(tmp_path / "job", job, env=ENV)
        largest = 0

        def size(path: Path) -> int:
            try:
                return path.stat().st_size
            except FileNotFoundError:
                return 0

        def disk_use_while_alive() -> bool:
            nonlocal largest
            largest = max(largest, sum(size(tmp_path / "job" / name) for name in ("output", "output.tail")))
            return (tmp_path / "job/exit.json").exists()

        until(disk_use_while_alive)
        await wait(tmp_path / "job", started)
        assert 50_000 < largest < 151_000, "the bound, and half of it again while the end is joined to the beginning"


async def test_setup_runs_once_in_a_workspace(tmp_path: Path) -> None:
    """The setup lines run before the program until they have succeeded once, and their words stay out of its output."""
    setup = ("echo preparing", "[ ! -e broken ]", "echo x >> setups")
    job = shell_job(tmp_path, "cat setups", setup=setup, setup_marker=str(tmp_path / "ready"))
    (tmp_path / "broken").touch()
    exit_ = (await run(tmp_path / "job1", job)).exit
    assert (exit_.cause, exit_.exit_code) == ("setup_failed", 1)
    assert exit_.detail == "setup line failed (exit 1): [ ! -e broken ]"
    assert not (tmp_path / "ready").exists()
    (tmp_path / "broken").unlink()
    for folder in ("job2", "job3"):
        exit_ = (await run(tmp_path / folder, job)).exit
        assert (exit_.cause, exit_.exit_code) == ("exit", 0)
        assert (tmp_path / folder / "output").read_text() == "x\n"
    assert (tmp_path / "job2/errors").read_text().startswith("$ echo preparing\npreparing\n")
    assert (tmp_path / "job3/errors").read_text() == ""


async def test_setup_is_bounded_too(tmp_path: Path) -> None:
    """A setup line that hangs fails the setup; the program does not run."""
    job = shell_job(tmp_path, "echo x > ran", setup=("sleep 60",), setup_timeout_ms=100)
    with swept(job):
        exit_ = (await run(tmp_path / "job", job)).exit
        assert exit_.cause == "setup_failed"
        assert "longer than 100 ms" in exit_.detail
        assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"argv": ("no-such-program",)}, "'no-such-program' could not be started"),
        ({"cwd": "/nonexistent/folder"}, "No such file or directory: '/nonexistent/folder'"),
        ({"stdin": "missing"}, "No such file or directory"),
    ],
)
async def test_a_program_that_cannot_start_says_why(tmp_path: Path, changes: dict[str, object], reason: str) -> None:
    """A missing program, folder or input is told as such, not as the exit of something that ran."""
    exit_ = (await run(tmp_path / "job", shell_job(tmp_path, "", **changes))).exit
    assert (exit_.cause, exit_.exit_code, exit_.signal) == ("spawn_failed", None, None)
    assert reason in exit_.detail


async def test_a_program_gets_its_input_folder_and_marker(tmp_path: Path) -> None:
    """Input, working folder, PWD and marker are as the job says; signals are as a program expects them."""
    script = "cat; pwd; echo $PWD $MARATHON_ATTEMPT $MARATHON_JOB; grep -E '^Sig(Ign|Blk)' /proc/self/status; ps -o sid= -p $$"
    job = shell_job(tmp_path, script)
    job = job._replace(id=job.id + "/check-0-abc")
    state = await run(tmp_path / "job", job, stdin=b"from stdin\n")
    lines = (tmp_path / "job/output").read_text().splitlines()
    assert lines[:3] == ["from stdin", str(tmp_path), f"{tmp_path} {job.attempt_id} {job.id}"]
    assert [int(line.split()[1], 16) & ORDINARY_SIGNALS for line in lines[3:5]] == [0, 0]
    assert int(lines[5]) != state.started.pid


async def test_only_the_jobs_own_files_are_open_in_it(tmp_path: Path) -> None:
    """No descriptor of the supervisor reaches the program: neither its lock nor anything of the daemon."""
    await run(tmp_path / "job", shell_job(tmp_path, "exec ls /proc/self/fd"))
    assert (tmp_path / "job/output").read_text().split() == ["0", "1", "2", "3"]  # 3 is what ls reads


async def test_records_are_private_and_whole(tmp_path: Path) -> None:
    """Everything in a job's folder is for its owner only, the records are JSON, and nothing half-written is left."""
    state = await run(tmp_path / "job", shell_job(tmp_path, "echo out; kill -SEGV $$"))
    assert (state.exit.exit_code, state.exit.signal) == (None, 11)
    names = {path.name for path in (tmp_path / "job").iterdir()}
    assert names == {"job.json", "lock", "start.json", "exit.json", "output", "errors"}
    assert all((tmp_path / "job" / name).stat().st_mode & 0o077 == 0 for name in names)
    assert Exit(**json.loads((tmp_path / "job/exit.json").read_bytes())) == state.exit
    assert inspect(tmp_path / "job") == state
    assert os.stat(tmp_path / "job").st_mode & 0o777 == 0o700


async def test_a_stranger_that_writes_into_the_jobs_output_does_not_keep_it(tmp_path: Path) -> None:
    """A process outside the job that got hold of its output and never stops writing: the job ends all the same."""
    job = shell_job(tmp_path, f"echo $$ > {tmp_path}/pid; while ! test -e {tmp_path}/go; do sleep 0.02; done")
    with swept(job):
        started = await launch(tmp_path / "job", job, env=ENV)
        output = f"/proc/{read_pid(tmp_path / 'pid')}/fd/1"
        with subprocess.Popen(["sh", "-c", f"exec yes > {output}"], start_new_session=True) as stranger:
            try:
                until(lambda: (tmp_path / "job/output").read_bytes().startswith(b"y\n"))
                (tmp_path / "go").touch()
                with anyio.fail_after(20):
                    assert isinstance(await wait(tmp_path / "job", started), Ended)
                stranger.wait(20)  # nobody reads its words any more
            finally:
                stranger.kill()
