"""A provider's key that was handed to an agent is in its environment file while the session lives, and nowhere else ever."""

import base64
import json
import socket
import zlib
from pathlib import Path
from urllib.parse import quote

from marathonctl.client import Client
from tests.support.box import Box

KEY = 'pk"9f\\3b/Zz+71c0aa=ffe21-"x'
FORMS = {
    KEY.encode(), base64.b64encode(KEY.encode()).rstrip(b"="), json.dumps(KEY)[1:-1].encode(), quote(KEY, safe="").encode(),
}  # fmt: skip
PROFILE = """
extends = "command"
command = ["/usr/bin/env", "python3", "{agent}"]
secret_env = ["LEAKY_VALUE"]
pass_env = ["LEAKY_VALUE"]
"""
AGENT = """
import base64, json, os, pathlib, sys, time, urllib.parse
key = os.environ["LEAKY_VALUE"]
if "WRITE" in sys.stdin.read():
    pathlib.Path("config.ini").write_text("key = " + key)
    sys.exit(0)
for stream in (sys.stdout, sys.stderr):
    half = len(key) // 2
    for part in ("split " + key[:half], key[half:] + "\\n"):
        stream.write(part)
        stream.flush()
        time.sleep(0.2)
    for form in (base64.b64encode(key.encode()).decode(), json.dumps({"key": key}), urllib.parse.quote(key, safe="")):
        print("form", form, file=stream, flush=True)
pathlib.Path("out").write_text("harmless\\n")
go = pathlib.Path(sys.argv[0]).with_name("go")
while not go.exists():
    time.sleep(0.05)
print("the key is", key)
"""
PLAN = """
[limits]
parallel = 2
[defaults]
agent = "leaky"
attempts = 1
[[task]]
id = "talks"
prompt = "talk"
[[task.check]]
run = 'test -z "$LEAKY_VALUE" && ! env | grep -q pk && echo checked'
[[task]]
id = "writes"
prompt = "WRITE it"
[[task.check]]
file = "config.ini"
"""


class Recording(socket.socket):
    """A socket that keeps what it has received."""

    def __init__(self) -> None:
        super().__init__(socket.AF_UNIX, socket.SOCK_STREAM)
        self.received = bytearray()

    def recv(self, *args: int) -> bytes:  # type: ignore[override]
        data = super().recv(*args)
        self.received += data
        return data


def holding(root: Path) -> set[str]:
    """The files below `root` that hold the key in any form, also compressed."""
    found = set()
    for path in root.rglob("*"):
        if path.is_file() and not path.is_symlink():
            raw = path.read_bytes()
            try:
                raw += zlib.decompress(raw)
            except zlib.error:
                pass  # not one of the compressed ones
            if any(form in raw for form in FORMS):
                found.add(str(path.relative_to(root)))
    return found


def test_a_key_that_an_agent_prints_is_nowhere(box: Box) -> None:
    """Split over writes, in base64, JSON and URL form, on both outputs; a file that holds it never becomes a candidate."""
    agent = box.root / "agent.py"
    agent.write_text(AGENT)
    (box.config / "agents").mkdir()
    (box.config / "agents/leaky.toml").write_text(PROFILE.format(agent=agent))
    box.daemon_up()
    result = box.ctl("start", str(box.write_plan(PLAN)), "--json", env={"LEAKY_VALUE": KEY})
    assert result.code == 0, result
    session = result.json["session_id"]

    wire = Recording()

    def connect(path: str) -> socket.socket:
        wire.connect(path)
        return wire

    with Client(box.places.socket, connect=connect) as client:
        client.call("ledger/subscribe", after=0)
        box.until(lambda: box.running(session, "talks"), "it talks")
        output = box.state / "attempts" / session / "talks/1"
        box.until(lambda: (output / "output").exists() and b"form" in (output / "errors").read_bytes(), "it has spoken")
        client.call("attempt/output", session=session, task="talks", follow=True)
        environment = box.state / "env" / f"{session}.json"
        box.until(lambda: box.task(session, "writes")["state"] == "failed", "the other one has failed")
        workspace = f"workspaces/{session}/writes/config.ini"  # where the agent itself put it
        assert holding(box.state) - {workspace} == {f"env/{session}.json"}
        assert environment.stat().st_mode & 0o777 == 0o600
        (box.root / "go").touch()
        status = box.wait(session, "done", "failed")
        for _ in iter(lambda: client.notification(0.5), None):
            pass
        for method in ("session/status", "session/task", "session/why"):
            client.call(method, session=session, **({"task": "talks"} if method == "session/task" else {}))
        client.call("attempt/output", session=session, task="talks", raw=True)
        client.call("session/diff", session=session)

    assert {t["id"]: t["state"] for t in status["tasks"]} == {"talks": "done", "writes": "failed"}
    assert len(wire.received) > 5000
    assert not any(form in wire.received for form in FORMS)
    assert holding(box.state) - {workspace} == set()
    assert not any(form.decode() in box.log for form in FORMS)
    assert not environment.exists()
    refused = next(e["body"] for e in box.entries(session) if e["kind"] == "candidate.refused")
    assert "config.ini" in refused["reason"]
    assert box.task(session, "writes")["attempts"] == 1
    assert not any(form.decode() in box.git("log", "-p", status["branch"]) for form in FORMS)
    said = box.ctl("show", "transcript", session, "talks").out
    assert "split " in said
    assert "LEAKY_VALUE" in said, "what was left out is named"
