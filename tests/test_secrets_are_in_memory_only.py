"""What a job was given to keep secret is in nobody's argv, on no disk and in no output."""

import base64
import subprocess
import sys
from pathlib import Path

import pytest

from marathond.attempt.environment import choose
from marathond.attempt.job import Confidential
from marathond.attempt.lifecycle import Ended, launch, wait
from tests.support.jobs import ENV, living, run, shell_job, swept, until

pytestmark = pytest.mark.anyio

SECRET = 'correct horse/battery+staple=9 "quoted"'


def _files_with(folder: Path, needle: str) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file() and needle.encode() in path.read_bytes()]


async def test_a_key_reaches_the_agent_and_nothing_else(tmp_path: Path) -> None:
    """The agent has the key in its environment; the supervisor's argv and environment and the state folder do not."""
    job = shell_job(tmp_path, 'printf %s "$MY_TOKEN" | wc -c; touch up; while [ ! -e go ]; do sleep 0.01; done')
    with swept(job):
        started = await launch(tmp_path / "job", job, env={**ENV, "MY_TOKEN": SECRET}, secrets={"MY_TOKEN": SECRET})
        until((tmp_path / "up").exists)
        assert started.pid in living(job)
        for name in ("cmdline", "environ"):
            assert SECRET.encode() not in Path(f"/proc/{started.pid}/{name}").read_bytes()
        assert _files_with(tmp_path, SECRET) == []
        (tmp_path / "go").touch()
        assert isinstance(await wait(tmp_path / "job", started), Ended)
        assert (tmp_path / "job/output").read_text().strip() == str(len(SECRET))


async def test_a_key_that_is_printed_in_pieces_stays_out_of_the_files(tmp_path: Path) -> None:
    """A key written in two writes, to either output, plainly or in Base64, is nowhere on disk."""
    half = len(SECRET) // 2
    script = 'for fd in 1 2; do printf %s "$A" >&$fd; sleep 0.05; printf "%s\n" "$B" >&$fd; done; printf %s "$MY_TOKEN" | base64 -w0'
    env = {**ENV, "MY_TOKEN": SECRET, "A": SECRET[:half], "B": SECRET[half:]}
    await run(tmp_path / "job", shell_job(tmp_path, script), env=env, secrets={"MY_TOKEN": SECRET})
    assert _files_with(tmp_path, SECRET) == []
    assert _files_with(tmp_path, base64.b64encode(SECRET.encode()).decode()[:20]) == []
    assert (tmp_path / "job/output").read_text().startswith("[redacted:MY_TOKEN]\n[redacted:MY_TOKEN]")
    assert (tmp_path / "job/errors").read_text() == "[redacted:MY_TOKEN]\n"


async def test_a_key_in_a_failure_stays_out_of_the_records(tmp_path: Path) -> None:
    """The reason why a program could not start is redacted as well."""
    secret = "0123-4567-89ab-cdef"
    job = shell_job(tmp_path, "", argv=("sh",), cwd="/" + secret)
    (tmp_path / "job").mkdir()
    state = await run(tmp_path / "job", job, secrets=[secret])
    assert state.exit.cause == "spawn_failed"
    assert secret not in (tmp_path / "job/exit.json").read_text()


def test_what_holds_secrets_does_not_show_them() -> None:
    """Printing the objects that carry an environment prints no value of it."""
    env = choose({"HOME": "/root", "MY_TOKEN": SECRET}, task_names=["MY_TOKEN"])
    assert env.secrets == {"MY_TOKEN": SECRET}
    for thing in (env, Confidential(env.values, env.secrets)):
        assert "correct" not in repr(thing)
        assert "/root" not in repr(thing)


def test_the_daemon_leaks_no_descriptor_by_launching(tmp_path: Path) -> None:
    """After jobs were launched and have ended, the launching process has the descriptors it had before."""
    script = """
import anyio, os, pathlib, sys
from tests.support.jobs import run, shell_job
root = pathlib.Path(sys.argv[1])
async def main():
    await run(root / "first", shell_job(root, "exit 0"))
    before = len(os.listdir("/proc/self/fd"))
    for n in range(3):
        await run(root / str(n), shell_job(root, "exit 0"))
    await anyio.sleep(0.05)
    assert len(os.listdir("/proc/self/fd")) == before, os.listdir("/proc/self/fd")
    try:
        os.waitpid(-1, os.WNOHANG)
    except ChildProcessError:
        print("clean")
anyio.run(main)
"""
    argv = [sys.executable, "-c", script, str(tmp_path)]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=30, check=False)
    assert done.stdout == "clean\n", done.stderr
