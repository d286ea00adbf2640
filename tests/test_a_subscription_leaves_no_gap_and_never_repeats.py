"""Ledger subscriptions: from any cursor, under concurrent commits, with fast and slow readers."""

import random
from pathlib import Path

import anyio
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from marathond.domain.canonical import entry_hash, link_hash
from marathond.server.bounds import Bounds
from tests.support.memory_services import Client, MemoryServices, connect, serving

pytestmark = pytest.mark.anyio

SESSIONS = ("a00000000001", "b00000000002")
STREAMS = ("system", *(f"session:{session}" for session in SESSIONS))


async def collect(client: Client, subscription: int, count: int) -> list[int]:
    """The `seq` of the next `count` entries of a subscription, each checked."""
    seqs: list[int] = []
    while len(seqs) < count:
        message = await client.notification()
        params = message["params"]
        if message["method"] != "ledger/entry" or params["subscription"] != subscription:
            continue
        hash_ = entry_hash(params["record"].encode())
        assert params["hash"] == hash_
        assert params["link"] == link_hash(params["link_prev"], hash_)
        seqs.append(params["seq"])
    return seqs


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    before=st.integers(0, 450),
    after=st.none() | st.integers(0, 460),
    stream=st.none() | st.sampled_from(STREAMS),
    seed=st.integers(0, 2**32),
)
async def test_every_entry_above_the_cursor_comes_once_and_in_order(
    tmp_path: Path, before, after, stream, seed
) -> None:
    """Whatever is committed before, during and after the replay arrives exactly once, in order, and nothing else does."""
    rng = random.Random(seed)
    services = MemoryServices()
    services.slow_reads = True
    for _ in range(before):
        services.commit(rng.choice(STREAMS), "before")
    path = tmp_path / f"s{rng.random()}"
    committed = anyio.Event()

    async def keep_committing() -> None:
        for _ in range(60):
            services.commit(rng.choice(STREAMS), *["during"] * rng.randint(1, 4))
            await anyio.sleep(rng.choice((0, 0, 0.0005)))
        for name in STREAMS:
            services.commit(name, "last")
        committed.set()

    async with serving(services, path), anyio.create_task_group() as tasks:
        client = await connect(path)
        tasks.start_soon(keep_committing)
        answer = (await client.call("ledger/subscribe", after=after, stream=stream))["result"]
        assert answer["cursor"] == (after if after is not None else answer["cursor"])
        await committed.wait()
        expected = [row.seq for row in services.rows if row.seq > answer["cursor"] and stream in {None, row.stream}]
        assert await collect(client, answer["subscription"], len(expected)) == expected
        assert (await client.call("ledger/unsubscribe", subscription=answer["subscription"]))["result"] == {}
        services.commit("system", "unseen")
        assert (await client.call("daemon/info"))["result"]
        assert not client.notifications
        await client.stream.aclose()


async def test_a_slow_reader_is_told_once_and_catches_up(tmp_path: Path) -> None:
    """A client that does not read gets one `ledger/lagged`, then everything, and is live again; a fast one notices nothing."""
    services = MemoryServices()
    async with serving(services, tmp_path / "s", Bounds(send_queue_bytes=20_000)):
        slow, fast = await connect(tmp_path / "s"), await connect(tmp_path / "s", headers=True)
        number = (await slow.call("ledger/subscribe"))["result"]["subscription"]
        other = (await fast.call("ledger/subscribe"))["result"]["subscription"]
        total = 0
        for round_ in range(1, 3):
            for _ in range(150):
                services.commit("system", *["x" * 1000] * 5)
                total += 5
                assert await collect(fast, other, 5) == list(range(total - 4, total + 1))
            assert not any(message["method"] == "ledger/lagged" for message in fast.notifications)
            lagged = []
            expected = total - 750 + 1
            while expected <= total:
                message = await slow.notification()
                if message["method"] == "ledger/lagged":
                    lagged.append(message["params"])
                    assert message["params"] == {"subscription": number, "after": expected - 1}
                    continue
                assert message["params"]["seq"] == expected
                expected += 1
            assert len(lagged) == 1, round_
            await slow.call("daemon/info")
        services.commit("system", "live again")
        assert await collect(slow, number, 1) == [total + 1]
        await slow.stream.aclose()
        await fast.stream.aclose()


async def test_an_entry_is_encoded_once_for_all_subscribers(tmp_path: Path) -> None:
    """However many follow, in whichever framing, the text of an entry is made once."""
    services = MemoryServices()
    async with serving(services, tmp_path / "s") as server:
        clients = [await connect(tmp_path / "s", headers=bool(n % 2)) for n in range(10)]
        numbers = [(await client.call("ledger/subscribe"))["result"]["subscription"] for client in clients]
        services.commit("system", "a", "b", 'é\n\u2028"')
        for client, number in zip(clients, numbers, strict=True):
            assert await collect(client, number, 3) == [1, 2, 3]
        assert server.texts.encoded == 3
        for client in clients:
            await client.stream.aclose()


async def test_subscriptions_end_with_their_connection(tmp_path: Path) -> None:
    """When a client goes, the writer has nobody left to tell; a connection follows 64 things at most."""
    services = MemoryServices()
    async with serving(services, tmp_path / "s"):
        client = await connect(tmp_path / "s")
        for _ in range(64):
            assert "result" in await client.call("ledger/subscribe")
        assert (await client.call("ledger/subscribe"))["error"]["data"]["slug"] == "too_many_feeds"
        assert (await client.call("ledger/unsubscribe", subscription=99))["error"]["code"] == -32602
        assert len(services.sinks) == 64
        await client.stream.aclose()
        with anyio.fail_after(5):
            while services.sinks:
                await anyio.sleep(0.005)


async def test_pages_of_the_ledger_join_without_gap(tmp_path: Path) -> None:
    """`ledger/read` says where the next page begins and whether there is one; a page also ends at a mebibyte."""
    services = MemoryServices()
    services.states["demo00000001"] = "running"
    for number in range(10):
        services.commit(STREAMS[number % 2], "x")
    services.commit("session:demo00000001", "y")
    services.commit("system", *["z" * 200_000] * 8)
    async with serving(services, tmp_path / "s"):
        client = await connect(tmp_path / "s")
        page = (await client.call("ledger/read", limit=10))["result"]
        assert (len(page["entries"]), page["next_after"], page["more"]) == (10, 10, True)
        page = (await client.call("ledger/read", after=10))["result"]
        assert page["more"]
        assert page["next_after"] < 19
        page = (await client.call("ledger/read", after=page["next_after"]))["result"]
        assert (page["next_after"], page["more"]) == (19, False)
        page = (await client.call("ledger/read", after=19))["result"]
        assert page == {"entries": [], "next_after": 19, "more": False}
        page = (await client.call("ledger/read", session="demo"))["result"]
        assert [entry["seq"] for entry in page["entries"]] == [11]
        assert (await client.call("ledger/read", session="demo", stream="system"))["error"]["code"] == -32602
        assert (await client.call("ledger/read", session="nobody"))["error"]["data"]["exit"] == 66
        await client.stream.aclose()


async def test_nothing_is_sent_before_the_writer_says_so(tmp_path: Path) -> None:
    """Rows that a reader can already see are not sent until their commit is announced, and then once."""
    services = MemoryServices()
    services.commit("system", "a")
    early = services.append("system", "b", "c")
    async with serving(services, tmp_path / "s"):
        client = await connect(tmp_path / "s")
        answer = (await client.call("ledger/subscribe", after=0))["result"]
        assert await collect(client, answer["subscription"], 1) == [1]
        await client.call("daemon/info")
        assert not client.notifications
        services.tell(early)
        services.commit("system", "d")
        assert await collect(client, answer["subscription"], 3) == [2, 3, 4]
        await client.stream.aclose()
