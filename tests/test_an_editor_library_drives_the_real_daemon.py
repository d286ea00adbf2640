"""vscode-jsonrpc, which nobody here wrote, drives the daemon with its real engine: start, subscribe, output, cancel, abort."""

import json
import os
import subprocess
from pathlib import Path

from tests.support.box import Box, script
from tests.support.clis import AGENTS

SCRIPT = Path(__file__).parent / "support" / "editor_client.cjs"


def test_it_starts_follows_and_aborts_a_real_session(box: Box) -> None:
    """An editor sees every entry once and in order, the agent's words, and an abort that ends the agent."""
    box.daemon_up()
    plan = box.write_plan(f'[[task]]\nid = "a"\nagent = "scripted"\nprompt = {script("hang = true")}\n')
    done = subprocess.run(
        ["node", str(SCRIPT), str(box.places.socket), str(plan)], capture_output=True, text=True, check=False, timeout=60,
        env={**os.environ, "NODE_PATH": str(AGENTS / "node_modules")},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    seen = json.loads(done.stdout)
    session = seen["started"]["session_id"]
    assert seen["aborted"] == {"session_id": session, "state": "aborted"}
    assert seen["unknown"]["data"]["slug"] == "method_not_found"
    kinds = [json.loads(entry["record"])["kind"] for entry in seen["entries"]]
    assert kinds[0] == "session.created"
    assert kinds == box.kinds(session)[: len(kinds)]
    assert "session.aborted" in kinds
    assert box.status(session)["state"] == "aborted"
