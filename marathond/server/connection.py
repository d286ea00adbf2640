"""One client: reads its frames, answers its requests, sends what it follows, and ends without anybody else noticing."""

import logging
import math
from collections.abc import Iterable
from typing import Any, Protocol

import anyio
import msgspec
from anyio.abc import TaskGroup

from marathond.domain.errors import (
    INVALID_REQUEST,
    PARSE_ERROR,
    REQUEST_CANCELLED,
    STOPPING,
    TOO_MANY_REQUESTS,
    MarathonError,
)
from marathond.domain.limits import BATCH_ITEMS_MAX
from marathond.server.bounds import Bounds
from marathond.server.dispatch import Dispatcher, Response, failure, id_of, incident, read_request
from marathond.server.framing import Fault, Splitter
from marathond.server.method import Call
from marathond.server.notifications import EntryTexts, error_message
from marathond.server.outbox import Outbox
from marathond.server.services import Inside, Services
from marathond.server.stream import Stream
from marathond.server.strict_json import read_json
from marathond.server.subscriptions import ConnectionFeeds

_CHUNK_BYTES = 64 * 1024
_FLUSH_SECONDS = 5.0
_log = logging.getLogger("marathond.server")
_encode = msgspec.json.Encoder().encode


class Shared(Protocol):
    """What all connections of a server have in common."""

    services: Services
    dispatcher: Dispatcher
    texts: EntryTexts
    bounds: Bounds
    stopping: bool

    def stop_daemon(self, halt: bool) -> None:
        """Asks the application to end; `halt`: attempts are ended first."""

    def note_unfinished(self, connection: "Connection", *, begun: bool) -> None:
        """The connection has begun a frame that is not finished, or has none such any more."""


class Connection:
    """A client's connection from its first byte to its last. `inside` is the attempt that the peer belongs to."""

    def __init__(self, stream: Stream, shared: Shared, inside: Inside | None) -> None:
        self._stream = stream
        self._shared = shared
        self._inside = inside
        self._splitter = Splitter()
        self._deadline = math.inf
        self._reading = anyio.CancelScope()
        self._pending = 0
        self._idle = anyio.Event()
        self._cancellable: dict[int | str | None, anyio.CancelScope] = {}
        self.outbox = Outbox(shared.bounds.send_queue_bytes)

    async def run(self) -> None:
        """Serves until the client goes, breaks the framing, or the task is cancelled."""
        async with anyio.create_task_group() as tasks:
            feeds = ConnectionFeeds(self._shared.services, self.outbox, self._shared.texts, tasks)
            tasks.start_soon(self._send)
            try:
                with self._reading:
                    await self._read(tasks, feeds)
                feeds.close()
                await self._finish()
            finally:
                feeds.close()
                self._shared.note_unfinished(self, begun=False)
            tasks.cancel_scope.cancel()

    def cut(self, reason: str) -> None:
        """Stops reading; the client is told why."""
        self._reject(MarathonError(PARSE_ERROR, reason=reason))
        self._reading.cancel()

    async def _send(self) -> None:
        """Sends until the client is gone; what it asked for is still done, since it may have been a `session/start`."""
        try:
            await self.outbox.drain(self._stream)
        except OSError:
            self.outbox.abandon()
            self._reading.cancel()

    async def _finish(self) -> None:
        """Answers what was asked before the client stopped sending."""
        while self._pending:
            self._idle = anyio.Event()
            await self._idle.wait()
        with anyio.move_on_after(_FLUSH_SECONDS):
            await self.outbox.flushed()

    # --- reading -----------------------------------------------------------------------------------

    async def _read(self, tasks: TaskGroup, feeds: ConnectionFeeds) -> None:
        while (chunk := await self._receive()) is not None:
            pieces = self._splitter.feed(chunk) if chunk else self._splitter.finish()
            self.outbox.framing = self._splitter.framing or "lines"
            for piece in pieces:
                if isinstance(piece, Fault):
                    self._reject(piece.error)
                    if piece.fatal:
                        return
                else:
                    self._take(piece, tasks, feeds)
            if not chunk:
                return
            self._watch_unfinished(begun=bool(pieces))
            if self.outbox.full:
                await self.outbox.room()
                self._watch_unfinished(begun=True)  # the rest of a frame may have been there all the while

    async def _receive(self) -> bytes | None:
        """The next chunk, empty at the end of the stream; None when nothing more is to be read."""
        try:
            with anyio.move_on_after(self._deadline - anyio.current_time()):
                return await self._stream.receive(_CHUNK_BYTES)
        except OSError:
            return None  # the client is gone without a farewell
        seconds = self._shared.bounds.unfinished_seconds
        self._reject(MarathonError(PARSE_ERROR, reason=f"a message was not finished within {seconds:g} s"))
        return None

    def _watch_unfinished(self, *, begun: bool) -> None:
        """Gives a frame that has begun its deadline; a frame that goes on keeps the one it has."""
        if not self._splitter.unfinished:
            self._deadline = math.inf
            self._shared.note_unfinished(self, begun=False)
        elif begun or self._deadline == math.inf:
            self._deadline = anyio.current_time() + self._shared.bounds.unfinished_seconds
            self._shared.note_unfinished(self, begun=True)

    def _reject(self, error: MarathonError) -> None:
        self.outbox.put(error_message(error))

    # --- requests ----------------------------------------------------------------------------------

    def _take(self, frame: bytes, tasks: TaskGroup, feeds: ConnectionFeeds) -> None:
        """Starts the work that a frame asks for."""
        try:
            message = read_json(frame)
            if isinstance(message, list) and not 0 < len(message) <= BATCH_ITEMS_MAX:
                raise MarathonError(INVALID_REQUEST, reason=f"a batch has 1 to {BATCH_ITEMS_MAX} items")
        except MarathonError as error:
            self._reject(error)
            return
        items = [item for item in (message if isinstance(message, list) else [message]) if not self._cancels(item)]
        if not items:
            return
        refusal = self._refusal()
        if refusal is not None:
            self._answer_all(self._refuse(items, refusal), batch=isinstance(message, list))
            return
        self._pending += 1
        claimed = [(item, self._claim(item)) for item in items]  # at once: what cancels it may be in the same chunk
        tasks.start_soon(self._work, claimed, isinstance(message, list), feeds)

    def _refusal(self) -> MarathonError | None:
        limit = self._shared.bounds.pending
        if self._shared.stopping:
            return MarathonError(STOPPING)
        if self._pending >= limit:
            return MarathonError(TOO_MANY_REQUESTS, pending=self._pending, limit=limit)
        return None

    def _refuse(self, items: Iterable[Any], error: MarathonError) -> list[Response]:
        """An answer to each item that wants one. A notification asks for no guarantee and is dropped."""
        return [failure(error, id_of(item)) for item in items if not isinstance(item, dict) or "id" in item]

    def _cancels(self, item: Any) -> bool:
        """Whether the item is `$/cancelRequest`; its wish is done at once, however many requests are pending."""
        if not isinstance(item, dict) or item.get("method") != "$/cancelRequest" or "id" in item:
            return False
        params = item.get("params")
        target = params.get("id") if isinstance(params, dict) else None
        if isinstance(target, (int, str)) and target in self._cancellable:
            self._cancellable[target].cancel()
        return True

    def _claim(self, item: Any) -> anyio.CancelScope | None:
        """Takes the item's id until it is answered; None when it has none, or when the id is taken."""
        id_ = id_of(item)
        if id_ is None or id_ in self._cancellable:
            return None
        scope = self._cancellable[id_] = anyio.CancelScope()
        return scope

    async def _work(
        self, items: list[tuple[Any, anyio.CancelScope | None]], batch: bool, feeds: ConnectionFeeds
    ) -> None:
        """Answers a request, or the items of a batch one after the other, and then lets its feeds start."""
        call = Call(self._shared.services, self._inside, feeds, self._shared.stop_daemon, [])
        try:
            answers = [await self._answer(item, scope, call) for item, scope in items]
            self._answer_all([answer for answer in answers if answer is not None], batch=batch)
            for action in call.after_answer:
                action()
        finally:
            self._pending -= 1
            self._idle.set()

    async def _answer(self, item: Any, scope: anyio.CancelScope | None, call: Call) -> Response | None:
        scope = scope or self._claim(item)  # in a batch, one before it may have had the same id
        try:
            return await self._judge(item, scope, call)
        finally:
            if scope is not None:
                self._cancellable.pop(id_of(item), None)

    async def _judge(self, item: Any, scope: anyio.CancelScope | None, call: Call) -> Response | None:
        try:
            request = read_request(item)
        except MarathonError as error:
            return failure(error, id_of(item))
        if request.id is msgspec.UNSET or request.id is None:
            return await self._shared.dispatcher.answer(item, call)
        if scope is None:
            return failure(MarathonError(INVALID_REQUEST, reason=f"id {request.id!r} is still in use"), None)
        with scope:
            return await self._shared.dispatcher.answer(item, call)
        return failure(MarathonError(REQUEST_CANCELLED), request.id)

    def _answer_all(self, answers: list[Response], *, batch: bool) -> None:
        """Queues the answers in one message. One that cannot be written as JSON becomes an incident and spoils no other."""
        if not answers:
            return
        texts = [self._write(answer) for answer in answers]
        self.outbox.put(b"[" + b",".join(texts) + b"]" if batch else texts[0])

    def _write(self, answer: Response) -> bytes:
        try:
            return _encode(answer)
        except (TypeError, ValueError, RecursionError):
            return _encode(failure(incident("result"), answer["id"]))
