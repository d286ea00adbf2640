"""What a connection still has to send, bounded in bytes."""

from collections import deque

import anyio

from marathond.domain.limits import SEND_QUEUE_BYTES_MAX
from marathond.server.framing import Framing, envelope
from marathond.server.stream import Stream

_WRITE_BYTES_MAX = 256 * 1024


class Outbox:
    """A queue of framed messages and the loop that sends them; many small messages go out in one write.

    `put` never waits, so that it may be called from anywhere; whoever can wait or skip asks `full` or awaits `room` first.
    """

    def __init__(self, bytes_max: int = SEND_QUEUE_BYTES_MAX) -> None:
        self.framing: Framing = "lines"
        self._bytes_max = bytes_max
        self._pieces: deque[bytes] = deque()
        self._bytes = 0
        self._abandoned = False
        self._filled = anyio.Event()
        self._drained = anyio.Event()

    @property
    def full(self) -> bool:
        """Whether the client has to read before more is worth queuing."""
        return self._bytes >= self._bytes_max

    def put(self, *pieces: bytes) -> None:
        """Queues one message that is given in pieces; they are joined when sent, not copied before."""
        if self._abandoned:
            return
        length = sum(map(len, pieces))
        before, after = envelope(length, self.framing)
        self._pieces.extend((before, *pieces, after))
        self._bytes += len(before) + length + len(after)
        self._filled.set()

    async def room(self) -> None:
        """Waits until at most half of the bound is queued, if it is reached."""
        if self.full:
            while self._bytes > self._bytes_max // 2:
                await self._drained.wait()

    async def flushed(self) -> None:
        """Waits until everything queued was handed to the kernel."""
        while self._bytes:
            await self._drained.wait()

    def abandon(self) -> None:
        """Drops what is queued and whatever comes: nobody is there to read it."""
        self._abandoned = True
        self._pieces.clear()
        self._bytes = 0
        self._drained.set()

    async def drain(self, stream: Stream) -> None:
        """Sends for ever. Raises OSError when the peer is gone."""
        while True:
            while not self._pieces:
                self._filled = anyio.Event()
                await self._filled.wait()
            chunk = self._next_chunk()
            await stream.send(chunk)
            self._bytes -= len(chunk)
            self._drained.set()
            self._drained = anyio.Event()

    def _next_chunk(self) -> bytes:
        """As many whole pieces as one write should carry, at least one."""
        taken = [self._pieces.popleft()]
        length = len(taken[0])
        while self._pieces and length + len(self._pieces[0]) <= _WRITE_BYTES_MAX:
            taken.append(self._pieces.popleft())
            length += len(taken[-1])
        return b"".join(taken)
