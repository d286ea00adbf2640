"""Feeds: what a connection gets sent because it asked for it once.

A ledger subscription never leaves a gap and never repeats. It is registered with the writer at a committed seq S; what is at or
below S is read from the ledger in pages, what is above comes from the writer. While it lives off the writer (`live`) entries go
straight to the outbox. When that is full, the subscription says `ledger/lagged` once, goes back to reading, and is live again as
soon as it has read all that it was told of.
"""

from collections.abc import Callable, Sequence
from typing import Final

import anyio
from anyio.abc import TaskGroup

from marathond.domain.errors import TOO_MANY_FEEDS, MarathonError
from marathond.domain.limits import FEEDS_MAX
from marathond.server.notifications import (
    EntryTexts,
    LaggedNotice,
    OutputNotice,
    entry_head,
    notification,
)
from marathond.server.outbox import Outbox
from marathond.server.services import Result, Services
from marathond.store.rows import LedgerRow

_PAGE_ENTRIES: Final = 200


class LedgerFeed:
    """One `ledger/subscribe`."""

    def __init__(self, number: int, services: Services, outbox: Outbox, texts: EntryTexts, stream: str | None) -> None:
        self.number = number
        self._services = services
        self._outbox = outbox
        self._texts = texts
        self._stream = stream
        self._head = entry_head(number)
        self._live = False
        self._behind = anyio.Event()
        self._told, self._cancel = services.subscribe(self._on_commit, stream)
        self.position = self._told
        """Every entry up to this `seq` was sent, or is not asked for."""

    def close(self) -> None:
        """Sends nothing more."""
        self._live = False
        self._cancel()

    def _on_commit(self, rows: Sequence[LedgerRow]) -> None:
        """Called by the writer. Either everything goes out, or the subscription falls behind."""
        self._told = rows[-1].seq
        if not self._live:
            return
        if self._outbox.full:
            self._live = False
            self._outbox.put(notification("ledger/lagged", LaggedNotice(subscription=self.number, after=self.position)))
            self._behind.set()
            return
        self._send(rows)

    def _send(self, rows: Sequence[LedgerRow]) -> None:
        for row in rows:
            if row.seq > self.position:
                self._outbox.put(self._head, self._texts.tail(row))
                self.position = row.seq

    async def run(self) -> None:
        """Reads whenever the subscription is behind, and rests while it is live."""
        while True:
            await self._catch_up()
            await self._behind.wait()

    async def _catch_up(self) -> None:
        self._behind = anyio.Event()
        while self.position < self._told:
            await self._outbox.room()
            bound = self._told
            rows = await self._services.read(
                after=self.position, limit=_PAGE_ENTRIES, session=None, stream=self._stream
            )
            # Rows above `bound` may be readable before the writer has told of them: they wait for their turn.
            self._send([row for row in rows if row.seq <= bound])
            if len(rows) < _PAGE_ENTRIES or rows[-1].seq > bound:
                self.position = max(self.position, bound)
        self._live = True  # nothing was awaited since the comparison, so nothing can slip in between


class OutputFeed:
    """One followed `attempt/output`: the rest of an attempt and, unless one was named, of those after it."""

    def __init__(
        self, number: int, services: Services, outbox: Outbox, page: Result, *, named: bool, raw: bool
    ) -> None:
        self.number = number
        self._services = services
        self._outbox = outbox
        self._session: str = page["session"]
        self._task: str = page["task"]
        self._attempt: int = page["attempt"]
        self._offset: int = page["next"]
        self._named = named
        self._raw = raw

    async def run(self) -> None:
        """Sends until no more can come, and says so."""
        while True:
            page = await self._read(self._attempt, self._offset)
            if page["next"] > self._offset:
                await self._pass_on(page)
            elif page["live"] or await self._later_output_may_come():
                await self._services.output_changed(
                    session=self._session, task=self._task, attempt=self._attempt, after=self._offset
                )
            elif page["attempt"] == self._attempt:
                break
        self._notify(self._offset, "", ended=True)

    async def _read(self, attempt: int | None, after: int) -> Result:
        return await self._services.output(
            session=self._session, cwd=None, task=self._task, attempt=attempt, after=after, raw=self._raw
        )

    async def _later_output_may_come(self) -> bool:
        """Whether to wait for more; moves on to a newer attempt when there is one."""
        if self._named:
            return False
        newest = await self._read(None, 0)
        if newest["attempt"] != self._attempt:
            self._attempt, self._offset = newest["attempt"], 0
            return False
        return bool(newest["live"])

    async def _pass_on(self, page: Result) -> None:
        await self._outbox.room()
        if page["text"]:
            self._notify(page["offset"], page["text"])
        self._offset = page["next"]

    def _notify(self, offset: int, text: str, *, ended: bool = False) -> None:
        notice = OutputNotice(
            session=self._session, task=self._task, attempt=self._attempt, offset=offset, text=text, ended=ended
        )
        self._outbox.put(notification("attempt/output", notice))


class Feed:
    """A feed and the scope that its loop runs in."""

    def __init__(self, source: LedgerFeed | OutputFeed, tasks: TaskGroup, forget: Callable[[int], None]) -> None:
        self.number = source.number
        self._source = source
        self._tasks = tasks
        self._forget = forget
        self._scope = anyio.CancelScope()

    def start(self) -> None:
        """Lets it send; its answer is already queued."""
        if not self._scope.cancel_called:
            self._tasks.start_soon(self._run)

    def close(self) -> None:
        """Ends it; nothing of it is queued after this."""
        self._scope.cancel()
        if isinstance(self._source, LedgerFeed):
            self._source.close()

    async def _run(self) -> None:
        with self._scope:
            await self._source.run()
            self._forget(self.number)


class ConnectionFeeds:
    """The feeds of one connection; they end with it."""

    def __init__(self, services: Services, outbox: Outbox, texts: EntryTexts, tasks: TaskGroup) -> None:
        self._services = services
        self._outbox = outbox
        self._texts = texts
        self._tasks = tasks
        self._feeds: dict[int, Feed] = {}
        self._last = 0

    def open_ledger(self, after: int | None, stream: str | None) -> tuple[Feed, int]:
        """See `marathond.server.method.Feeds`."""
        source = LedgerFeed(self._next(), self._services, self._outbox, self._texts, stream)
        if after is not None:
            source.position = after
        return self._add(source), source.position

    def open_output(self, page: Result, *, named: bool, raw: bool) -> Feed:
        """See `marathond.server.method.Feeds`."""
        return self._add(OutputFeed(self._next(), self._services, self._outbox, page, named=named, raw=raw))

    def close_ledger(self, number: int) -> bool:
        """See `marathond.server.method.Feeds`."""
        feed = self._feeds.pop(number, None)
        if feed is None:
            return False
        feed.close()
        return True

    def close(self) -> None:
        """Ends them all."""
        while self._feeds:
            self._feeds.popitem()[1].close()

    def _next(self) -> int:
        if len(self._feeds) >= FEEDS_MAX:
            raise MarathonError(TOO_MANY_FEEDS, limit=FEEDS_MAX)
        self._last += 1
        return self._last

    def _add(self, source: LedgerFeed | OutputFeed) -> Feed:
        feed = self._feeds[source.number] = Feed(source, self._tasks, self._forget)
        return feed

    def _forget(self, number: int) -> None:
        self._feeds.pop(number, None)
