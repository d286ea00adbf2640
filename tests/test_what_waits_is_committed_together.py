"""Group commit: order is kept, one sync serves all that wait, and nobody's mistake costs another his turn."""

import sqlite3
from pathlib import Path
from typing import Any

import anyio
import pytest

from marathond.domain.entries import Draft, Entry, RequestAbort, TaskDone
from marathond.domain.errors import NO_SESSION, MarathonError
from marathond.domain.limits import BATCH_PROPOSALS_MAX
from marathond.places import Places
from marathond.store.database import connect_writer
from marathond.store.readers import open_readers
from marathond.store.rows import LedgerRow
from marathond.store.writer import Change, Writer, open_writer
from tests.support.ledgers import PlainReactor, TestClock, change, created, make_places, note, running_writer

pytestmark = pytest.mark.anyio


@pytest.fixture
def places(tmp_path: Path) -> Places:
    return make_places(tmp_path)


class Commits:
    """Opens real connections and counts the transactions on them."""

    def __init__(self) -> None:
        self.count = 0

    def __call__(self, path: Path) -> sqlite3.Connection:
        connection = connect_writer(path)
        connection.set_trace_callback(self._seen)
        return connection

    def _seen(self, statement: str) -> None:
        self.count += statement == "COMMIT"


async def submit_all(writer: Writer, *proposals: Any) -> list[list[Entry] | MarathonError]:
    """Hands in all proposals before any has its turn; answers or errors in the same order."""
    answers: list[Any] = [None] * len(proposals)

    async def one(index: int) -> None:
        try:
            answers[index] = await writer.submit(proposals[index])
        except MarathonError as error:
            answers[index] = error

    async with anyio.create_task_group() as tasks:
        for index in range(len(proposals)):
            tasks.start_soon(one, index)
    return answers


async def test_a_crowd_shares_one_commit_in_the_order_of_arrival(places: Places) -> None:
    """A hundred proposals that wait together become one transaction, in order, each caller getting its own entry."""
    commits = Commits()
    async with running_writer(places, connect=commits) as writer:
        answers = await submit_all(writer, *(change(note(f"s{k % 7}", str(k))) for k in range(100)))
        assert [(entry.seq, entry.body.text) for (entry,) in answers] == [(k + 1, str(k)) for k in range(100)]
        assert commits.count == 1


async def test_a_batch_has_a_limit(places: Places) -> None:
    """More than BATCH_PROPOSALS_MAX proposals take more than one commit, and all are answered."""
    commits = Commits()
    async with running_writer(places, connect=commits) as writer:
        answers = await submit_all(writer, *(change(note("s")) for _ in range(2 * BATCH_PROPOSALS_MAX + 1)))
    assert len(answers) == 2 * BATCH_PROPOSALS_MAX + 1
    assert commits.count == 3


async def test_an_answer_means_that_others_can_read_it(places: Places) -> None:
    """When submit returns, another connection sees the rows, with the contract that came with them."""
    async with running_writer(places) as writer, open_readers(places) as readers:
        (entry,) = await writer.submit(lambda: created("s", b"{}", key="k"))
        assert await readers.last() == LedgerRow(1, "session:s", entry.hash, entry.link, "0" * 64, entry.record)
        assert [row.record for row in await readers.contracts("s")] == [b"{}"]
        assert await readers.session_by_key("k") == "s"
        assert await readers.session_by_key("other") is None


async def test_a_proposal_sees_what_was_staged_before_it(places: Places) -> None:
    """Of two racing starts under one key the second sees the first one's entry, so one session comes of them."""
    reactor = PlainReactor()

    def start(session: str) -> Change:
        taken = [e for e in reactor.committed + reactor.staged if e.kind == "session.created"]
        return Change([]) if taken else created(session, b"{}", key="k")

    async with running_writer(places, reactor) as writer:
        first, second = await submit_all(writer, lambda: start("a"), lambda: start("b"))
        assert (len(first), second) == (1, [])
        assert await writer.submit(lambda: start("c")) == []


async def test_the_database_itself_refuses_a_key_twice(places: Places) -> None:
    """Even a proposal that does not look cannot start two sessions under one key; the first one stays."""
    reactor = PlainReactor()
    async with running_writer(places, reactor) as writer:
        await writer.submit(lambda: created("a", b"{}", key="k"))
        with pytest.raises(MarathonError) as refusal:
            await writer.submit(lambda: created("b", b"{}", key="k"))
        assert refusal.value.kind.slug == "storage"
        await writer.submit(lambda: created("c", b"{}", key="other"))
    assert [entry.stream for entry in reactor.committed] == ["session:a", "session:c"]


async def test_a_mistaken_proposal_fails_alone(places: Places) -> None:
    """A refusal, a fault and an entry that cannot be sealed go to their callers; nothing of theirs is staged; the rest is committed."""

    def refuse() -> Change:
        raise MarathonError(NO_SESSION, session="x")

    reactor = PlainReactor()
    async with running_writer(places, reactor) as writer:
        good, refused, half, fine = await submit_all(
            writer, change(note("s")), refuse, change(note("s", "fine"), note("s", "\ud800")), change(note("s"))
        )
        with pytest.raises(ZeroDivisionError):
            await writer.submit(lambda: Change([note("s", str(1 // 0))]))
    assert [entry.n for entry in (*good, *fine)] == [1, 2]
    assert [refused.kind.slug, half.kind.slug] == ["no_session", "entry_refused"]
    assert len(reactor.committed) == 2


async def test_what_must_follow_is_in_the_same_commit(places: Places) -> None:
    """The reactor's entries are folded and added to a fixpoint, and committed with what caused them; the caller gets only its own."""

    def count_to_three(staged: list[Entry]) -> list[Draft]:
        last = staged[-1].body if staged else None
        return [note("s", last.text + "i")] if isinstance(last, TaskDone) and len(last.text) < 3 else []

    commits, reactor = Commits(), PlainReactor(count_to_three)
    async with running_writer(places, reactor, connect=commits) as writer:
        assert [entry.body.text for entry in await writer.submit(change(note("s")))] == [""]
    assert [entry.body.text for entry in reactor.committed] == ["", "i", "ii", "iii"]
    assert commits.count == 1


async def test_nothing_to_say_makes_no_transaction(places: Places) -> None:
    """A proposal without drafts is answered without touching the disk."""
    commits = Commits()
    async with running_writer(places, connect=commits) as writer:
        assert await writer.submit(change()) == []
    assert commits.count == 0


async def test_a_reactor_without_an_end_is_an_error(places: Places) -> None:
    """Reactions that never stop fail the batch and leave nothing behind; the writer goes on."""
    endless = PlainReactor(lambda staged: [Draft("session:s", RequestAbort())] if staged else [])
    async with running_writer(places, endless) as writer:
        with pytest.raises(MarathonError) as failure:
            await writer.submit(change(note("s")))
        assert failure.value.kind.slug == "internal"
        endless.then = None
        (entry,) = await writer.submit(change(note("s")))
        assert entry.seq == 1


async def test_a_caller_that_gave_up_takes_nobody_along(places: Places) -> None:
    """A cancelled caller's proposal is skipped if it had no turn yet; the others are answered."""
    async with running_writer(places) as writer:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(writer.submit, change(note("gone")))
            tasks.cancel_scope.cancel()
        (entry,) = await writer.submit(change(note("s")))
        assert entry.seq == 1 + writer.tip("session:gone").n


async def test_subscribers_get_each_row_once_and_in_order(places: Places) -> None:
    """What is after the S of a subscription comes by it, what is up to S can be read: no gap and no repeat, whenever one subscribes."""
    async with running_writer(places) as writer, open_readers(places) as readers:

        async def write(session: str) -> None:
            for _ in range(30):
                await writer.submit(change(note(session)))

        seen: dict[int, list[int]] = {}
        async with anyio.create_task_group() as tasks:
            for session in ("a", "b", "c"):
                tasks.start_soon(write, session)
            for _ in range(20):
                live: list[int] = []
                upto, _cancel = writer.subscribe(lambda rows, live=live: live.extend(row.seq for row in rows))
                seen[upto] = live
                await anyio.lowlevel.checkpoint()
                await readers.last()
        for upto, live in seen.items():
            assert live == list(range(upto + 1, 91))
        mine: list[LedgerRow] = []
        _, cancel = writer.subscribe(mine.extend, "session:a")
        await submit_all(writer, change(note("a")), change(note("b")), change(note("a")))
        cancel()
        await writer.submit(change(note("a")))
        assert [row.seq for row in mine] == [91, 93]


async def test_readers_page_through_one_stream_or_all(places: Places) -> None:
    """Cursors are `seq`: pages of one stream and of all hold every row once; sessions come in the order of their creation."""
    async with running_writer(places) as writer, open_readers(places) as readers:
        await submit_all(writer, *(change(note(f"s{2 - k % 3}")) for k in range(30)))
        pages, after = [], 0
        while page := await readers.rows(after, 4, "session:s1"):
            pages += [row.seq for row in page]
            after = page[-1].seq
        assert pages == list(range(2, 31, 3))
        assert [row.seq for row in await readers.rows(28)] == [29, 30]
        assert [tuple(span) for span in await readers.sessions()] == [("s2", 1, 28), ("s1", 2, 29), ("s0", 3, 30)]
        assert (await readers.last("session:s2")).seq == 28
        assert await readers.last("session:none") is None


async def test_what_was_handed_in_before_the_end_is_committed(places: Places) -> None:
    """Stopping drains the queue; what comes later is told that the daemon stops."""
    async with running_writer(places) as writer:
        async with anyio.create_task_group() as tasks:
            for _ in range(5):
                tasks.start_soon(writer.submit, change(note("s")))
            await anyio.lowlevel.checkpoint()
            writer.stop()
        with pytest.raises(MarathonError) as refusal:
            await writer.submit(change(note("s")))
        assert refusal.value.kind.slug == "stopping"
    async with open_writer(places, TestClock()) as writer:
        assert writer.tip("session:s").n == 5
