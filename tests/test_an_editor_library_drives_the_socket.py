"""vscode-jsonrpc, which nobody here wrote, does start, subscribe, output, cancel and abort over the real socket."""

import os
from pathlib import Path

import anyio
import msgspec
import pytest

from tests.support.clis import AGENTS
from tests.support.memory_services import MemoryServices, serving

pytestmark = pytest.mark.anyio

SCRIPT = Path(__file__).parent / "support" / "editor_client.cjs"


async def test_it_starts_follows_and_aborts(tmp_path: Path) -> None:
    """Requests, errors with data, cancellation and both kinds of notification work with an editor's own library."""
    modules = AGENTS / "node_modules"
    assert (modules / "vscode-jsonrpc").is_dir(), (
        "vscode-jsonrpc is not installed: run `npm ci` in tests/agents (`make test` does)"
    )
    services = MemoryServices()
    services.write_output(1, b"written by the agent\n")
    services.gates["status"] = anyio.Event()
    async with serving(services, tmp_path / "s"):
        with anyio.fail_after(30):
            done = await anyio.run_process(
                ["node", str(SCRIPT), str(tmp_path / "s")], env={**os.environ, "NODE_PATH": str(modules)}, check=False
            )
    assert done.returncode == 0, done.stderr.decode()
    seen = msgspec.json.decode(done.stdout)
    session = seen["started"]["session_id"]
    assert seen["started"]["created"] is True
    assert dict(services.calls)["start"]["env"] == {"NAME": "ünïcode"}
    assert seen["subscribed"]["cursor"] == 0
    assert [entry["seq"] for entry in seen["entries"]] == [1, 2, 3]
    assert {entry["subscription"] for entry in seen["entries"]} == {seen["subscribed"]["subscription"]}
    assert [entry["record"].encode() for entry in seen["entries"]] == [row.record for row in services.rows]
    assert seen["output"] == "written by the agent\n"
    assert seen["cancelled"] == -32800
    assert seen["unknown"]["code"] == -32601
    assert seen["unknown"]["data"]["slug"] == "method_not_found"
    assert seen["aborted"] == {"session_id": session, "state": "aborted"}
