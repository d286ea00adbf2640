"""The head outside the database: it may lag, never lead, and while it does nothing is appended."""

from pathlib import Path

import anyio
import pytest

from marathond.domain.entries import DaemonStopped, Draft, HeadAccepted, SessionHalted
from marathond.domain.errors import MarathonError
from marathond.domain.limits import HEAD_INTERVAL_SECONDS
from marathond.places import Places
from marathond.store import head
from marathond.store.accept import accept_head
from marathond.store.chain import Head
from marathond.store.head import HeadStatus
from marathond.store.rows import to_row
from marathond.store.verify import verify
from marathond.store.writer import open_writer
from tests.support.ledgers import TestClock, change, fill, make_places, note, running_writer, tamper

pytestmark = pytest.mark.anyio


@pytest.fixture
async def places(tmp_path: Path) -> Places:
    places = make_places(tmp_path)
    await fill(places)
    return places


async def found(places: Places) -> HeadStatus:
    async with open_writer(places, TestClock()) as writer:
        return writer.head_finding.status


async def test_after_an_orderly_end_the_head_is_equal(places: Places) -> None:
    """Closing the writer writes the head of the last commit."""
    assert await found(places) is HeadStatus.EQUAL


async def test_a_rest_point_is_in_the_head_before_it_is_acknowledged(places: Places) -> None:
    """When a halt is answered, the head names it: its loss will show."""
    async with running_writer(places) as writer:
        (entry,) = await writer.submit(change(Draft("session:s0", SessionHalted())))
        assert head.read(places.head) == Head(entry.seq, entry.link)


async def test_between_rest_points_the_head_follows_within_the_interval(places: Places) -> None:
    """Other entries wait, at most for the interval, also when nothing comes after them."""
    clock = TestClock()
    async with running_writer(places, clock=clock) as writer:
        before = head.read(places.head)
        await writer.submit(change(note("s0")))
        assert head.read(places.head) == before
        clock.monotonic += int(HEAD_INTERVAL_SECONDS * 1000)
        (entry,) = await writer.submit(change(note("s0")))
        assert head.read(places.head) == Head(entry.seq, entry.link)
        await writer.submit(change(note("s0")))
        clock.monotonic += int(HEAD_INTERVAL_SECONDS * 1000)
        with anyio.fail_after(5):
            while head.read(places.head) != writer.head:
                await anyio.sleep(0.02)


async def test_the_file_is_overwritten_in_place(places: Places) -> None:
    """The file keeps its inode and its size, whatever the number."""
    before = places.head.stat()
    for seq in (0, 7, 10**12):
        head.write(places.head, Head(seq, "ab" * 32))
        assert head.read(places.head) == Head(seq, "ab" * 32)
        assert (places.head.stat().st_ino, places.head.stat().st_size) == (before.st_ino, before.st_size)


async def test_a_head_that_lags_is_fine(places: Places) -> None:
    """A daemon that was killed before it wrote the head goes on, and the head catches up."""
    old = places.head.read_bytes()
    async with running_writer(places) as writer:
        await writer.submit(change(note("s0")))
    places.head.write_bytes(old)
    assert verify(places).ok
    async with running_writer(places) as writer:
        assert writer.head_finding.status is HeadStatus.LAGS
        assert writer.read_only is None
    assert await found(places) is HeadStatus.EQUAL


async def test_a_missing_end_makes_the_ledger_read_only(places: Places) -> None:
    """When the last entry is gone the head leads: nothing is appended and the head file is left as it is, until it is accepted."""
    before = places.head.read_bytes()
    async with open_writer(places, TestClock()) as writer:
        lost = writer.head
    tamper(places, "DELETE FROM ledger WHERE seq = (SELECT max(seq) FROM ledger)")
    async with running_writer(places) as writer:
        assert "entries are missing" in (writer.read_only or "")
        with pytest.raises(MarathonError) as refusal:
            await writer.submit(change(note("s0")))
        assert refusal.value.kind.slug == "head_ahead"
    assert places.head.read_bytes() == before

    entry = accept_head(places, TestClock())
    assert entry is not None
    assert isinstance(entry.body, HeadAccepted)
    assert (entry.body.head_seq, entry.body.head_link, entry.body.found_seq) == (*lost, lost.seq - 1)
    assert accept_head(places, TestClock()) is None
    async with running_writer(places) as writer:
        assert (await writer.submit(change(note("s1"))))[0].seq == lost.seq + 1
        assert to_row(entry).seq == lost.seq


@pytest.mark.parametrize("harm", ["missing", "damaged", "cut", "disagrees", "disagrees below"])
async def test_a_head_that_cannot_vouch_makes_the_ledger_read_only(places: Places, harm: str) -> None:
    """A head that is gone, damaged or names another entry is a problem for verify and for the writer, and can be accepted."""
    text = places.head.read_bytes()
    last = head.read(places.head)
    assert last is not None
    match harm:
        case "missing":
            places.head.unlink()
        case "damaged":
            places.head.write_bytes(text.replace(b"marathon.head.v1 0", b"marathon.head.v1 1"))
        case "cut":
            places.head.write_bytes(text[:-20])
        case "disagrees":
            head.write(places.head, Head(last.seq, "ab" * 32))
        case _:
            head.write(places.head, Head(last.seq - 3, "ab" * 32))
    assert not verify(places).ok
    async with running_writer(places) as writer:
        with pytest.raises(MarathonError) as refusal:
            await writer.submit(change(note("s0")))
        assert refusal.value.kind.slug == "head_unsound"
    assert accept_head(places, TestClock()) is not None
    assert verify(places).ok
    assert await found(places) is HeadStatus.EQUAL


async def test_a_head_that_cannot_be_written_stops_the_next_batch(places: Places) -> None:
    """What was committed is acknowledged; nothing more is, until the head can be written again."""
    async with running_writer(places) as writer:
        places.head.unlink()
        places.head.mkdir()  # root ignores modes, but nobody opens a folder for writing
        await writer.submit(change(Draft("system", DaemonStopped(reason=""))))
        with pytest.raises(MarathonError) as failure:
            await writer.submit(change(note("s0")))
        assert failure.value.kind.slug == "storage"
        places.head.rmdir()
        await writer.submit(change(note("s0")))
    assert verify(places).ok
