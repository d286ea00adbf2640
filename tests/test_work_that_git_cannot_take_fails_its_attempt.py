"""However strange the files are that an attempt leaves, the session goes on: nothing is tried for ever."""

import errno
from pathlib import Path

import pytest

from marathond.domain.errors import ENVIRONMENT_UNREADABLE, MarathonError
from marathond.engine.effects.troubles import may_pass
from marathond.workspace.git import GitError
from tests.support.box import Box, script, write

pytestmark = pytest.mark.timeout(90)


def test_unusable_work_fails_its_attempt_alone(tmp_path: Path) -> None:
    """A filter that fails, and a workspace that the agent removed, fail their attempts with a reason; the next ones do better."""
    broken = script("run = \"echo '*.bin filter=broken' > .gitattributes; echo x > a.bin\"")
    gone = script('attempt = 1\nrun = "rm -rf $PWD"', write("g", "x") + "\nattempt = 2")
    plan = f"""
[defaults]
agent = "scripted"
attempts = 1
[[task]]
id = "broken"
prompt = {broken}
[[task]]
id = "gone"
attempts = 2
prompt = {gone}
"""
    with Box(tmp_path) as box:
        box.git("config", "filter.broken.clean", "false")
        box.git("config", "filter.broken.required", "true")
        session = box.start(plan)
        box.until(lambda: box.kinds(session).count("candidate.refused") == 2, "both are refused")
        box.wait(session, "waiting")
        assert box.ctl("resume", session).code == 0  # cuts the pause before the second attempt short
        status = box.wait(session, "failed", "done")
        assert {t["id"]: t["state"] for t in status["tasks"]} == {"broken": "failed", "gone": "done"}
        reasons = {
            e["body"]["task"]: e["body"]["reason"] for e in box.entries(session) if e["kind"] == "candidate.refused"
        }
        assert "clean filter 'broken' failed" in reasons["broken"]
        assert "is not a worktree" in reasons["gone"]


def test_a_check_may_remove_its_workspace(tmp_path: Path) -> None:
    """A check that removes the folder it runs in keeps neither the next check from running nor the next attempt from its setup."""
    second = tmp_path / "second"
    plan = f"""
[workspace]
repo = "repo"
setup = ["mkdir -p cache; echo made > cache/setup"]
[[task]]
id = "a"
agent = "scripted"
attempts = 2
prompt = {script(write("f", "x"), write(".gitignore", "cache"), 'run = "grep -q made cache/setup"')}
[[task.check]]
run = "rm -rf $PWD"
[[task.check]]
run = "grep -q x f && if test -e {second}; then exit 0; else touch {second}; exit 1; fi"
"""
    with Box(tmp_path) as box:
        session = box.start(plan)
        box.until(second.exists, "both checks have run")
        box.wait(session, "waiting")
        assert box.ctl("resume", session).code == 0
        assert box.wait(session, "done", "failed")["state"] == "done", box.ctl("tail", session, "--no-follow")


def test_a_check_that_cannot_be_run_has_failed(tmp_path: Path) -> None:
    """Where the candidate cannot be checked out for the next check, that one fails with the reason after a few tries, and once."""
    work = script("run = \"echo '*.bin filter=broken' > .gitattributes; echo x > a.bin\"")
    plan = f"""
[[task]]
id = "a"
agent = "scripted"
attempts = 1
prompt = {work}
[[task.check]]
run = "echo spoiled > a.bin"
[[task.check]]
run = "true"
[[task.check]]
file = "a.bin"
"""
    with Box(tmp_path) as box:
        box.git("config", "filter.broken.clean", "cat")
        box.git("config", "filter.broken.smudge", "false")
        box.git("config", "filter.broken.required", "true")
        session = box.start(plan)
        assert box.wait(session, "failed", "done", seconds=20)["state"] == "failed"
        checks = [e["body"] for e in box.entries(session) if e["kind"] == "check.finished"]
        assert [(c["index"], c["ok"]) for c in checks] == [(0, True), (1, False), (2, True)]
        assert "it cannot be run" in checks[1]["detail"]
        assert "smudge filter" in checks[1]["detail"]


def test_a_conflict_in_files_of_any_name_is_told(tmp_path: Path) -> None:
    """Names that are no UTF-8, and more names than an entry holds, do not keep a conflict from being recorded."""
    make = tmp_path / "make.py"
    make.write_text(
        "import sys\n"
        "for name in [b'odd\\xff', *(b'%0240d' % i for i in range(1500))]:\n"
        "    open(name, 'w').write(sys.argv[1])\n"
    )
    go = tmp_path / "go"
    one = script(f'run = "python3 {make} one"')
    two = script(f'run = "python3 {make} two; while ! test -e {go}; do sleep 0.05; done"\nattempt = 1', write("y", "y"))
    plan = f"""
[defaults]
agent = "scripted"
[[task]]
id = "a"
prompt = {one}
[[task]]
id = "b"
prompt = {two}
"""
    with Box(tmp_path) as box:
        session = box.start(plan)
        box.until(lambda: box.task(session, "a")["state"] == "done", "a is done")
        go.touch()
        assert box.wait(session, "done", "failed")["state"] == "done", box.ctl("tail", session, "--no-follow")
        conflict = next(e["body"] for e in box.entries(session) if e["kind"] == "candidate.conflicted")
        assert len(conflict["paths"]) > 100


def test_a_secret_in_a_name_that_is_no_text_is_told(tmp_path: Path) -> None:
    """The name of a refused file may hold any bytes."""
    key = "my-proxy-pass-Zq8yy77zz"
    make = tmp_path / "make.py"
    make.write_text("import os\nopen(b'odd\\xff', 'w').write(os.environ['MY_TOKEN'])\n")
    plan = f"""
[[task]]
id = "a"
agent = "scripted"
attempts = 1
env = ["MY_TOKEN"]
prompt = {script(f'run = "python3 {make}"')}
"""
    with Box(tmp_path, {"MY_TOKEN": key}) as box:
        session = box.start(plan)
        assert box.wait(session, "done", "failed")["state"] == "failed"
        refused = next(e["body"] for e in box.entries(session) if e["kind"] == "candidate.refused")
        assert refused["reason"] == "it contains a secret that was handed out (in odd\ufffd)"


def test_work_that_cannot_be_integrated_fails_its_attempt(tmp_path: Path) -> None:
    """Also what goes wrong outside of git, here where the patch of a conflict should be stored, is tried a few times and told."""
    go = tmp_path / "go"
    plan = f"""
[defaults]
attempts = 1
[[task]]
id = "a"
run = "echo one > f"
[[task]]
id = "b"
run = "while ! test -e {go}; do sleep 0.05; done; echo two > f"
"""
    with Box(tmp_path) as box:
        session = box.start(plan)
        box.until(lambda: box.task(session, "a")["state"] == "done" and box.running(session, "b"), "a is done")
        blobs = box.state / "blobs"
        blobs.rename(tmp_path / "blobs")
        blobs.write_text("in the way")
        go.touch()
        box.until(lambda: "candidate.refused" in box.kinds(session), "it is refused", 40)
        blobs.unlink()
        (tmp_path / "blobs").rename(blobs)
        assert box.wait(session, "failed", "done")["state"] == "failed"
        refused = next(e["body"] for e in box.entries(session) if e["kind"] == "candidate.refused")
        assert refused["reason"].startswith("its work cannot be committed: ")


@pytest.mark.parametrize(
    ("error", "tries"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), None),
        (GitError(["add"], 128, "fatal: write error: No space left on device"), None),
        (MarathonError(ENVIRONMENT_UNREADABLE, session="s", reason="its file is damaged"), None),
        (GitError(["update-ref"], 128, "fatal: cannot lock ref 'refs/x': Unable to create 'x.lock': File exists."), 8),
        (OSError(errno.EAGAIN, "Resource temporarily unavailable"), 8),
        (GitError(["add"], 128, "fatal: bad object"), 3),
        (ValueError("not enough values to unpack"), 3),
    ],
)
def test_what_passes_is_told_from_what_stays(error: Exception, tries: int | None) -> None:
    """A full disk and a damaged environment are waited out, a lock for some minutes, all else is tried three times more."""
    assert [may_pass(error, n) for n in range(100)] == [tries is None or n < tries for n in range(100)]
