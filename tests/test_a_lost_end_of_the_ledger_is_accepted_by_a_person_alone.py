"""The head beside the ledger: when it leads, entries are missing, and nothing is appended before a person has accepted that."""

import sqlite3
import subprocess
import sys
from contextlib import closing

from tests.support.box import Box, append, script

PLAN = f"""
[defaults]
agent = "scripted"
[[task]]
id = "first"
prompt = {script(append("f", "first"))}
[[task]]
id = "second"
needs = ["first"]
prompt = {script("hang = true" + chr(10) + "attempt = 1", append("f", "second"))}
"""


def _rows(box: Box) -> int:
    with closing(sqlite3.connect(f"file:{box.state}/ledger.db?mode=ro", uri=True)) as ledger:
        return int(ledger.execute("SELECT count(*) FROM ledger").fetchone()[0])


def _cut(box: Box, rows: int) -> None:
    """Deletes the last rows, by plain SQL."""
    box.tamper("DELETE FROM ledger WHERE seq > (SELECT max(seq) FROM ledger) - ?", values=(rows,))


def _marathond(box: Box, *args: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "marathond", *args], cwd=box.root, env=box.env, capture_output=True, text=True,
        check=False, timeout=30,
    )  # fmt: skip


def _halted(box: Box) -> str:
    session = box.start(PLAN)
    box.until(lambda: box.running(session, "second"), "the second task hangs")
    assert box.ctl("halt", session).code == 0
    assert box.stop_daemon() == 0
    return session


def test_a_head_that_leads_stops_all_but_reading(box: Box) -> None:
    """Reads are served, `start` and `resume` exit 2, nothing is written, and `--accept-head` makes all go on."""
    session = _halted(box)
    _cut(box, 1)
    before, head = _rows(box), (box.state / "head").read_bytes()
    box.daemon_up()
    for words in (("status", session), ("list",), ("why", session), ("show", "contract", session), ("daemon", "info")):
        result = box.ctl(*words, "--json")
        assert result.code == 0, (words, result)
    assert box.ctl("daemon", "info", "--json").json["read_only"]
    assert box.ctl("tail", session, "--no-follow", "--json").lines
    started = box.ctl("start", str(box.write_plan(PLAN)), "--json")
    assert (started.code, started.json["error"]["slug"]) == (2, "head_ahead"), started
    assert "--accept-head" in started.json["error"]["hint"]
    resumed = box.ctl("resume", session, "--json")
    assert resumed.code == 2, resumed
    assert [p["point"] for p in resumed.json["gate"] if p["verdict"] == "fail"] == [2]
    for words in (("halt", session), ("abort", session), ("amend", session, "--wall", "1h")):
        assert box.ctl(*words).code == 2, words
    assert box.ctl("verify", "--json").code == 2
    assert _marathond(box, "--accept-head").returncode == 1, "not beside a living daemon"
    assert box.stop_daemon() == 0
    assert (_rows(box), (box.state / "head").read_bytes()) == (before, head)
    accepted = _marathond(box, "--accept-head")
    assert accepted.returncode == 0, accepted
    assert "head.accepted" in accepted.stdout
    assert _marathond(box, "--accept-head").returncode == 0, "again: there is nothing to accept"
    assert _rows(box) == before + 1
    box.daemon_up()
    assert box.ctl("verify", "--json").json["ok"]
    box.ctl("resume", session)
    assert box.wait(session, "done", "failed")["state"] == "done"
    assert box.ctl("start", str(box.write_plan(PLAN)), "--json").code == 0


def test_a_missing_head_is_no_head(box: Box) -> None:
    """Without its head a ledger cannot show that its end is there: the same refusal, and the same way out."""
    session = _halted(box)
    (box.state / "head").unlink()
    refused = box.ctl("resume", session, "--json")
    assert refused.code == 2, refused
    assert box.ctl("status", session).code == 0
    assert not (box.state / "head").exists()
    assert box.ctl("daemon", "stop").code == 0
    box.until(lambda: box.ctl("daemon", "info").code == 69, "the daemon is gone")
    assert _marathond(box, "--accept-head").returncode == 0
    assert box.ctl("resume", session, "--json").code == 0
    assert box.wait(session, "done", "failed")["state"] == "done"


def test_a_broken_chain_keeps_a_session_that_was_running_from_going_on(box: Box) -> None:
    """One verdict in `system`, not one a moment: the session stays quarantined, under later daemons too, and can be aborted."""
    session = box.start(PLAN)
    box.until(lambda: box.running(session, "second"), "the second task hangs")
    box.kill_daemon()
    box.tamper("UPDATE ledger SET record = replace(record, 'intact', 'intakt') WHERE kind = 'gate.passed'")
    box.daemon_up()
    status = box.wait(session, "quarantined")
    assert status["reasons"][0]["kind"] == "gate"
    assert "point 2" in status["reasons"][0]["text"]
    assert box.ctl("resume", session, "--json").code == 2
    box.stop_daemon()
    box.daemon_up()
    assert box.wait(session, "quarantined", "running")["state"] == "quarantined"
    assert box.ctl("tail", session, "--exit-code").code == 2
    verdicts = [e for e in box.entries() if e["kind"] == "session.quarantined"]
    assert len(verdicts) == 2, "one when it was found, one for the resume"
    assert box.ctl("abort", session).code == 0
    assert box.status(session)["state"] == "aborted"
    assert box.ctl("list", "--json").code == 0


def test_a_session_that_was_cut_off_under_a_head_that_leads_does_not_count_as_running(box: Box) -> None:
    """`status`, `list` and `why` say that it is quarantined, for what reason, and which command helps."""
    session = box.start(PLAN)
    box.until(lambda: box.running(session, "second"), "the second task hangs")
    box.until_anchored()
    box.kill_daemon()
    _cut(box, 1)
    box.daemon_up()
    status = box.status(session)
    assert status["state"] == "quarantined", status
    assert "entries are missing" in status["reasons"][0]["text"]
    assert [row["state"] for row in box.ctl("list", "--json").json["sessions"]] == ["quarantined"]
    assert box.ctl("why", session, "--json").json["reasons"][0]["command"] == "marathond --accept-head"
    assert box.stop_daemon() == 0
    assert _marathond(box, "--accept-head").returncode == 0
    box.daemon_up()
    assert box.wait(session, "running")["reasons"]
    assert box.ctl("abort", session).code == 0
