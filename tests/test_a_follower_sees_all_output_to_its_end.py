"""`attempt/output` with `follow`: page, growth, a newer attempt, and the end."""

from pathlib import Path

import pytest

from tests.support.memory_services import Client, MemoryServices, connect, serving

pytestmark = pytest.mark.anyio


async def follow(client: Client) -> list[tuple[int, int, str]]:
    """Attempt, offset and text of each notification up to the one that ends."""
    seen = []
    while True:
        params = (await client.notification())["params"]
        assert (params["session"], params["task"]) == ("demo00000001", "a")
        if params.get("ended"):
            assert params["text"] == ""
            return seen
        seen.append((params["attempt"], params["offset"], params["text"]))


async def until(client: Client, text: str) -> None:
    """Reads up to the notification whose text ends with `text`."""
    while not (await client.notification())["params"]["text"].endswith(text):
        pass


@pytest.fixture
def services() -> MemoryServices:
    """One task with an attempt that has written."""
    found = MemoryServices()
    found.states["demo00000001"] = "running"
    found.write_output(1, b"0123456789abcdef")
    return found


async def test_it_goes_on_into_the_next_attempt_and_ends_with_the_task(services, tmp_path: Path) -> None:
    """The first page is the answer; what is written later, also by the next attempt, follows at the right offsets, once."""
    async with serving(services, tmp_path / "s"):
        client = await connect(tmp_path / "s")
        page = (await client.call("attempt/output", session="demo", task="a", follow=True))["result"]
        assert (page["text"], page["next"], page["live"]) == ("0123456789", 10, True)
        assert (await client.notification())["params"]["text"] == "abcdef"
        services.write_output(1, b"g")
        await until(client, "g")
        services.end_attempt()
        await client.call("daemon/info")
        services.write_output(2, b"second")
        assert (await client.notification())["params"] == {
            "session": "demo00000001", "task": "a", "attempt": 2, "offset": 0, "text": "second",
        }  # fmt: skip
        services.end_task()
        assert await follow(client) == []
        await client.stream.aclose()


async def test_a_named_attempt_ends_with_itself(services, tmp_path: Path) -> None:
    """Following attempt 1 ends when attempt 1 does, though another may come; an ended one gives its rest and ends."""
    services.end_attempt()
    async with serving(services, tmp_path / "s"):
        client = await connect(tmp_path / "s")
        page = (await client.call("attempt/output", session="demo", task="a", attempt=1, after=4, follow=True))[
            "result"
        ]
        assert page["text"] == "456789abcd"
        assert await follow(client) == [(1, 14, "ef")]
        page = (await client.call("attempt/output", session="demo", task="a", after=4))["result"]
        assert page["live"]
        assert (await client.call("attempt/output", session="demo", task="a", attempt=0))["error"]["code"] == -32602
        assert not client.notifications
        await client.stream.aclose()
