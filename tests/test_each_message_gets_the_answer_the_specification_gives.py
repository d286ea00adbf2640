"""JSON-RPC 2.0 over the real socket: the examples of section 7, and every way of sending something wrong."""

from collections.abc import AsyncIterator
from pathlib import Path

import anyio
import msgspec
import pytest

from marathond.server.bounds import Bounds
from tests.support.memory_services import Client, MemoryServices, connect, serving

pytestmark = pytest.mark.anyio


@pytest.fixture
async def services() -> MemoryServices:
    """Services with one running session."""
    found = MemoryServices()
    found.states["demo00000001"] = "running"
    found.write_output(1, b"hello\n")
    return found


@pytest.fixture
async def client(services: MemoryServices, tmp_path: Path) -> AsyncIterator[Client]:
    """A client of a server whose limits are small in time."""
    async with serving(services, tmp_path / "s", Bounds(unfinished_seconds=0.3)):
        made = await connect(tmp_path / "s")
        async with made.stream:
            yield made


def request(method: object, id_: object = 1, **params: object) -> dict[str, object]:
    """A request as a value."""
    return {"jsonrpc": "2.0", "method": method, "id": id_, "params": params}


async def alive(client: Client) -> None:
    """The connection still answers, and nothing else was waiting to be read."""
    answer = await client.call("daemon/info")
    assert answer["result"] == {"version": "0", "pid": 1}
    assert not client.notifications


def code_of(answer: dict) -> tuple[int, object]:
    """Error code and id."""
    return answer["error"]["code"], answer["id"]


async def test_named_parameters_and_notifications(client, services) -> None:
    """Section 7: a call by name is answered under its id; a notification is done and gets no answer."""
    await client.send({"jsonrpc": "2.0", "method": "session/halt", "params": {"session": "demo"}})
    await client.send(request("session/status", "a-string", session="demo"))
    assert await client.read() == {
        "jsonrpc": "2.0",
        "result": {"session_id": "demo00000001", "state": "halted"},
        "id": "a-string",
    }
    await client.send({"jsonrpc": "2.0", "method": "no/such"})
    await alive(client)


@pytest.mark.parametrize(
    ("sent", "code", "id_"),
    [
        (b'{"jsonrpc": "2.0", "method": "foobar, "params": "bar", "baz]', -32700, None),
        (b'{"jsonrpc": "2.0", "method": 1, "params": "bar"}', -32600, None),
        (
            b'[{"jsonrpc": "2.0", "method": "sum", "params": [1,2,4], "id": "1"}, {"jsonrpc": "2.0", "method"]',
            -32700,
            None,
        ),
        (b"[]", -32600, None),
        (b"1", -32600, None),
        (b"null", -32600, None),
        (b'"text"', -32600, None),
        (b'{"jsonrpc": "2.0", "method": "foobar", "id": "1"}', -32601, "1"),
        (b'{"jsonrpc": "2.0", "method": "session/status", "params": [1], "id": 2}', -32602, 2),
        (b'{"jsonrpc": "2.0", "method": "session/status", "params": 1, "id": 2}', -32600, 2),
        (b'{"jsonrpc": "2.0", "method": "session/status", "params": null, "id": 2}', -32600, 2),
        (b'{"jsonrpc": "1.0", "method": "session/status", "id": 2}', -32600, 2),
        (b'{"method": "session/status", "id": 2}', -32600, 2),
        (b'{"jsonrpc": "2.0", "method": "session/status", "id": true}', -32600, None),
        (b'{"jsonrpc": "2.0", "method": "session/status", "id": 1.5}', -32600, None),
        (b'{"jsonrpc": "2.0", "method": "session/status", "id": [1]}', -32600, None),
        (b'{"jsonrpc": "2.0", "method": "session/status", "id": 123456789012345678901234567890}', -32600, None),
        (b'{"jsonrpc": "2.0", "method": "session/status", "id": 3, "extra": 1}', -32600, 3),
        (b'{"jsonrpc": "2.0", "result": 1, "id": 3}', -32600, 3),
        (b'{"jsonrpc": "2.0", "method": "session/status", "id": 3, "id": 4}', -32700, None),
        (b'{"jsonrpc": "2.0", "method": "session/status", "id": NaN}', -32700, None),
        (b"[" * 70 + b"]" * 70, -32700, None),
        (b"not json at all", -32700, None),
        (b'{"a":"' + b"x" * 1024 * 1024 + b'"}', -32006, None),
    ],
)
async def test_wrong_messages_get_their_error_and_the_connection_goes_on(client, sent, code, id_) -> None:
    """Malformed, invalid, deep and oversized messages are answered with the right code and id, and spoil nothing after them."""
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(client.raw, sent + b"\n")
        assert code_of(await client.read()) == (code, id_)
    await alive(client)


async def test_batches_are_answered_item_by_item(client, services) -> None:
    """Section 7: good, bad, unknown and notification items of one batch each get what is theirs, in order."""
    await client.send(
        [
            request("session/status", "1", session="demo"),
            {"jsonrpc": "2.0", "method": "session/halt", "params": {"session": "demo"}},
            {"foo": "boo"},
            request("foo.get", "5", name="myself"),
            1,
            request("daemon/info", "9"),
            request("session/status", None, session="demo"),
        ]
    )
    answers = await client.read()
    assert [answer["id"] for answer in answers] == ["1", None, "5", None, "9", None]
    assert [answer.get("error", {}).get("code") for answer in answers] == [None, -32600, -32601, -32600, None, None]
    assert answers[-1]["result"]["state"] == "halted"
    await client.send([1, 2, 3])
    assert [code_of(answer) for answer in await client.read()] == [(-32600, None)] * 3
    await client.send([{"jsonrpc": "2.0", "method": "daemon/info"}] * 2)
    await client.send([request("daemon/info", n) for n in range(257)])
    assert code_of(await client.read()) == (-32600, None)
    await alive(client)


async def test_errors_carry_slug_hint_exit_and_extra_data(client) -> None:
    """A registered error arrives with its message, slug, hint and exit code; an unknown name gets the nearest right one."""
    task = (await client.call("session/task", session="demo", task="b"))["error"]
    assert task["message"] == "Session demo has no task 'b'."
    assert task["data"] == {"slug": "no_task", "hint": "Did you mean a?", "exit": 66}
    assert (await client.call("session/statsu"))["error"]["data"]["hint"] == "Did you mean session/status?"
    unknown = (await client.call("session/halt", session="demo", drian=True))["error"]
    assert unknown["code"] == -32602
    assert "did you mean `drain`?" in unknown["message"]
    typed = (await client.call("ledger/read", after="x"))["error"]
    assert "$.after" in typed["message"]
    for params in (
        {},
        {"path": "/a", "contract": {}},
        {"path": "relative"},
        {"path": "/a", "root": "/"},
        {"path": "/\0"},
    ):
        assert (await client.call("session/start", **params))["error"]["code"] == -32602


async def test_no_exception_text_reaches_a_client(client, caplog) -> None:
    """A failure that nobody foresaw is answered with an incident id only; the log has the rest under that id."""
    error = (await client.call("session/why"))["error"]
    assert error["code"] == -32603
    assert "hunter2" not in msgspec.json.encode(error).decode()
    record = next(record for record in caplog.records if getattr(record, "incident", None))
    assert record.incident in error["message"]
    assert "hunter2" in str(record.exc_info)
    unwritable = (await client.call("session/diff"))["error"]
    assert unwritable["code"] == -32603
    await alive(client)


async def test_a_cancelled_request_is_answered_as_such(client, services) -> None:
    """`$/cancelRequest` ends a pending request with -32800, whatever else waits; for any other id it does nothing."""
    services.gates["status"] = anyio.Event()
    await client.send(request("session/status", 7, session="demo"))
    await client.send(request("session/status", "7", session="demo"))
    for target in (8, 7, {"a": 1}, None):
        await client.send({"jsonrpc": "2.0", "method": "$/cancelRequest", "params": {"id": target}})
    assert code_of(await client.read()) == (-32800, 7)
    services.gates["status"].set()
    assert (await client.read())["id"] == "7"
    await alive(client)


async def test_a_cancellation_in_the_same_chunk_finds_its_request(client, services) -> None:
    """A request and what cancels it may arrive together: the request is cancelled, be it alone or in a batch."""
    services.gates["status"] = anyio.Event()
    cancel = {"jsonrpc": "2.0", "method": "$/cancelRequest", "params": {"id": 7}}
    for asked in (request("session/status", 7, session="demo"), [request("session/status", 7, session="demo")]):
        await client.raw(b"".join(msgspec.json.encode(message) + b"\n" for message in (asked, cancel)))
        answer = await client.read()
        assert code_of(answer[0] if isinstance(asked, list) else answer) == (-32800, 7)
    await alive(client)


async def test_an_id_in_use_is_not_taken_twice(client, services) -> None:
    """A second request under the id of a pending one is refused, and the first is answered."""
    services.gates["status"] = anyio.Event()
    for _ in range(2):
        await client.send(request("session/status", 7, session="demo"))
    assert code_of(await client.read()) == (-32600, None)
    services.gates["status"].set()
    assert (await client.read())["id"] == 7


async def test_the_ninth_pending_request_is_refused(client, services) -> None:
    """Eight requests may be pending on a connection; more are refused, also in a batch, and others are not concerned."""
    services.gates["status"] = anyio.Event()
    for number in range(1, 10):
        await client.send(request("session/status", number, session="demo"))
    assert code_of(await client.read()) == (-32004, 9)
    await client.send([request("daemon/info", "x"), {"jsonrpc": "2.0", "method": "session/halt"}])
    assert [code_of(answer) for answer in await client.read()] == [(-32004, "x")]
    assert "halt" not in dict(services.calls)
    services.gates["status"].set()
    assert {(await client.read())["id"] for _ in range(8)} == set(range(1, 9))
    await alive(client)


async def test_a_stopping_server_takes_no_new_work(services, tmp_path) -> None:
    """After the end of the intake nobody gets in, new requests are refused, and running ones are answered."""
    services.gates["status"] = anyio.Event()
    async with serving(services, tmp_path / "s") as server:
        client = await connect(tmp_path / "s")
        await client.send(request("session/status", 1, session="demo"))
        await client.send(request("daemon/info", 2))
        assert (await client.read())["id"] == 2
        server.stop_intake()
        assert (await client.call("daemon/info"))["error"]["data"]["slug"] == "stopping"
        services.gates["status"].set()
        assert (await client.read())["id"] == 1
        await client.stream.aclose()


async def test_what_is_queued_is_sent_before_the_end(services, tmp_path) -> None:
    """Before the server goes, a client that reads gets all of an answer that is larger than the kernel's buffers."""
    services.commit("system", *["z" * 200_000] * 5)
    async with anyio.create_task_group() as tasks, serving(services, tmp_path / "s") as server:
        client = await connect(tmp_path / "s")
        await client.send(request("ledger/read", "big"))
        client.prepend(await client.stream.receive(1))
        server.stop_intake()
        answers = []

        async def read() -> None:
            answers.append(await client.read())

        tasks.start_soon(read)
        await server.flush()
    assert answers[0]["id"] == "big"
    await client.stream.aclose()


async def test_both_framings_are_served_side_by_side(client, tmp_path) -> None:
    """A connection that begins with a header block is answered in header blocks, while another speaks in lines."""
    other = await connect(tmp_path / "s", headers=True)
    async with other.stream:
        await alive(other)
        await alive(client)
        await other.raw(b"{}")
        assert code_of(await other.read()) == (-32700, None)
        with pytest.raises(anyio.EndOfStream):
            await other.read()
    await alive(client)


async def test_half_closed_clients_get_their_answers(client, services) -> None:
    """A client that sends, even without a final line break, and shuts its side is answered before the connection ends."""
    services.gates["status"] = anyio.Event()
    await client.send(request("session/status", 1, session="demo"))
    await client.raw(msgspec.json.encode(request("daemon/info", 2)))
    await client.stream.send_eof()
    assert (await client.read())["id"] == 2
    services.gates["status"].set()
    assert (await client.read())["id"] == 1
    with pytest.raises(anyio.EndOfStream):
        await client.read()


async def drip(client: Client) -> None:
    """Sends a space now and then, for as long as it is let."""
    try:
        while True:
            await anyio.sleep(0.05)
            await client.raw(b" ")
    except (anyio.BrokenResourceError, anyio.ClosedResourceError):
        pass


@pytest.mark.parametrize(
    "start", [b'{"jsonrpc":', b"Content-Length: 9\r\n", b"Content-Length: 9\r\n\r\n{", b"x" * 1_100_000]
)
async def test_half_a_frame_is_cut_after_its_time(client, tmp_path, start) -> None:
    """Whoever begins a message and does not finish it is told and cut off, however slowly bytes drip in; others live on."""
    slow = await connect(tmp_path / "s")
    async with slow.stream, anyio.create_task_group() as tasks:
        tasks.start_soon(slow.raw, start)
        if start == b'{"jsonrpc":':
            tasks.start_soon(drip, slow)
        slow.headers = start.startswith(b"C")
        answer = await slow.read()
        if start.startswith(b"x"):
            assert code_of(answer) == (-32006, None)
            answer = await slow.read()
        assert code_of(answer) == (-32700, None)
        with pytest.raises((anyio.EndOfStream, anyio.BrokenResourceError)):
            await slow.read()
        tasks.cancel_scope.cancel()
    await alive(client)
    await anyio.sleep(0.35)
    await alive(client)
