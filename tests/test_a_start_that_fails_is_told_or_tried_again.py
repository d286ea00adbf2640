"""An attempt that cannot be started: what is its own fault is told without harm, what is the machine's costs nothing."""

from pathlib import Path

from tests.support.box import Box, script, write

KEY = "my-proxy-pass/Zq8+yy=77zz"
PLAN = f"""
[[task]]
id = "a"
agent = "scripted"
attempts = 1
env = ["PROXY_TOKEN"]
prompt = {script(write("f", "x"))}
"""


def _filtered(box: Box, smudge: str) -> None:
    """From now on, no worktree can be made unless the filter `smudge`, a script, lets it."""
    (box.repo / ".gitattributes").write_text("*.bin filter=odd\n")
    (box.repo / "a.bin").write_text("x\n")
    box.git("add", ".")
    box.git("commit", "-qm", "a file with a filter")
    program = box.root / "smudge"
    program.write_text(f"#!/bin/sh\n{smudge}\n")
    program.chmod(0o755)
    box.git("config", "filter.odd.clean", "cat")
    box.git("config", "filter.odd.smudge", str(program))
    box.git("config", "filter.odd.required", "true")


def test_its_error_holds_no_key_and_what_is_no_text_becomes_a_mark(tmp_path: Path) -> None:
    """The error of an attempt that was never started is recorded without the keys it was to get, whatever bytes are in it."""
    with Box(tmp_path, {"PROXY_TOKEN": KEY}) as box:
        _filtered(box, f"printf 'odd \\377 {KEY}\\n' >&2; exit 1")
        session = box.start(PLAN)
        assert box.wait(session, "failed", "done", seconds=20)["state"] == "failed"
        (end,) = [e["body"] for e in box.entries(session) if e["kind"] == "attempt.finished"]
        assert end["outcome"] == "not_started"
        assert "odd \ufffd" in end["error"]
        assert KEY not in str(box.entries(session))
        assert KEY not in box.log


def test_a_full_disk_costs_no_attempt(tmp_path: Path) -> None:
    """Where there is no room to start, the attempt is tried again until there is, under its own number; `why` says so meanwhile, and
    neither it nor the log repeats a key that git was told."""
    with Box(tmp_path, {"PROXY_TOKEN": KEY}) as box:
        room = tmp_path / "room"
        _filtered(box, f"test -e {room} || {{ echo 'write error: No space left on device {KEY}' >&2; exit 1; }}; cat")
        session = box.start(PLAN)
        box.until(lambda: "No space left" in box.ctl("why", session).out, "why tells of it", 20)
        assert "No space left on device [redacted:PROXY_TOKEN]" in box.ctl("why", session).out
        assert "No space left on device [redacted:PROXY_TOKEN]" in box.log
        assert KEY not in box.log
        assert "attempt.finished" not in box.kinds(session)
        room.touch()
        assert box.wait(session, "done", "failed", seconds=30)["state"] == "done"
        assert box.task(session, "a")["attempts"] == 1
