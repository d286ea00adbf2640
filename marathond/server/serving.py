"""The server: accepts connections, judges who may connect, and keeps each one's failure its own."""

import logging
import os
import resource
from collections.abc import Callable, Sequence

import anyio
from anyio.abc import TaskGroup

from marathond.domain.errors import NOT_PERMITTED, TOO_MANY_CONNECTIONS, MarathonError
from marathond.server.bounds import Bounds
from marathond.server.connection import Connection
from marathond.server.dispatch import Dispatcher, incident
from marathond.server.listener import Listener
from marathond.server.notifications import EntryTexts, error_message
from marathond.server.peer import Peer, peer_of
from marathond.server.rights import Rights
from marathond.server.router import METHODS
from marathond.server.services import Inside, Services
from marathond.server.stream import Stream, accept

_DESCRIPTORS_BESIDE_CONNECTIONS = 512
_ACCEPT_PAUSE_SECONDS = 0.1
_FAREWELL_SECONDS = 0.1
_FLUSH_SECONDS = 0.5
_log = logging.getLogger("marathond.server")


class Server:
    """All connections of a daemon and what they share. `stop_daemon` is called when a client asks the daemon to end."""

    def __init__(self, services: Services, stop_daemon: Callable[[bool], None], bounds: Bounds | None = None) -> None:
        self.services = services
        self.bounds = bounds or Bounds()
        self.stopping = False
        self.texts = EntryTexts()
        self.rights = Rights(services)
        self.dispatcher = Dispatcher(METHODS, self.rights)
        self.stop_daemon = stop_daemon
        self._intake = anyio.CancelScope()
        self._connections: set[Connection] = set()
        self._unfinished: dict[Connection, None] = {}

    async def serve(self, listeners: Sequence[Listener]) -> None:
        """Serves until cancelled; closes the listening sockets at the end of the intake."""
        async with anyio.create_task_group() as tasks:
            with self._intake:
                async with anyio.create_task_group() as accepting:
                    for listener in listeners:
                        accepting.start_soon(self._accept, listener, tasks)

    def stop_intake(self) -> None:
        """Accepts no more connections and no more requests; requests that run are still answered."""
        self.stopping = True
        self._intake.cancel()

    async def flush(self) -> None:
        """Waits, but not for long, until all that was queued for clients is sent."""
        with anyio.move_on_after(_FLUSH_SECONDS):
            for connection in list(self._connections):
                await connection.outbox.flushed()

    def note_unfinished(self, connection: Connection, *, begun: bool) -> None:
        """See `connection.Shared`. One too many, and the oldest goes: a client that means well finishes its frame soon."""
        self._unfinished.pop(connection, None)
        if not begun:
            return
        self._unfinished[connection] = None
        if len(self._unfinished) > self.bounds.unfinished:
            oldest = next(iter(self._unfinished))
            del self._unfinished[oldest]
            oldest.cut("too many connections hold an unfinished message, and this one is the oldest")

    async def _accept(self, listener: Listener, tasks: TaskGroup) -> None:
        listener.sock.setblocking(False)
        with listener.sock:
            while True:
                try:
                    stream = await accept(listener.sock)
                except OSError as exc:
                    # Out of descriptors, most likely: those who are connected must not notice.
                    _log.warning("a connection could not be accepted", extra={"reason": exc.strerror})
                    await anyio.sleep(_ACCEPT_PAUSE_SECONDS)
                    continue
                tasks.start_soon(self._serve_one, stream)

    async def _serve_one(self, stream: Stream) -> None:
        """Whatever goes wrong with one client stays here."""
        try:
            with stream:
                inside = await self._admit(stream)
                connection = Connection(stream, self, inside)
                self._connections.add(connection)
                try:
                    await connection.run()
                finally:
                    self._connections.discard(connection)
        except MarathonError as refusal:
            _log.info("a connection was refused", extra={"reason": refusal.message})
        except Exception:  # noqa: BLE001 - one client's trouble is logged and must not reach the others
            incident("connection")

    async def _admit(self, stream: Stream) -> Inside | None:
        """The attempt that the peer belongs to. Raises after telling a peer that it is not let in."""
        peer = peer_of(stream.sock)
        refusal = self._refusal(peer)
        if refusal is None:
            found = self.services.inside(peer.pid)
            return Inside(*found) if found else None
        try:
            with anyio.move_on_after(_FAREWELL_SECONDS):
                await stream.send(error_message(refusal) + b"\n")
        except OSError:
            pass  # it left before it was told
        raise refusal

    def _refusal(self, peer: Peer) -> MarathonError | None:
        if peer.uid != os.geteuid():
            return MarathonError(
                NOT_PERMITTED,
                reason=f"This daemon serves uid {os.geteuid()} only, and you are uid {peer.uid}",
                hint="Run a daemon of your own.",
            )
        if len(self._connections) >= self.bounds.connections:
            return MarathonError(TOO_MANY_CONNECTIONS, limit=self.bounds.connections)
        return None


def raise_descriptor_limit(connections: int) -> None:
    """Lets the process hold `connections` sockets and what it needs beside them, as far as the hard limit allows."""
    wanted = connections + _DESCRIPTORS_BESIDE_CONNECTIONS
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    allowed = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    if soft != resource.RLIM_INFINITY and soft < allowed:
        resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, hard))
