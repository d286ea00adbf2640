"""Who may connect, how many, and that trouble with one client stays with it."""

import os
import resource
import socket
from pathlib import Path

import anyio
import anyio.to_thread
import msgspec
import pytest

from marathond.server.bounds import Bounds
from marathond.server.router import METHODS
from marathond.server.serving import raise_descriptor_limit
from tests.support.memory_services import MemoryServices, connect, serving

pytestmark = pytest.mark.anyio

INSIDER = ("demo00000001", "a", 2)


def ask_as(uid: int, path: str) -> bytes:
    """What a process of another user reads from the socket; `denied` when it cannot even connect."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.setgid(uid)
            os.setuid(uid)
            with socket.socket(socket.AF_UNIX) as sock:
                sock.settimeout(10)
                sock.connect(path)
                os.write(writing, sock.recv(65536) + sock.recv(65536))
        except PermissionError:
            os.write(writing, b"denied")
        finally:
            os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        answer = pipe.read()
    os.waitpid(child, 0)
    return answer


async def test_another_user_is_refused(tmp_path_factory) -> None:
    """File permissions keep another uid out; when they do not, it is told and cut off, and the owner is served."""
    assert os.geteuid() == 0, "this test changes its uid and needs to run as root"
    folder = Path("/dev/shm") / f"marathon-test-{os.getpid()}"
    try:
        async with serving(MemoryServices(), folder / "s"):
            assert await anyio.to_thread.run_sync(ask_as, 65534, str(folder / "s")) == b"denied"
            folder.chmod(0o755)
            (folder / "s").chmod(0o666)
            error = msgspec.json.decode(await anyio.to_thread.run_sync(ask_as, 65534, str(folder / "s")))["error"]
            assert error["data"]["slug"] == "not_permitted"
            assert "65534" in error["message"]
            client = await connect(folder / "s")
            assert (await client.call("daemon/info"))["result"]
            await client.stream.aclose()
    finally:
        folder.rmdir()


async def until_admitted(path: Path) -> None:
    """Connects again and again until the server has room."""
    while True:
        client = await connect(path)
        async with client.stream:
            await client.stream.send(b'{"jsonrpc":"2.0","id":1,"method":"daemon/info"}\n')
            if "result" in await client.read():
                return


async def test_connections_are_bounded_and_come_back(tmp_path: Path) -> None:
    """One connection too many is told so and closed; when another goes, there is room again."""
    async with serving(MemoryServices(), tmp_path / "s", Bounds(connections=3)):
        clients = [await connect(tmp_path / "s") for _ in range(3)]
        for client in clients:
            assert (await client.call("daemon/info"))["result"]
        extra = await connect(tmp_path / "s")
        assert (await extra.read())["error"]["data"]["slug"] == "too_many_connections"
        with pytest.raises(anyio.EndOfStream):
            await extra.read()
        await extra.stream.aclose()
        await clients.pop().stream.aclose()
        with anyio.fail_after(5):
            await until_admitted(tmp_path / "s")
        for client in clients:
            await client.stream.aclose()


async def test_the_oldest_unfinished_message_makes_room(tmp_path: Path) -> None:
    """When too many connections hold half a message, the one that has done so longest is cut; idle ones do not count."""
    async with serving(MemoryServices(), tmp_path / "s", Bounds(unfinished=3)):
        idle = [await connect(tmp_path / "s") for _ in range(5)]
        slow = [await connect(tmp_path / "s") for _ in range(4)]
        for client in slow[:3]:
            assert (await client.call("daemon/info"))["result"]
            await client.raw(b'{"jsonrpc"')
            assert (await idle[0].call("daemon/info"))["result"]
        await slow[3].raw(b'{"jsonrpc"')
        assert "oldest" in (await slow[0].read())["error"]["message"]
        with pytest.raises((anyio.EndOfStream, anyio.BrokenResourceError)):
            await slow[0].read()
        for client in slow[1:]:
            await client.raw(b': "2.0", "id": "late", "method": "daemon/info"}\n')
            assert (await client.read())["id"] == "late"
        for client in (*idle, *slow):
            await client.stream.aclose()


async def test_two_thousand_connections_are_served(tmp_path: Path) -> None:
    """The default number of connections fits: each is answered while all are open, and 512 hold half a message."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    raise_descriptor_limit(2 * Bounds().connections)
    assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] >= 2 * Bounds().connections + 512
    path = str(tmp_path / "s")

    def crowd() -> list[socket.socket]:
        socks = []
        for number in range(Bounds().connections - 1):
            sock = socket.socket(socket.AF_UNIX)
            sock.settimeout(20)
            sock.connect(path)
            socks.append(sock)
            sock.sendall(b'{"jsonrpc":"2.0","id":1,"method":"daemon/info"}\n' + (b"[" if number < 512 else b""))
        for sock in socks:
            assert b'"result"' in sock.recv(4096)
        return socks

    try:
        async with serving(MemoryServices(), tmp_path / "s"):
            client = await connect(tmp_path / "s")
            assert (await client.call("daemon/info"))["result"]
            socks = await anyio.to_thread.run_sync(crowd)
            assert (await client.call("daemon/info"))["result"]
            for sock in socks:
                sock.close()
            await client.stream.aclose()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


async def test_a_failing_connection_does_not_end_the_server(tmp_path: Path, caplog) -> None:
    """A feed that breaks, a client that vanishes in the middle, and even a failing peer look-up end that connection only."""
    services = MemoryServices()
    async with serving(services, tmp_path / "s"):
        steady = await connect(tmp_path / "s")
        assert (await steady.call("daemon/info"))["result"]
        broken = await connect(tmp_path / "s")
        services.commit("system", "x")
        services.read = None  # type: ignore[assignment]
        await broken.call("ledger/subscribe", after=0)
        with pytest.raises(anyio.EndOfStream):
            await broken.read()
        await broken.stream.aclose()
        for _ in range(20):
            rude = await connect(tmp_path / "s")
            await rude.raw(b'{"jsonrpc":"2.0","id":1,"method":"daemon/info"}\n' * 5)
            await rude.stream.aclose()
        services.insiders = None  # type: ignore[assignment]
        odd = await connect(tmp_path / "s")
        with pytest.raises((anyio.EndOfStream, anyio.BrokenResourceError)):
            await odd.call("daemon/info")
        await odd.stream.aclose()
        assert (await steady.call("daemon/info"))["result"]
        await steady.stream.aclose()
    assert [record for record in caplog.records if getattr(record, "where", "") == "connection"]


async def test_an_attempt_may_read_its_own_session_only(tmp_path: Path) -> None:
    """From inside an attempt: own session, own reports, nothing else; the first refusal per method is recorded, the rest counted."""
    services = MemoryServices()
    services.states = {"demo00000001": "running", "other0000002": "running"}
    services.commit("system", "secret")
    services.commit("session:other0000002", "secret")
    services.commit("session:demo00000001", "own")
    services.insiders[os.getpid()] = INSIDER
    async with serving(services, tmp_path / "s") as server:
        client = await connect(tmp_path / "s")
        assert (await client.call("session/status"))["result"]["session_id"] == "demo00000001"
        assert (await client.call("session/status", cwd="/elsewhere"))["result"]["session_id"] == "demo00000001"
        for params in ({}, {"session": "demo"}, {"stream": "session:demo00000001"}):
            page = (await client.call("ledger/read", **params))["result"]
            assert [entry["seq"] for entry in page["entries"]] == [3]
        assert (await client.call("attempt/progress", text="half way"))["result"] == {}
        assert services.calls[-1] == ("progress", {"who": INSIDER, "text": "half way"})
        refused = [
            ("session/halt", {"session": "demo"}),
            ("session/abort", {}),
            ("session/answer", {"answer": "yes"}),
            ("daemon/stop", {}),
            ("session/list", {}),
            ("session/status", {"session": "other"}),
            ("ledger/read", {"stream": "system"}),
            ("ledger/subscribe", {"stream": "session:other0000002"}),
        ]
        for method, params in refused * 2:
            assert (await client.call(method, **params))["error"]["data"] == {
                "slug": "not_permitted", "exit": 77, "hint": "Ask the user to do it.",
            }  # fmt: skip
        assert services.refused == [(INSIDER, method) for method, _ in refused]
        assert set(server.rights.refusals.values()) == {2}
        assert "halt" not in dict(services.calls)
        await client.stream.aclose()
        services.insiders.clear()
        outside = await connect(tmp_path / "s")
        for method, params in (("progress", {"text": "x"}), ("ask", {"question": "x"}), ("attach", {"path": "/x"})):
            assert (await outside.call(f"attempt/{method}", **params))["error"]["data"]["slug"] == "not_permitted"
        await outside.stream.aclose()


async def test_every_method_has_made_up_its_mind_about_attempts() -> None:
    """What a process inside an attempt may call is exactly what is written here; whatever is added is closed to it."""
    methods = METHODS
    assert {name for name, method in methods.items() if method.inside} == {
        "session/status", "session/why", "session/task", "session/diff", "contract/show", "ledger/read", "ledger/subscribe",
        "ledger/unsubscribe", "attempt/output", "attempt/progress", "attempt/ask", "attempt/attach",
    }  # fmt: skip
    for method in methods.values():
        own = {"session", "cwd"} <= set(method.params.__struct_fields__) or "stream" in method.params.__struct_fields__
        assert not method.inside or own or method.name.startswith(("attempt/", "ledger/unsubscribe"))


async def test_what_was_asked_is_done_though_the_client_is_gone(tmp_path: Path) -> None:
    """A client that vanishes while its request runs, with notifications on their way to it, does not stop the work."""
    services = MemoryServices()
    services.states["demo00000001"] = "running"
    services.gates["halt"] = anyio.Event()
    async with serving(services, tmp_path / "s", Bounds(connections=1)):
        client = await connect(tmp_path / "s")
        await client.call("ledger/subscribe")
        await client.send({"jsonrpc": "2.0", "id": 9, "method": "session/halt", "params": {"session": "demo"}})
        await client.call("daemon/info")
        await client.stream.aclose()
        services.commit("system", "x")
        with anyio.fail_after(5):
            while services.sinks:
                await anyio.sleep(0.005)
            services.gates["halt"].set()
            while services.states["demo00000001"] != "halted":
                await anyio.sleep(0.005)
        with anyio.fail_after(2):
            await until_admitted(tmp_path / "s")
