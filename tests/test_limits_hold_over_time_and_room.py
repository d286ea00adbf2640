"""Limits of time and room: what the wall budget counts, and how many attempts live at once."""

import os
import signal
import time
from typing import Any

from tests.support.box import Box, append, script

SLEEP = 'sleep = "0.6s"'


def _parallel(names: str, parallel: int) -> str:
    tasks = "".join(
        f'[[task]]\nid = "{n}"\nagent = "scripted"\nprompt = {script(append(n, n), SLEEP)}\n' for n in names
    )
    return f"[limits]\nparallel = {parallel}\nwall = '30m'\n{tasks}"


def _most_at_once(entries: list[dict[str, Any]]) -> int:
    live = most = 0
    for entry in entries:
        live += (entry["kind"] == "attempt.intended") - (entry["kind"] in ("attempt.finished", "attempt.lost"))
        most = max(most, live)
    return most


def test_no_more_attempts_live_at_once_than_contract_and_machine_allow(box: Box) -> None:
    """Two sessions share three slots; neither gets wider than its contract or the machine allows, and all slots come back."""
    (box.config / "config.toml").write_text("slots = 3\n")
    narrow = box.start(_parallel("abc", 2))
    wide = box.start(_parallel("defghi", 8))
    for session in (narrow, wide):
        assert box.wait(session, "done", "failed")["state"] == "done"
    everything = box.entries()
    assert _most_at_once(everything) == 3
    assert _most_at_once(box.entries(narrow)) <= 2
    assert _most_at_once(box.entries(wide)) <= 3
    granted = [e["body"]["session"] for e in everything if e["kind"] == "slot.granted"]
    assert set(granted[:4]) == {narrow, wide}, "nobody is starved"
    assert len(granted) == [e["kind"] for e in everything].count("slot.returned") == 9
    assert box.ctl("daemon", "info", "--json").json["slots"] == {"total": 3, "used": 0}


def test_the_wall_budget_counts_time_with_a_running_attempt_once(box: Box) -> None:
    """Attempts side by side count once, waiting counts nothing, and a machine that was off counts nothing."""
    (box.config / "config.toml").write_text("slots = 4\n")
    side_by_side = box.start(_parallel("abc", 3))
    status = box.wait(side_by_side, "done", "failed")
    spent = sum(e["body"]["lived_ms"] for e in box.entries(side_by_side) if e["kind"] == "attempt.finished")
    assert spent >= 1800
    assert 600 <= status["wall_used_ms"] < spent
    limit = 'limit = { reset_in = "1s" }\nattempt = 1'
    plan = (
        f'[limits]\nwall = "30m"\n[[task]]\nid = "a"\nagent = "scripted"\nprompt = {script(limit, append("f", "a"))}\n'
    )
    waits = box.start(plan)
    box.wait(waits, "waiting")
    used = box.status(waits)["wall_used_ms"]
    status = box.wait(waits, "done", "failed")
    lived = [e["body"]["lived_ms"] for e in box.entries(waits) if e["kind"] == "attempt.finished"]
    assert status["wall_used_ms"] <= sum(lived) + 1
    assert used <= lived[0]


def test_time_without_the_machine_counts_nothing(box: Box) -> None:
    """An attempt that dies with its daemon counts to its last sign of life; one that lives on counts until its end."""
    plan = f"""
[limits]
wall = "30m"
[[task]]
id = "a"
agent = "scripted"
prompt = {script('say = "here"', "hang = true")}
"""
    session = box.start(plan)
    box.until(lambda: box.running(session, "a"), "the agent hangs")
    pid = next(e["body"]["pid"] for e in box.entries(session) if e["kind"] == "attempt.started")
    began = time.monotonic()
    box.kill_daemon()
    os.kill(pid, signal.SIGKILL)
    box.until(lambda: time.monotonic() - began > 2, "the machine is off for a while")
    box.daemon_up()
    box.until(lambda: box.task(session, "a")["attempts"] == 2 and box.running(session, "a"), "it goes on")
    assert box.ctl("halt", session).code == 0
    lost = [e for e in box.entries(session) if e["kind"] == "attempt.lost"]
    ended = [e for e in box.entries(session) if e["kind"] == "attempt.finished"]
    assert lost[0]["body"]["lived_ms"] < 2000
    assert box.status(session)["wall_used_ms"] <= lost[0]["body"]["lived_ms"] + ended[0]["body"]["lived_ms"] + 1
    assert box.ctl("resume", session).code == 0
    box.until(lambda: box.running(session, "a"), "it goes on")
    before = box.status(session)["wall_used_ms"]
    began = time.monotonic()
    box.kill_daemon()
    box.until(lambda: time.monotonic() - began > 1, "the attempt lives on alone")
    box.daemon_up()
    box.until(lambda: "attempt.adopted" in box.kinds(session), "it is adopted")
    assert box.status(session)["wall_used_ms"] >= before + 1000
    assert box.ctl("abort", session).code == 0
