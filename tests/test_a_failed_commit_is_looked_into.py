"""After an error on COMMIT the outcome is unknown: the ledger is opened anew and tells it. A blind retry would record twice."""

import resource
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from marathond.domain.entries import DaemonStopped, Draft
from marathond.domain.errors import MarathonError
from marathond.places import Places
from marathond.store.chain import seal
from marathond.store.database import connect_writer
from marathond.store.transaction import INSERT_ENTRY, entry_values, load_chain
from marathond.store.verify import verify
from tests.support.ledgers import NOON, PlainReactor, change, created, make_places, note, running_writer

pytestmark = pytest.mark.anyio


@pytest.fixture
def places(tmp_path: Path) -> Places:
    return make_places(tmp_path)


class Faulty:
    """A real connection whose COMMIT reports an I/O error when armed: before doing its work, or after."""

    def __init__(self) -> None:
        self.fail_before = self.fail_after = self.fail_open = False

    def __call__(self, path: Path) -> Any:
        if self.fail_open:
            raise sqlite3.OperationalError("unable to open database file")
        return _FaultyConnection(connect_writer(path), self)


class _FaultyConnection:
    def __init__(self, real: sqlite3.Connection, faults: Faulty) -> None:
        self._real = real
        self._faults = faults

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)

    def commit(self) -> None:
        if self._faults.fail_before:
            raise sqlite3.OperationalError("disk I/O error")
        self._real.commit()
        if self._faults.fail_after:
            raise sqlite3.OperationalError("disk I/O error")


@contextmanager
def full_disk() -> Iterator[None]:
    """No file of this process may grow beyond 16 KiB: what SQLite meets is a real error of a real write."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (16 * 1024, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


async def test_a_full_disk_fails_the_callers_and_nothing_else(places: Places) -> None:
    """When the disk takes no more, the caller gets `storage` and nothing is recorded; when it does again, work goes on."""
    reactor = PlainReactor()
    async with running_writer(places, reactor) as writer:
        await writer.submit(lambda: created("s", b"{}"))
        with full_disk(), pytest.raises(MarathonError) as failure:
            await writer.submit(change(*(note("s", "x" * 9000) for _ in range(9))))
        assert failure.value.kind.slug == "storage"
        assert reactor.rollbacks == 1
        (entry,) = await writer.submit(change(note("s", "after")))
        assert entry.seq == 2
    assert [entry.kind for entry in reactor.committed] == ["session.created", "task.done"]
    assert verify(places).ok


async def test_a_commit_that_failed_is_not_acknowledged(places: Places) -> None:
    """An error before the rows were durable fails every caller of the batch and rolls the reactor back."""
    faults, reactor = Faulty(), PlainReactor()
    async with running_writer(places, reactor, connect=faults) as writer:
        faults.fail_before = True
        with pytest.raises(MarathonError, match="disk I/O error"):
            await writer.submit(change(note("s")))
        faults.fail_before = False
        assert (await writer.submit(change(note("s"))))[0].seq == 1
    assert (len(reactor.committed), reactor.rollbacks) == (1, 1)


async def test_a_commit_that_was_durable_after_all_is_acknowledged(places: Places) -> None:
    """An error after the rows were durable is seen through: the caller gets its entry, and it is there once."""
    faults, reactor = Faulty(), PlainReactor()
    async with running_writer(places, reactor, connect=faults) as writer:
        seen: list[int] = []
        writer.subscribe(lambda rows: seen.extend(row.seq for row in rows))
        faults.fail_after = True
        assert (await writer.submit(change(note("s", "once"))))[0].seq == 1
        faults.fail_after = False
        assert (await writer.submit(change(note("s"))))[0].seq == 2
        assert seen == [1, 2]
    assert (len(reactor.committed), reactor.rollbacks) == (2, 0)


@pytest.mark.parametrize("durable", [False, True])
async def test_a_question_that_cannot_be_answered_yet_is_answered_later(places: Places, durable: bool) -> None:
    """While the ledger cannot be opened callers fail; once it can, what had become durable is folded and published after all."""
    faults, reactor = Faulty(), PlainReactor()
    async with running_writer(places, reactor, connect=faults) as writer:
        seen: list[int] = []
        writer.subscribe(lambda rows: seen.extend(row.seq for row in rows))
        faults.fail_open, faults.fail_after, faults.fail_before = True, durable, not durable
        for _ in range(2):
            with pytest.raises(MarathonError) as failure:
                await writer.submit(lambda: created("s", b"{}"))
            assert failure.value.kind.slug == "storage"
        faults.fail_open = faults.fail_after = faults.fail_before = False
        await writer.submit(change(Draft("system", DaemonStopped(reason="later"))))
        assert seen == ([1, 2] if durable else [1])
    assert [entry.stream for entry in reactor.committed] == (["session:s"] if durable else []) + ["system"]
    assert verify(places).ok


async def test_another_writer_is_noticed_and_nothing_more_is_appended(places: Places) -> None:
    """A row that somebody else appended makes the next commit fail, and the writer refuses all that follows."""
    reactor = PlainReactor()
    async with running_writer(places, reactor) as writer:
        await writer.submit(change(note("s")))
        with closing(connect_writer(places.ledger)) as stranger:
            _, entry = seal(load_chain(stranger), note("s", "not ours"), NOON)
            stranger.execute(INSERT_ENTRY, entry_values(entry))
        for _ in range(2):
            with pytest.raises(MarathonError) as failure:
                await writer.submit(change(note("s")))
            assert failure.value.kind.slug == "storage"
        assert "another program" in (writer.read_only or "")
    assert len(reactor.committed) == 1
