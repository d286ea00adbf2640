"""After `resume` with another key, the one before is neither handed out nor let through."""

from pathlib import Path

import pytest

from tests.support.box import Box, script

pytestmark = pytest.mark.timeout(90)

OLD, NEW = "my-old-proxy-pass-Zq8yy77zz", "my-new-proxy-pass-Lw3kk22xx"


def test_the_key_before_is_redacted_and_refused(tmp_path: Path) -> None:
    """What an agent remembers of it is in no transcript, in no checked work and in no entry; afterwards it is nowhere."""
    memory, seen = tmp_path / "memory", tmp_path / "seen"
    first = f'run = "echo $MY_TOKEN > {memory}; false"\nattempt = 1'
    second = f'run = "echo it was $(cat {memory}) and is $MY_TOKEN; env > {seen}; cp {memory} f"\nattempt = 2'
    plan = f"""
[[task]]
id = "a"
agent = "scripted"
attempts = 2
env = ["MY_TOKEN"]
prompt = {script(first, second)}
"""
    with Box(tmp_path, {"MY_TOKEN": OLD}) as box:
        session = box.start(plan)
        stored = box.state / "env" / f"{session}.json"
        box.wait(session, "waiting")
        assert box.ctl("resume", session, env={"MY_TOKEN": NEW}).code == 0
        assert box.wait(session, "done", "failed")["state"] == "failed"
        assert memory.read_text() == f"{OLD}\n"
        assert f"MY_TOKEN={NEW}" in seen.read_text()
        assert OLD not in seen.read_text()
        said = box.ctl("show", "transcript", session, "a").out
        assert "it was [redacted:MY_TOKEN.formerly.1] and is [redacted:MY_TOKEN]" in said
        refused = next(e["body"] for e in box.entries(session) if e["kind"] == "candidate.refused")
        assert refused["reason"] == "it contains a secret that was handed out (in f)"
        box.until(lambda: not stored.exists(), "the values are forgotten")
        written = [p for p in box.state.rglob("*") if p.is_file() and OLD.encode() in p.read_bytes()]
        assert [p.name for p in written] == ["f"], "where the agent itself put it"
