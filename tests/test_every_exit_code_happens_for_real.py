"""Exit codes are a formal contract: each is made to happen by what really causes it."""

import os
import resource
import signal
import sqlite3
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import pytest

from tests.support.box import Box, Result, append, script

DONE = '[[task]]\nid = "a"\nrun = "echo a > a"\n'
FAILED = '[[task]]\nid = "a"\nrun = "exit 3"\n[defaults]\nattempts = 1\n'
HANG = f'[[task]]\nid = "a"\nagent = "scripted"\nprompt = {script(append("a", "a"), "hang = true")}\n'
LIMIT = f"""
[[task]]
id = "a"
agent = "scripted"
prompt = {script('limit = { reset_in = "1s" }' + chr(10) + "attempt = 1", append("a", "a"))}
"""
CLAUDE = '[[task]]\nid = "a"\nagent = "claude"\nprompt = "Do it"\n'


def _run(box: Box, plan: str, *args: str, name: str = "plan.toml") -> Result:
    return box.ctl("run", str(box.write_plan(plan, name)), "--json", *args)


def _marathond(box: Box) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "marathond", "--foreground"]
    return subprocess.run(command, cwd=box.root, env=box.env, capture_output=True, text=True, timeout=30, check=False)


def test_0_and_4_tell_done_from_failed(box: Box) -> None:
    """`run`, `tail --exit-code` and `retry --follow` exit 0 for a session that is done and 4 for one that failed."""
    box.daemon_up()
    done, failed = _run(box, DONE), _run(box, FAILED)
    assert (done.code, done.json["state"], done.json["exit"]) == (0, "done", 0), done
    assert (failed.code, failed.json["state"], failed.json["exit"]) == (4, "failed", 4), failed
    for result, code in ((done, 0), (failed, 4)):
        assert box.ctl("tail", result.json["session_id"], "--exit-code").code == code
    assert box.ctl("retry", failed.json["session_id"], "--follow").code == 4


def test_0_for_a_quota_wait_that_nobody_waits_for(box: Box) -> None:
    """Under `--no-wait` a limit ends `run` with 0, state and due time are printed, and the session wakes by itself."""
    box.daemon_up()
    result = _run(box, LIMIT, "--no-wait")
    assert result.code == 0, result
    assert (result.json["state"], result.json["exit"]) == ("waiting", 0)
    assert result.json["due_at"]
    said = box.wait(result.json["session_id"], "done")
    assert said["tasks"][0]["attempts"] == 2


def test_1_when_somebody_holds_the_lock(box: Box) -> None:
    """Resuming a running session, a second daemon on the database, and all but one of several clients that resume: 1."""
    session = box.start(HANG)
    box.until(lambda: box.running(session, "a"), "the agent hangs")
    before = len(box.entries(session))
    refused = box.ctl("resume", session, "--json")
    assert refused.code == 1, refused
    assert refused.json["run_id"] is None
    verdicts = {p["point"]: p["verdict"] for p in refused.json["gate"]}
    assert verdicts == {6: "fail"} | dict.fromkeys(range(1, 6), "not_evaluated")
    assert refused.json["error"]["slug"] == "lock_held"
    assert len(box.entries(session)) == before, "nothing is recorded"
    second = _marathond(box)
    assert second.returncode == 1, second
    assert str(box.daemon.pid if box.daemon else 0) in second.stderr
    assert box.ctl("halt", session).code == 0
    with ThreadPoolExecutor(4) as pool:
        codes = sorted(r.code for r in pool.map(lambda _: box.ctl("resume", session), range(4)))
    assert codes == [0, 1, 1, 1]
    assert box.ctl("abort", session).code == 0


def test_2_3_and_130_for_one_session(box: Box) -> None:
    """A session that the user aborted is 130 to whoever follows it, 2 to `resume`, and 3 once its contract is gone."""
    session = box.start(HANG)
    box.until(lambda: box.running(session, "a"), "the agent hangs")
    follower = box.ctl_process("tail", session, "--exit-code")
    assert box.ctl("abort", session).code == 0
    follower.communicate(timeout=20)
    assert follower.returncode == 130
    refused = box.ctl("resume", session, "--json")
    assert refused.code == 2, refused
    assert [p["point"] for p in refused.json["gate"] if p["verdict"] == "fail"] == [4]
    assert box.status(session)["state"] == "aborted"
    box.stop_daemon()
    box.tamper("DELETE FROM contracts")
    gone = box.ctl("resume", session, "--json")
    assert gone.code == 3, gone
    assert [p["point"] for p in gone.json["gate"] if p["verdict"] == "fail"] == [1]
    assert box.ctl("status", session, "--json").code == 0, "it can still be asked about"


def test_5_when_a_person_must_answer(box: Box) -> None:
    """A spent wall budget is 5 for `run`, `tail --exit-code` and `resume --follow`, which name the question."""
    box.daemon_up()
    result = _run(box, HANG + '[limits]\nwall = "300ms"\n')
    assert (result.code, result.json["state"]) == (5, "held"), result
    session = result.json["session_id"]
    assert any(r["kind"] == "question" for r in result.json["reasons"])
    assert box.ctl("tail", session, "--exit-code").code == 5
    again = box.ctl("resume", session, "--follow", "--json")
    assert (again.code, again.json["state"]) == (5, "held"), again


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_130_when_the_user_interrupts(box: Box, number: signal.Signals) -> None:
    """Ctrl-C and SIGTERM halt in `run` and `resume --follow` and exit 130; in `tail` they only detach."""
    plan = box.write_plan(HANG)
    box.daemon_up()
    run = box.ctl_process("run", str(plan), "--json", "--key", "one")
    box.until(lambda: "attempt.started" in [e["kind"] for e in box.entries()], "the agent hangs")
    session = box.ctl("status", "--json").json["session_id"]
    tail = box.ctl_process("tail", session)
    assert tail.stdout is not None
    tail.stdout.readline()
    tail.send_signal(number)
    tail.communicate(timeout=20)
    assert tail.returncode in (130, -number)
    assert box.status(session)["state"] == "running"
    run.send_signal(number)
    out, err = run.communicate(timeout=20)
    assert run.returncode == 130, (out, err)
    assert box.status(session)["state"] == "halted"
    again = box.ctl_process("resume", session, "--follow")
    box.until(lambda: box.running(session, "a"), "the agent hangs again")
    again.send_signal(number)
    again.communicate(timeout=20)
    assert again.returncode == 130
    assert box.status(session)["state"] == "halted"


def test_64_for_bad_usage_and_wrong_state(box: Box) -> None:
    """What cannot be meant, and what the session's state forbids, is 64 with a sentence."""
    box.daemon_up()
    session = _run(box, DONE).json["session_id"]
    for words in (
        ("no-such-verb",), ("tail", "--no-such-option"), ("run",), ("answer", session, "perhaps"), ("answer", session, "yes"),
        ("halt", session), ("abort", session), ("retry", session), ("amend", session, "--wall", "1h"), ("amend", session),
    ):  # fmt: skip
        result = box.ctl(*words, "--json")
        assert result.code == 64, (words, result)
        assert result.json["error"]["exit"] == 64
        assert result.json["error"]["message"]


def test_65_for_what_is_no_contract_or_no_ledger(box: Box) -> None:
    """A bad contract, a database of somebody else and a ledger of a newer Marathon are 65, and are left alone."""
    bad = box.ctl("run", str(box.write_plan('[[task]]\nid = "a"\nruns = "x"\n')), "--json")
    assert bad.code == 65, bad
    assert bad.json["problems"]
    assert box.ctl("check", str(box.root / "plan.toml")).code == 65
    assert box.ctl("daemon", "stop").code == 0
    box.until(lambda: box.ctl("daemon", "info").code == 69, "the daemon is gone")
    database = box.state / "ledger.db"
    for statements in (["PRAGMA user_version = 99"], ["PRAGMA application_id = 7"]):
        with closing(sqlite3.connect(database)) as ledger:
            for statement in statements:
                ledger.execute(statement)
        before = database.read_bytes()
        assert _marathond(box).returncode == 65
        started = box.ctl("start", str(box.write_plan(DONE)), "--json")
        assert started.code == 65, started
        assert database.read_bytes() == before


def test_66_69_and_70(box: Box) -> None:
    """No such session is 66; no daemon is 69 for reading verbs and under `--no-spawn`; a disk that takes no more is 70."""
    plan = str(box.write_plan(DONE))
    assert box.ctl("start", plan, "--no-spawn", "--json").json["error"]["exit"] == 69
    for words in (("status",), ("list",), ("tail",), ("why",), ("show", "contract"), ("daemon", "info")):
        result = box.ctl(*words, "--json")
        assert result.code == 69, (words, result)
        assert result.json["error"]["hint"]
    assert not box.state.exists() or not (box.state / "ledger.db").exists(), "a verb that reads starts nothing"
    box.daemon_up()
    for words in (("status", "nosuch"), ("resume", "nosuch"), ("status",), ("start", "no-such-file.toml")):
        assert box.ctl(*words, "--json").code == 66, words
    assert box.daemon is not None
    unlimited = (resource.RLIM_INFINITY, resource.RLIM_INFINITY)
    resource.prlimit(box.daemon.pid, resource.RLIMIT_FSIZE, (4096, resource.RLIM_INFINITY))
    full = box.ctl("start", plan, "--key", "once", "--json")
    assert full.code == 70, full
    assert list((box.state / "env").glob("*.json")) == []
    resource.prlimit(box.daemon.pid, resource.RLIMIT_FSIZE, unlimited)
    result = _run(box, DONE, "--key", "once")
    assert (result.code, result.json["state"]) == (0, "done"), "the daemon goes on by itself, and the key is free"


def test_77_before_a_session_exists(box: Box) -> None:
    """An agent that acts unasked and without a sandbox needs consent: given once in the configuration or with each start."""
    box.daemon_up()
    refused = _run(box, CLAUDE)
    assert refused.code == 77, refused
    assert refused.json["error"]["slug"] == "consent_needed"
    assert "--unsandboxed" in refused.json["error"]["hint"]
    assert box.ctl("list", "--json").json["sessions"] == []
    assert box.stop_daemon() == 0
    (box.config / "config.toml").write_text("unsandboxed = true\n")
    box.daemon_up()
    started = box.ctl("start", str(box.write_plan(CLAUDE)), "--json", env={"PATH": "/usr/bin:/bin"})
    assert started.code == 0, started
    assert box.ctl("abort", started.json["session_id"]).code == 0


def test_0_for_the_resume_that_had_to_start_the_daemon(box: Box) -> None:
    """After `kill -9` the first `resume` gets the run which the daemon's start gave the session, 0; whoever comes second gets 1."""
    session = box.start(HANG)
    box.until(lambda: box.running(session, "a"), "the agent hangs")
    for number in (2, 3):
        box.ctl("daemon", "stop") if number == 2 else _kill(box)
        box.until(lambda: box.ctl("daemon", "info").code == 69, "no daemon answers")
        first = box.ctl("resume", session, "--json")
        assert first.code == 0, first
        assert first.json["run_id"] == f"{session}.{number}"
        assert [p["verdict"] for p in first.json["gate"]] == ["pass"] * 6
        assert box.ctl("resume", session).code == 1
    assert box.status(session)["tasks"][0]["attempts"] == 1, "the attempt lived on"
    assert [e["body"]["reason"] for e in box.entries(session) if e["kind"] == "run.started"] == [
        "start",
        "boot",
        "boot",
    ]
    _kill(box)
    with ThreadPoolExecutor(3) as pool:
        codes = sorted(r.code for r in pool.map(lambda _: box.ctl("resume", session), range(3)))
    assert codes == [0, 1, 1]
    assert box.ctl("abort", session).code == 0


def _kill(box: Box) -> None:
    """`kill -9` of the daemon that a client started."""
    os.kill(box.ctl("daemon", "info", "--json").json["pid"], signal.SIGKILL)
