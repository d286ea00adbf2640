"""Non-blocking Unix sockets, as little as the server needs.

anyio's own Unix streams are not used: cancelling one of their reads in the moment in which data arrives leaves an error in the event
loop (a result set on a cancelled future), and the server cancels reads whenever it cuts a client off.
"""

import socket
from typing import Self

import anyio
import anyio.lowlevel


class Stream:
    """A connected socket, which it owns. Used as a context manager, it closes the socket at the end."""

    def __init__(self, sock: socket.socket) -> None:
        sock.setblocking(False)
        self.sock = sock

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.sock.close()

    async def receive(self, bytes_max: int) -> bytes:
        """The next bytes, empty at the end of the stream. Raises OSError when the connection is broken."""
        await anyio.lowlevel.checkpoint()  # a client that never pauses must not keep the others waiting
        while True:
            try:
                return self.sock.recv(bytes_max)
            except BlockingIOError:
                await anyio.wait_readable(self.sock)

    async def send(self, data: bytes) -> None:
        """Sends all of `data`. Raises OSError when the connection is broken."""
        rest = memoryview(data)
        while rest:
            try:
                rest = rest[self.sock.send(rest) :]
            except BlockingIOError:
                await anyio.wait_writable(self.sock)


async def accept(listening: socket.socket) -> Stream:
    """The next connection. Raises OSError, for example when the process is out of descriptors."""
    await anyio.lowlevel.checkpoint()
    while True:
        try:
            return Stream(listening.accept()[0])
        except BlockingIOError:
            await anyio.wait_readable(listening)
