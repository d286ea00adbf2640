"""Where a session's stored values cannot be read, nothing is lost, nothing is accepted unseen, and `resume` mends it."""

from pathlib import Path

import pytest

from marathonctl.client import Client
from tests.support.box import Box, script, write

pytestmark = pytest.mark.timeout(90)

KEY = "my-proxy-pass-Zq8yy77zz"
DAMAGES = [b'{"values": {"MY_TOKEN": "' + KEY.encode(), b"\x00\xff\xfe" * 50, b"", None]
NAMES = ["truncated", "garbage", "empty", "gone"]


def damage(box: Box, session: str, content: bytes | None) -> None:
    path = box.state / "env" / f"{session}.json"
    if content is None:
        path.unlink()
    else:
        path.write_bytes(content)


def told(box: Box, session: str) -> bool:
    """Whether `why` names the fault and the remedy."""
    reasons = box.ctl("why", session, "--json").json["reasons"]
    return any("stored environment" in r["text"] and r["command"] == f"marathonctl resume {session}" for r in reasons)


@pytest.mark.parametrize("content", DAMAGES, ids=NAMES)
def test_finished_work_waits_for_its_scan(tmp_path: Path, content: bytes | None) -> None:
    """An attempt that ends meanwhile is recorded; its work becomes a candidate only once it could be searched for keys."""
    go = tmp_path / "go"
    wait = f"while ! test -e {go}; do sleep 0.05; done"
    plan = f"""
[limits]
parallel = 2
[defaults]
agent = "scripted"
attempts = 1
[[task]]
id = "good"
env = ["MY_TOKEN"]
prompt = {script(f'run = "{wait}"', write("f", "x"))}
[[task]]
id = "leaks"
env = ["MY_TOKEN"]
prompt = {script(f'run = "{wait}; echo $MY_TOKEN > g"')}
"""
    with Box(tmp_path, {"MY_TOKEN": KEY}) as box:
        session = box.start(plan)
        box.until(lambda: all(box.running(session, task) for task in ("good", "leaks")), "both run")
        damage(box, session, content)
        go.touch()
        box.until(lambda: box.kinds(session).count("attempt.finished") == 2, "their ends are recorded")
        box.until(lambda: told(box, session), "why tells of it")
        assert not {"candidate.made", "candidate.refused"} & {*box.kinds(session)}
        assert "Traceback" not in box.log
        assert KEY not in box.log
        resumed = box.ctl("resume", session, "--json")
        assert resumed.code == 0, resumed
        assert resumed.json["run_id"] == f"{session}.1", "the same run goes on"
        assert box.wait(session, "failed", "done")["state"] == "failed"
        assert {t["id"]: t["state"] for t in box.status(session)["tasks"]} == {"good": "done", "leaks": "failed"}
        refused = next(e["body"] for e in box.entries(session) if e["kind"] == "candidate.refused")
        assert refused["reason"] == "it contains a secret that was handed out (in g)"


def test_an_attempt_waits_to_be_started(tmp_path: Path) -> None:
    """No attempt is started without the session's values, and the wait costs none; a halt is not kept waiting by it."""
    plan = f"""
[[task]]
id = "a"
agent = "scripted"
attempts = 2
env = ["MY_TOKEN"]
prompt = {script('run = "false"' + chr(10) + "attempt = 1", write("f", "x"))}
"""
    with Box(tmp_path, {"MY_TOKEN": KEY}) as box:
        session = box.start(plan)
        box.wait(session, "waiting")
        damage(box, session, b"[]")
        with Client(box.places.socket) as client:
            client.call("session/resume", session=session)  # without an environment: the stored one holds
        box.until(lambda: told(box, session), "why tells of it")
        assert box.kinds(session).count("attempt.finished") == 1
        assert box.ctl("resume", session, env={"MY_TOKEN": "another"}).code == 0
        assert box.wait(session, "done", "failed")["state"] == "done"
        assert box.task(session, "a")["attempts"] == 2


def test_a_halt_is_not_kept_waiting(tmp_path: Path) -> None:
    """What waits for the values can be halted, and resumed from a shell that has them."""
    plan = f"""
[[task]]
id = "a"
agent = "scripted"
env = ["MY_TOKEN"]
prompt = {script(f'run = "while ! test -e {tmp_path}/go; do sleep 0.05; done"', write("f", "x"))}
"""
    with Box(tmp_path, {"MY_TOKEN": KEY}) as box:
        session = box.start(plan)
        box.until(lambda: box.running(session, "a"), "it runs")
        damage(box, session, b"")
        (tmp_path / "go").touch()
        box.until(lambda: told(box, session), "why tells of it")
        assert box.ctl("halt", session).code == 0
        box.wait(session, "halted")
        assert box.ctl("resume", session).code == 0
        assert box.wait(session, "done", "failed")["state"] == "done"
        assert box.task(session, "a")["attempts"] == 1
