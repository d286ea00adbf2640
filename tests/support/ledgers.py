"""Real ledgers for tests: a folder, a clock that is told the time, a reactor that only remembers."""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any

import anyio

from marathond.domain import canonical, entries
from marathond.domain.entries import Draft, Entry, session_stream
from marathond.places import Places
from marathond.store import database
from marathond.store.blobs import Blobs
from marathond.store.rows import ContractRow
from marathond.store.writer import Change, Writer, open_writer

NOON = 1_795_000_000_000_000


class TestClock:
    """A clock that moves when it is told to. `wall_us` and `monotonic` are what it shows."""

    __test__ = False

    def __init__(self) -> None:
        self.wall_us = NOON
        self.monotonic = 0

    def wall(self) -> int:
        return self.wall_us

    def monotonic_ms(self) -> int:
        return self.monotonic


class PlainReactor:
    """Keeps staged and committed entries; reacts as `then` says, which sees the staged ones."""

    def __init__(self, then: Callable[[list[Entry]], list[Draft]] | None = None) -> None:
        self.then = then
        self.staged: list[Entry] = []
        self.committed: list[Entry] = []
        self.rollbacks = 0

    def stage(self, entries: Sequence[Entry]) -> None:
        self.staged += entries

    def react(self, now_us: int) -> list[Draft]:
        return self.then(self.staged) if self.then else []

    def give_up(self, session_id: str, error: Exception) -> None:
        raise error

    def commit(self, entries: Sequence[Entry]) -> None:
        assert list(entries) == self.staged
        self.committed += entries
        self.staged = []

    def rollback(self) -> None:
        self.staged = []
        self.rollbacks += 1


def make_places(folder: Path) -> Places:
    """A state folder of its own, with a prepared ledger."""
    places = Places(folder / "state", folder / "config", folder / "state" / "run" / "marathond.sock")
    database.prepare(places)
    return places


@asynccontextmanager
async def running_writer(
    places: Places, reactor: PlainReactor | None = None, clock: TestClock | None = None, **options: Any
) -> AsyncIterator[Writer]:
    """A writer at work, ended in order."""
    async with (
        open_writer(places, clock or TestClock(), **options) as writer,
        anyio.create_task_group() as tasks,
    ):
        await tasks.start(writer.run, reactor or PlainReactor())
        try:
            yield writer
        finally:
            writer.stop()


def note(session: str, text: str = "") -> Draft:
    """A small entry of a session."""
    return Draft(session_stream(session), entries.TaskDone(task="t", text=text))


def change(*drafts: Draft) -> Callable[[], Change]:
    """A proposal of these drafts."""
    return lambda: Change(list(drafts))


def created(session: str, contract: bytes, key: str | None = None) -> Change:
    """A session's first entry with its contract."""
    hash_ = canonical.contract_hash(contract)
    body = entries.SessionCreated(
        session=session, name=session, contract=hash_, repo="/repo", base="0" * 40, tip="0" * 40, key=key
    )
    return Change([Draft(session_stream(session), body)], [ContractRow(session, 1, contract, hash_)])


async def fill(places: Places, sessions: int = 3, notes: int = 3) -> None:
    """A small whole history: sessions with contracts, an amendment, blobs, interleaved, and entries in `system`."""
    blobs = Blobs(places.blobs)
    async with running_writer(places) as writer:
        await writer.submit(change(Draft("system", entries.DaemonStarted(version="1", pid=1, boot_id="b"))))
        for number in range(sessions):
            contract = canonical.encode_contract({"name": f"é{number}"})
            await writer.submit(lambda s=f"s{number}", c=contract: created(s, c, key=f"key-{s}"))
        for k in range(notes):
            for number in range(sessions):
                await writer.submit(change(note(f"s{number}", f"note {k} – ünïcode \u0007 \U0001f600")))
        for number in range(sessions):
            output = blobs.put(f"output {number}".encode() * 50)
            body = entries.CheckFinished(task="t", attempt=1, commit="c", index=0, ok=True, detail="", output=output)
            await writer.submit(change(Draft(f"session:s{number}", body)))
        await writer.submit(amended("s0", canonical.encode_contract({"name": "é0"}), b'{"name":"more"}'))


def amended(session: str, before: bytes, after: bytes) -> Callable[[], Change]:
    """A proposal of revision 2."""
    hash_ = canonical.contract_hash(after)
    body = entries.ContractAmended(k=2, hash=hash_, prev=canonical.contract_hash(before))
    return lambda: Change([Draft(session_stream(session), body)], [ContractRow(session, 2, after, hash_)])


def tamper(places: Places, *statements: str, values: tuple[object, ...] = ()) -> None:
    """What somebody with plain SQL does: drops the triggers and changes rows, with no daemon there."""
    import sqlite3

    with closing(sqlite3.connect(places.ledger, isolation_level=None)) as connection:
        for (name,) in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'trigger'").fetchall():
            connection.execute(f"DROP TRIGGER {name}")
        for statement in statements:
            connection.execute(statement, values)
