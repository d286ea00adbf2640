"""The single writer: whoever has something to record hands it in here and awaits the commit.

Group commit without a timer: while one batch is being synced the next one gathers, so a lone caller waits for one sync
and a crowd shares one. The task is shielded while it transacts, since a cancellation between BEGIN and COMMIT would
leave the transaction open.
"""

import asyncio
import logging
import sqlite3
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import NamedTuple

import anyio
import anyio.abc
import anyio.to_thread

from marathond.domain.clock import Clock
from marathond.domain.entries import Entry
from marathond.domain.errors import NOT_A_LEDGER, STOPPING, STORAGE, MarathonError
from marathond.domain.limits import BATCH_PROPOSALS_MAX, WAL_IDLE_SECONDS
from marathond.places import Places
from marathond.store import head
from marathond.store.batch import Batch, Change, Propose, Reactor, Request
from marathond.store.chain import GENESIS, HASH_FORM, Chain, Head, Tip
from marathond.store.database import compare_head, connect_writer
from marathond.store.rows import LedgerRow, to_row
from marathond.store.transaction import Appender, Connect

__all__ = ["Change", "Reactor", "Sink", "Writer", "open_writer"]

Sink = Callable[[Sequence[LedgerRow]], None]
"""Gets the rows of each commit, on the event loop. It only enqueues: it neither blocks nor raises."""

log = logging.getLogger(__name__)


class _Subscription(NamedTuple):
    sink: Sink
    stream: str | None


@asynccontextmanager
async def open_writer(places: Places, clock: Clock, *, connect: Connect = connect_writer) -> AsyncIterator["Writer"]:
    """The writer of a prepared ledger (see `database.prepare`), closed at the end with the head written.

    Start `Writer.run` in a task group once the state is folded. Raises sqlite3.Error, and NOT_A_LEDGER for a last entry
    that cannot be continued from.
    """
    finding = await anyio.to_thread.run_sync(compare_head, places)
    writer = Writer(places, clock, finding, Appender(places.ledger, connect))
    try:
        await writer.open()
        yield writer
    finally:
        with anyio.CancelScope(shield=True):
            await writer.close()


class Writer:
    """The only way into the ledger. Use `open_writer`."""

    def __init__(self, places: Places, clock: Clock, finding: head.HeadFinding, appender: Appender) -> None:
        self.head_finding = finding
        self._places = places
        self._clock = clock
        self._appender = appender
        self._keeper = head.HeadKeeper(places.head, clock.monotonic_ms)
        self._chain = GENESIS
        self._reactor: Reactor | None = None
        self._queue: deque[Request] = deque()
        self._wake = anyio.Event()
        self._subscriptions: dict[int, _Subscription] = {}
        self._subscriptions_made = 0
        self._unknown: Batch | None = None
        self._refusal = None if finding.sound else finding.error()
        self._stopping = False
        self._wal_used = False

    # --- what is committed ---

    @property
    def head(self) -> Head:
        """The committed head of the ledger."""
        return self._chain.head

    @property
    def read_only(self) -> str | None:
        """Why nothing may be appended; None when all is well."""
        return self._refusal.message if self._refusal else None

    def tip(self, stream: str) -> Tip:
        """The last committed entry of a stream; n = 0 for a stream without one."""
        return self._chain.tip(stream)

    # --- for everyone ---

    async def submit(self, propose: Propose) -> list[Entry]:
        """Appends what `propose` returns and gives its entries back once they are durable.

        `propose` is called on the event loop when its turn comes, after everything staged before it, and must not
        await. What it raises is raised here and spoils nobody else's turn. Raises ENTRY_REFUSED for an entry that the
        ledger cannot hold, HEAD_AHEAD or HEAD_UNSOUND while the outside head forbids appending, STORAGE when the
        commit failed and STOPPING at the end.
        """
        if self._refusal:
            raise self._refusal.with_traceback(None)
        if self._stopping:
            raise MarathonError(STOPPING)
        request = Request(propose, asyncio.get_running_loop().create_future())
        self._queue.append(request)
        self._wake.set()
        return await request.answer

    def subscribe(self, sink: Sink, stream: str | None = None) -> tuple[int, Callable[[], None]]:
        """From now on `sink` gets the rows of each commit, of one stream or of all, in order of `seq`.

        Returns the committed `seq` (what is after it will come; what is up to it can be read) and a function that ends
        the subscription.
        """
        self._subscriptions_made += 1
        number = self._subscriptions_made
        self._subscriptions[number] = _Subscription(sink, stream)

        def cancel() -> None:
            self._subscriptions.pop(number, None)

        return self.head.seq, cancel

    # --- for the app ---

    async def open(self) -> None:
        """Opens the connection and reads where the ledger ends."""
        self._chain = await self._appender.open()
        if not HASH_FORM.fullmatch(self._chain.head.link) and not self._refusal:
            reason = f"the link of its last entry, {self.head.seq}, is damaged"
            self._refusal = MarathonError(NOT_A_LEDGER, path=self._places.ledger, reason=reason)
        if self.head_finding.sound and self.head_finding.outside != self.head:
            self._keeper.note(self.head)

    async def run(
        self, reactor: Reactor, *, task_status: anyio.abc.TaskStatus[None] = anyio.TASK_STATUS_IGNORED
    ) -> None:
        """Commits what is handed in until `stop` is called and the queue is empty."""
        self._reactor = reactor
        task_status.started()
        try:
            while await self._work_arrived():
                with anyio.CancelScope(shield=True):
                    await self._commit(reactor, self._take())
        finally:
            self.stop()
            while self._queue:
                self._queue.popleft().fail(MarathonError(STOPPING))

    def stop(self) -> None:
        """Takes no new work; `run` returns when what was handed in before is committed."""
        self._stopping = True
        self._wake.set()

    async def checkpoint(self) -> None:
        """Moves the WAL into the database. For quiet moments; only this connection may do it."""
        self._wal_used = False
        await self._appender.checkpoint()

    async def close(self) -> None:
        """Writes the head and closes the connection; `run` must have ended."""
        self._stopping = True
        try:
            if not self._refusal and self._unknown is None:
                await anyio.to_thread.run_sync(self._keeper.write)
        finally:
            await self._appender.close()

    # --- the loop ---

    async def _work_arrived(self) -> bool:
        while not self._queue:
            if self._stopping:
                return False
            self._wake = anyio.Event()
            with anyio.move_on_after(self._idle_seconds()):
                await self._wake.wait()
                continue
            with anyio.CancelScope(shield=True):
                await self._tidy()
        return True

    def _idle_seconds(self) -> float:
        if self._keeper.pending:
            return max(self._keeper.wait_seconds(), 0.0)
        return WAL_IDLE_SECONDS if self._wal_used else float("inf")

    async def _tidy(self) -> None:
        try:
            if self._keeper.pending:
                await anyio.to_thread.run_sync(self._keeper.write)
            elif self._wal_used:
                await self.checkpoint()
        except (OSError, sqlite3.Error) as error:
            # Nothing acknowledged depends on it. The next batch tries again first, and fails its callers if it must.
            log.error("the ledger could not be tidied: %s", error)

    def _take(self) -> list[Request]:
        return [self._queue.popleft() for _ in range(min(len(self._queue), BATCH_PROPOSALS_MAX))]

    async def _commit(self, reactor: Reactor, requests: list[Request]) -> None:
        try:
            await self._recover(reactor)
        except (OSError, sqlite3.Error, MarathonError) as error:
            for request in requests:
                request.fail(_storage(error))
            return
        batch = Batch(self._chain, reactor, self._clock.wall())
        try:
            for request in requests:
                batch.admit(request)
            batch.settle()
        except Exception as error:  # noqa: BLE001 - a fault of the fold: its callers get it, the writer lives on
            reactor.rollback()
            for request in requests:
                request.fail(error)
            return
        if not batch.entries:
            batch.resolve()
            return
        try:
            await self._appender.append(batch.entries, batch.contracts)
        except sqlite3.Error as error:
            if not await self._is_durable(batch):
                reactor.rollback()
                batch.fail(_storage(error))
                return
        await self._committed(reactor, batch)

    async def _committed(self, reactor: Reactor, batch: Batch) -> None:
        self._chain = batch.chain
        self._wal_used = True
        reactor.commit(batch.entries)
        self._keeper.note(self.head)
        if self._keeper.due(batch.entries):
            try:
                await anyio.to_thread.run_sync(self._keeper.write)
            except OSError as error:
                # The entries are durable, and the head may lag: they are acknowledged. The next batch tries again first.
                log.error("the head could not be written: %s", error)
        self._publish([to_row(entry) for entry in batch.entries])
        batch.resolve()

    def _publish(self, rows: list[LedgerRow]) -> None:
        for number, (sink, stream) in list(self._subscriptions.items()):
            mine = rows if stream is None else [row for row in rows if row.stream == stream]
            if not mine:
                continue
            try:
                sink(mine)
            except Exception:
                log.exception("a subscriber failed and was dropped")
                self._subscriptions.pop(number, None)

    # --- after a failure ---

    async def _is_durable(self, batch: Batch) -> bool:
        """Looks whether a batch whose commit failed is in the ledger; keeps the question if that cannot be told now."""
        self._unknown = batch
        try:
            found = await self._appender.open()
        except sqlite3.Error:
            return False
        return self._conclude(batch, found)

    async def _recover(self, reactor: Reactor) -> None:
        """Before the next batch: settles what an earlier failure left open. Raises what still stands in the way."""
        batch = self._unknown
        if batch is not None and self._conclude(batch, await self._appender.open()):
            batch.replay(reactor)
            await self._committed(reactor, batch)
        if self._refusal:
            raise self._refusal
        if self._keeper.failed:
            await anyio.to_thread.run_sync(self._keeper.write)

    def _conclude(self, batch: Batch, found: Chain) -> bool:
        self._unknown = None
        if found.head == batch.chain.head:
            return True
        if found.head != self._chain.head:
            reason = f"another program has written to it (entry {found.head.seq})"
            self._refusal = MarathonError(STORAGE, reason=reason)
        return False


def _storage(error: Exception) -> MarathonError:
    return error if isinstance(error, MarathonError) else MarathonError(STORAGE, reason=str(error))
