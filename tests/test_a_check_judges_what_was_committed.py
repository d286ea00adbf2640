"""A check is asked of exactly the commit that is to become a checkpoint, costs nothing when it is cut off, and leaks no key."""

import select
import zlib
from pathlib import Path

import anyio
import pytest

from marathond.attempt.processes import identify, open_pidfd
from marathond.domain import entries as e
from tests.support.box import Box, script, write
from tests.support.ledgers import change, running_writer

pytestmark = pytest.mark.timeout(90)

KEY = "my-proxy-pass/Zq8+yy=77zz"


def test_a_check_that_a_halt_cut_off_is_run_anew(tmp_path: Path) -> None:
    """A halt during a check is no failure of the attempt: after `resume` the check runs again and counts."""
    began = tmp_path / "began"
    plan = f"""
[[task]]
id = "a"
agent = "scripted"
attempts = 1
prompt = {script(write("f", "hello"))}
[[task.check]]
run = "echo x >> {began}; test $(wc -l < {began}) -gt 4 || exec sleep 60"
"""
    with Box(tmp_path) as box:
        session = box.start(plan)
        for round_ in range(1, 5):
            box.until(lambda n=round_: began.exists() and len(began.read_text().split()) == n, "the check runs")
            assert box.ctl("halt", session).code == 0
            assert box.ctl("resume", session).code == 0
        status = box.wait(session, "done", "failed", "waiting")
        assert status["state"] == "done", box.ctl("tail", session, "--no-follow")
        assert [e["body"]["ok"] for e in box.entries(session) if e["kind"] == "check.finished"] == [True]
        assert box.task(session, "a")["attempts"] == 1


def test_a_check_that_outlived_a_halt_is_ended(tmp_path: Path) -> None:
    """Where the daemon died between the halt's record and the end of a check, the next daemon ends it; `resume` runs it anew."""
    began, go = tmp_path / "began", tmp_path / "go"
    plan = f"""
[[task]]
id = "a"
agent = "scripted"
attempts = 1
prompt = {script(write("f", "hello"))}
[[task.check]]
run = "test -e {go} || {{ echo $$ > {began}; exec sleep 60; }}"
"""
    with Box(tmp_path) as box:
        session = box.start(plan)
        box.until(lambda: began.exists() and began.read_text(), "the check runs")
        box.kill_daemon()
        anyio.run(_record_halt, box, session)  # as the daemon did, before it was killed
        found = identify(int(began.read_text()))
        assert found is not None, "the check lives"
        with open_pidfd(found) as check:
            assert check is not None
            box.daemon_up()
            assert box.status(session)["state"] == "halted"
            assert select.select([check], [], [], 10)[0], "the check has been ended"
        go.touch()
        assert box.ctl("resume", session).code == 0
        assert box.wait(session, "done", "failed")["state"] == "done", box.ctl("tail", session, "--no-follow")


async def _record_halt(box: Box, session: str) -> None:
    async with running_writer(box.places) as writer:
        bodies = [e.RequestHalt(drain=False), e.RunEnded(run=f"{session}.1", reason="halted"), e.SessionHalted()]
        await writer.submit(change(*(e.Draft(e.session_stream(session), body) for body in bodies)))


def test_no_check_sees_what_another_one_wrote(tmp_path: Path) -> None:
    """What a check does to tracked or new files is gone before the next check: it is in no commit. Ignored files stay."""
    plan = f"""
[[task]]
id = "a"
agent = "scripted"
attempts = 1
prompt = {script(write("f", "wrong"), write(".gitignore", "cache"))}
[[task.check]]
run = "echo right > f; echo new > g; echo kept > cache"
[[task.check]]
run = "grep -q right f"
[[task.check]]
run = "test ! -e g && grep -q kept cache"
"""
    with Box(tmp_path) as box:
        session = box.start(plan)
        assert box.wait(session, "done", "failed")["state"] == "failed"
        assert [e["body"]["ok"] for e in box.entries(session) if e["kind"] == "check.finished"] == [True, False, True]


def test_the_next_attempt_finds_the_work_and_not_what_checks_wrote(tmp_path: Path) -> None:
    """An attempt that goes on where only some checks failed finds the candidate's files, whatever the checks did to them. Ignored
    files stay."""
    look = 'run = "cat f cache > seen; ls >> seen"\nattempt = 2'
    plan = f"""
[[task]]
id = "a"
agent = "scripted"
attempts = 2
prompt = {script(look, write(".gitignore", "cache"), write("f", "work") + chr(10) + "attempt = 1")}
[[task.check]]
file = "seen"
[[task.check]]
run = "echo spoiled > f; touch junk; echo kept > cache"
"""
    with Box(tmp_path) as box:
        session = box.start(plan)
        box.wait(session, "waiting", "failed")
        assert box.ctl("resume", session).code == 0
        status = box.wait(session, "done", "failed")
        assert status["state"] == "done", box.ctl("tail", session, "--no-follow")
        modes = [e["body"]["mode"] for e in box.entries(session) if e["kind"] == "attempt.intended"]
        assert modes == ["fresh", "continue"]
        assert box.git("show", f"{status['branch']}:seen").split() == ["work", "kept", "README", "cache", "f", "seen"]


def test_a_check_that_finds_the_agents_key_does_not_keep_it(tmp_path: Path) -> None:
    """A key that the agent left in an ignored file is taken out of what a check prints, although the check never had it."""
    plan = f"""
[[task]]
id = "a"
agent = "keyed"
prompt = {script('run = "printf %s $MY_PROXY > cache"', write("f", "x"), write(".gitignore", "cache"))}
[[task.check]]
run = "cat cache; test -z \\"$MY_PROXY\\""
"""
    with Box(tmp_path, {"MY_PROXY": KEY}) as box:
        (box.config / "agents").mkdir()
        (box.config / "agents/keyed.toml").write_text('extends = "scripted"\nsecret_env = ["MY_PROXY"]\n')
        session = box.start(plan)
        assert box.wait(session, "done", "failed")["state"] == "done"
        result = next(e["body"] for e in box.entries(session) if e["kind"] == "check.finished")
        kept = zlib.decompress((box.state / "blobs" / result["output"][:2] / result["output"]).read_bytes())
        assert kept == b"[redacted:MY_PROXY]"


def test_a_pattern_without_end_stops_its_check_alone(tmp_path: Path) -> None:
    """A regular expression that would search for years fails its check with the reason, and the daemon answers meanwhile."""
    plan = f"""
[[task]]
id = "a"
agent = "scripted"
attempts = 1
prompt = {script(write("f", "a" * 40 + "!"))}
[[task.check]]
file = "f"
matches = "(a+)+$"
[[task.check]]
file = "f"
matches = "^a+!$"
"""
    with Box(tmp_path) as box:
        session = box.start(plan)
        box.until(lambda: "candidate.made" in box.kinds(session), "the candidate is there", 20)
        assert box.ctl("daemon", "info", timeout=5).code == 0
        assert box.wait(session, "done", "failed")["state"] == "failed"
        results = [e["body"] for e in box.entries(session) if e["kind"] == "check.finished"]
        assert [result["ok"] for result in results] == [False, True]
        assert "too long" in results[0]["detail"]
