"""Whatever way an attempt finds to say its key, it is in no entry and in no file but the environment's."""

import json
import logging
import subprocess
from pathlib import Path

import pytest

from marathond.attempt.redact import Redactor
from marathond.logs import LineFormatter
from tests.support.box import Box, script, write

pytestmark = pytest.mark.timeout(60)

KEY = "my-proxy-pass-Zq8yy77zz"
OWN = "set-by-the-profile-9a8b7c"
ASK = """
import json, os, socket, sys
with socket.socket(socket.AF_UNIX) as asking:
    asking.connect(sys.argv[1])
    call = {"jsonrpc": "2.0", "id": 1, "method": "attempt/ask", "params": {"question": "Is " + os.environ["MY_PROXY"] + " right?"}}
    asking.sendall(json.dumps(call).encode() + b"\\n")
    asking.recv(65536)
"""
PROFILE = """
extends = "scripted"
secret_env = ["MY_PROXY", "OWN_TOKEN"]
version = ["sh", "-c", "echo 1.2 for $MY_PROXY"]
[env]
OWN_TOKEN = "%s"
"""


def _files_with(folder: Path, needle: str) -> list[str]:
    found = subprocess.run(["grep", "-rlaF", needle, str(folder)], capture_output=True, text=True, check=False)
    return [Path(line).parent.name for line in found.stdout.splitlines()]


def test_questions_names_of_files_and_versions_carry_no_key(tmp_path: Path) -> None:
    """A key in a question, in the name of a file, or in what the agent calls its version is redacted; one in a file is refused."""
    ask = tmp_path / "ask.py"
    ask.write_text(ASK)
    with Box(tmp_path, {"MY_PROXY": KEY}) as box:
        (box.config / "agents").mkdir()
        (box.config / "agents/keyed.toml").write_text(PROFILE % OWN)
        plan = f"""
[defaults]
agent = "keyed"
attempts = 1
[limits]
parallel = 3
[[task]]
id = "asks"
prompt = {script(f'run = "python3 {ask} {box.places.socket}"', write("f", "x"))}
[[task]]
id = "names"
prompt = {script('run = "touch a-$MY_PROXY-b"')}
[[task]]
id = "writes"
prompt = {script('run = "echo $OWN_TOKEN > f"')}
"""
        session = box.start(plan)
        box.until(lambda: "question.asked" in box.kinds(session), "it asks")
        question = next(e["body"] for e in box.entries(session) if e["kind"] == "question.asked")
        assert question["text"] == "Is [redacted:MY_PROXY] right?"
        assert box.ctl("answer", session, "yes").code == 0
        assert box.wait(session, "failed")["tasks"][0]["state"] == "done"
        entries = box.entries(session)
        refused = {e["body"]["task"]: e["body"]["reason"] for e in entries if e["kind"] == "candidate.refused"}
        assert refused == {
            "names": "it contains a secret that was handed out (in a-[redacted:MY_PROXY]-b)",
            "writes": "it contains a secret that was handed out (in f)",
        }
        versions = {e["body"]["agent_version"] for e in entries if e["kind"] == "attempt.started"}
        assert versions == {"1.2 for [redacted:MY_PROXY]"}
        assert KEY not in json.dumps(entries)
        for folder in ("ledger.db", "ledger.db-wal", "blobs", "attempts", "env", "marathond.log"):
            assert _files_with(box.state / folder, KEY) == [], folder


def test_setup_and_checks_see_no_key_of_a_provider(tmp_path: Path) -> None:
    """What the profile passes or sets is for the agent alone; what the task lists is for setup and checks too."""
    with Box(tmp_path, {"MY_PROXY": KEY, "MY_SETTING": "on"}) as box:
        (box.config / "agents").mkdir()
        (box.config / "agents/keyed.toml").write_text(PROFILE % OWN)
        plan = f"""
[workspace]
repo = "repo"
setup = ["env > {tmp_path}/setup"]
[[task]]
id = "a"
agent = "keyed"
env = ["MY_SETTING"]
prompt = {script(f'run = "env > {tmp_path}/agent"', write("f", "x"))}
[[task.check]]
run = "env > {tmp_path}/check"
"""
        assert box.wait(box.start(plan), "done", "failed")["state"] == "done"
    seen = {
        who: dict(line.partition("=")[::2] for line in (tmp_path / who).read_text().splitlines())
        for who in ("setup", "agent", "check")
    }
    assert {who for who, env in seen.items() if "MY_PROXY" in env or "OWN_TOKEN" in env} == {"agent"}
    assert all(env["MY_SETTING"] == "on" and env["PWD"].endswith("/a") for env in seen.values())
    assert all(env["MARATHON_ATTEMPT"].endswith("/a/1") for env in seen.values())


def test_the_log_tells_no_key_by_its_looks(tmp_path: Path) -> None:
    """What a program said, in a message, beside it or in a traceback, is in no line of the log with a vendor's key in it."""
    key = "ghp_" + "a1B2c3D4e5" * 4
    try:
        raise ValueError(f"fatal: https://me:{key}@host/")
    except ValueError as error:
        record = logging.LogRecord("x", logging.ERROR, "x.py", 1, "git said %s", (key,), (type(error), error, None))
    record.url = f"https://me:{key}@host/"
    line = LineFormatter(Redactor().redact_text).format(record)
    assert key not in line
    assert line.count("[redacted:") == 3
