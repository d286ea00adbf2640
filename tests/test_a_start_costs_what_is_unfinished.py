"""However long a machine has worked, a start reads little of it and knows the same."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from random import Random

import anyio
import pytest
from msgspec.structs import replace

from marathond.domain import entries as e
from marathond.domain import system
from marathond.domain.coordinator import Capacity
from marathond.domain.limits import ENTRY_BYTES_MAX
from marathond.domain.system import SUM_EVERY, TURNS_SUMMED, Box, Slot
from marathond.engine.kernel import Kernel
from marathond.engine.recovery import load_box
from marathond.places import Places
from marathond.store.readers import Readers, open_readers
from marathond.store.rows import LedgerRow
from marathond.store.writer import Change, Writer, open_writer
from tests.support.ledgers import NOON, TestClock, make_places, tamper

pytestmark = pytest.mark.anyio

NO_SLOTS = '"slots":['
A_SLOT = '"slots":[{"agent":"x","attempt":1,"session":"s","task":"t"},'
ONE_SUM = "stream = 'system' AND kind = 'system.summed'"


class Counting(Readers):
    """Counts the rows it gives out."""

    given = 0

    async def rows(self, after: int = 0, limit: int = 200, stream: str | None = None) -> list[LedgerRow]:
        found = await super().rows(after, limit, stream)
        self.given += len(found)
        return found


@asynccontextmanager
async def working(places: Places) -> AsyncIterator[tuple[Writer, Kernel]]:
    """A writer and the kernel that follows it."""
    async with open_writer(places, TestClock()) as writer, anyio.create_task_group() as tasks:
        kernel = Kernel(Capacity(2))
        async with open_readers(places) as readers:
            await load_box(readers, kernel)
        await tasks.start(writer.run, kernel)
        try:
            yield writer, kernel
        finally:
            writer.stop()


def life(sessions: int = 30) -> Iterator[e.Body]:
    """Years of a machine: boots, attempts, limits, and two sessions that may not be trusted."""
    dice = Random(7)
    verdict = e.Verdict(point=2, verdict="fail", detail="entry 3: changed")
    attempt = 0
    while True:
        attempt += 1
        session, pool = f"s{dice.randrange(sessions)}", f"pool{dice.randrange(3)}"
        if attempt in (3, 40):
            yield e.SessionQuarantined(session=session, points=[verdict])
        if attempt % 50 == 1:
            yield e.DaemonStarted(version="1", pid=attempt, boot_id=f"boot{attempt // 100}")
        if attempt % 7 == 0:
            yield e.PoolLimited(
                pool=pool, until=NOON + 10**9 + attempt, stated=True, session=session, task="t", attempt=1
            )
        if attempt % 11 == 0:
            yield e.PoolOpened(pool=pool)
        yield e.SlotGranted(session=session, task="t", attempt=attempt, agent="claude")
        if attempt % 400:  # a few are still at work when the daemon goes
            yield e.SlotReturned(session=session, task="t", attempt=attempt)


async def live(writer: Writer, bodies: Iterator[e.Body], entries: int) -> None:
    """So many entries of a life, some at a time."""
    for _ in range(0, entries, 100):
        drafts = [e.Draft(e.SYSTEM, next(bodies)) for _ in range(100)]
        await writer.submit(lambda drafts=drafts: Change(drafts=drafts))


async def read_anew(places: Places) -> tuple[Box, int]:
    """What a start makes of the ledger, and how many rows it reads for it."""
    kernel = Kernel(Capacity(2))
    async with open_readers(places) as readers:
        counting = Counting(readers._connection)
        await load_box(counting, kernel)
    return kernel.box, counting.given


def plain(box: Box) -> Box:
    """Which of the sums it comes from makes no difference."""
    return replace(box, summed=0)


async def test_a_start_reads_on_from_the_last_sum(tmp_path: Path) -> None:
    """A box that was summed up many times is read anew from a bounded number of entries, and is what the daemon knew."""
    places = make_places(tmp_path)
    async with working(places) as (writer, kernel):
        await live(writer, life(), 5 * SUM_EVERY)
        known = kernel.box
    found, read = await read_anew(places)
    assert found == known
    assert len(known.quarantined) == 2
    assert known.slots
    assert known.pools
    assert read < 2 * SUM_EVERY
    async with open_readers(places) as readers:
        rows = await readers.rows(0, 10 * SUM_EVERY, e.SYSTEM)
    sums = sum(b'"kind":"system.summed"' in row.record for row in rows)
    assert sums == len(rows) // SUM_EVERY, "one is made when it is due, and none on top of it"


@pytest.mark.parametrize(
    "harm",
    [
        f"DELETE FROM ledger WHERE {ONE_SUM}",
        f"UPDATE ledger SET record = replace(record, '{NO_SLOTS}', '{A_SLOT}') WHERE {ONE_SUM}",
        f"UPDATE ledger SET record = replace(record, 'boot', 'root') WHERE {ONE_SUM} AND seq > {2 * SUM_EVERY}",
        f"UPDATE ledger SET record = replace(record, 'turns', 'truns') WHERE {ONE_SUM}",
    ],
    ids=["missing", "all-changed", "last-changed", "unreadable"],
)
async def test_a_sum_that_is_missing_or_changed_changes_nothing(tmp_path: Path, harm: str) -> None:
    """The state is a fold of what happened: without the sums, or with false ones in their place, it is the same."""
    places = make_places(tmp_path)
    async with working(places) as (writer, kernel):
        await live(writer, life(), 3 * SUM_EVERY + 200)
        known = kernel.box
    tamper(places, harm)
    found, _ = await read_anew(places)
    assert plain(found) == plain(known)


async def test_a_ledger_without_sums_gets_one(tmp_path: Path) -> None:
    """What an older version has written is read as a whole once, and summed up with the first entry that is added."""
    places = make_places(tmp_path)
    async with working(places) as (writer, kernel):
        await live(writer, life(), SUM_EVERY - 100)
        assert kernel.box.summed == 0
        await live(writer, life(), 100)
        assert kernel.box.summed == kernel.box.n
        before = plain(kernel.box)
    found, read = await read_anew(places)
    assert plain(found) == before
    assert read == 1 + len(before.quarantined)


async def test_turns_are_kept_of_the_sessions_that_had_one_last(tmp_path: Path) -> None:
    """Of a thousand sessions a sum holds those whose turn is not long ago, and a start knows what the daemon knew."""
    places = make_places(tmp_path)
    async with working(places) as (writer, kernel):
        await live(writer, life(sessions=1000), 2 * SUM_EVERY)
        known = kernel.box
    found, _ = await read_anew(places)
    assert found == known
    assert len(known.turns) < TURNS_SUMMED + SUM_EVERY


def test_a_sum_never_grows_too_large_to_be_kept() -> None:
    """A machine with more slots in use than an entry has room for goes without a sum."""
    slots = {Slot("s" * 12, f"{i:060d}", 1): "claude" for i in range(ENTRY_BYTES_MAX // 100)}
    box = Box(n=SUM_EVERY, slots=Box().slots.update(slots))
    assert system.sum_up(box) == []
    assert system.sum_up(replace(box, slots=Box().slots)) != []
