"""A blocking JSON-RPC 2.0 client for the daemon's Unix socket, on the standard library alone.

One request is answered at a time; notifications that arrive in between are kept and handed out by `notification`.
Messages are framed as one JSON value per line. See docs/protocol.md for the methods.
"""

import json
import os
import socket
from collections import deque
from collections.abc import Callable, Iterator
from time import monotonic
from types import TracebackType
from typing import Any, Self

from marathond.domain.errors import (
    DAEMON_SILENT,
    DAEMON_UNREACHABLE,
    REGISTRY,
    SOCKET_PATH_TOO_LONG,
    USAGE,
    ErrorKind,
    MarathonError,
)
from marathond.domain.limits import SOCKET_PATH_BYTES_MAX
from marathond.places import find_places

ANSWER_SECONDS = 60.0
"""How long a daemon may take for an answer before it counts as silent; reading answers take milliseconds."""

_CHUNK_BYTES = 64 * 1024
_FAREWELL_SECONDS = 1.0

Connect = Callable[[str], socket.socket]
"""Opens a connected stream socket to a path; raises OSError."""


class RemoteError(MarathonError):
    """An error that the daemon answered: its words, and the registered kind where this client knows it."""

    def __init__(self, error: dict[str, Any]) -> None:
        data = dict(error.get("data") or {})
        slug, hint = str(data.pop("slug", "unknown")), str(data.pop("hint", ""))
        code, message = int(error.get("code", 0)), str(error.get("message", ""))
        exit_ = data.pop("exit", None)
        known = REGISTRY.get(slug)
        self.kind = known or ErrorKind(code, slug, message, hint, exit_ if isinstance(exit_, int) else 70)
        self.message, self.hint, self.data = message, hint, data
        Exception.__init__(self, message)


class Client:
    """A connection to the daemon.

    `socket_path` defaults to where `marathond.places` finds it. `connect` is injectable for other transports and tests.
    `answer_seconds` limits the wait for one answer; None waits for ever, for verbs that end when processes are gone.
    Raises `MarathonError` of kind `daemon_unreachable` when nothing answers at the path and `socket_path_too_long`
    when the path cannot be a socket's.
    """

    def __init__(
        self,
        socket_path: str | os.PathLike[str] | None = None,
        *,
        connect: Connect | None = None,
        answer_seconds: float | None = ANSWER_SECONDS,
    ) -> None:
        self.path = os.fspath(socket_path) if socket_path is not None else str(find_places().socket)
        self.answer_seconds = answer_seconds
        self._received = bytearray()
        self._searched = 0
        self._notifications: deque[dict[str, Any]] = deque()
        self._last_id = 0
        if len(os.fsencode(self.path)) > SOCKET_PATH_BYTES_MAX:
            length = len(os.fsencode(self.path))
            raise MarathonError(SOCKET_PATH_TOO_LONG, path=self.path, length=length, limit=SOCKET_PATH_BYTES_MAX)
        try:
            self._socket = (connect or _connect_unix)(self.path)
        except OSError as error:
            raise MarathonError(DAEMON_UNREACHABLE, path=self.path, reason=_why_not(error)) from error

    def __enter__(self) -> Self:
        """The client itself; leaving the block closes it."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Closes the connection."""
        self.close()

    def close(self) -> None:
        """Closes the connection; subscriptions end with it."""
        self._socket.close()

    def call(self, method: str, /, **params: Any) -> dict[str, Any]:
        """Sends a request and returns its result. Parameters that are None are left out.

        Raises `RemoteError` for an error object and `MarathonError` of kind `daemon_silent` when the daemon closes the
        connection or takes longer than `answer_seconds`.
        """
        self._last_id += 1
        wanted = {name: value for name, value in params.items() if value is not None}
        self._send({"jsonrpc": "2.0", "id": self._last_id, "method": method, "params": wanted})
        give_up = None if self.answer_seconds is None else monotonic() + self.answer_seconds
        while True:
            message = self._receive(give_up)
            if message is None:
                raise self._silent(f"no answer to {method} within {self.answer_seconds:g} s")
            if "method" in message:
                self._notifications.append(message)
            elif message.get("id") in (self._last_id, None):  # an id of null answers what could not be read
                if "error" in message:
                    raise RemoteError(message["error"])
                return dict(message["result"])

    def notification(self, seconds: float | None = None) -> dict[str, Any] | None:
        """The next notification as {method, params}; None when none came within `seconds` (None: wait for ever)."""
        give_up = None if seconds is None else monotonic() + seconds
        while not self._notifications:
            message = self._receive(give_up)
            if message is None:
                return None
            if "method" in message:
                return message
        return self._notifications.popleft()

    def notifications(self) -> Iterator[dict[str, Any]]:
        """All notifications as they come, until the daemon closes the connection (`daemon_silent`)."""
        while (message := self.notification()) is not None:
            yield message

    def _send(self, message: dict[str, Any]) -> None:
        try:
            frame = json.dumps(message, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"
        except UnicodeEncodeError as error:
            wrong = error.object[error.start : error.end]
            reason = f"What was given holds {wrong!a}, which is no UTF-8 text, and so cannot be sent"
            raise MarathonError(USAGE, reason=reason, hint="Use names and words in UTF-8.") from error
        try:
            self._socket.settimeout(self.answer_seconds)
            self._socket.sendall(frame)
        except OSError as error:
            raise self._farewell() or self._silent(error.strerror or "the connection broke") from error

    def _farewell(self) -> MarathonError | None:
        """Why the daemon closed the connection, if it said so: too many connections, another user's."""
        try:
            while message := self._receive(monotonic() + _FAREWELL_SECONDS):
                if "error" in message and message.get("id") is None:
                    return RemoteError(message["error"])
        except MarathonError:  # it did not
            pass
        return None

    def _receive(self, give_up: float | None) -> dict[str, Any] | None:
        """The next message; None when the monotonic time `give_up` passes first."""
        while (end := self._received.find(b"\n", self._searched)) < 0:
            self._searched = len(self._received)
            left = None if give_up is None else give_up - monotonic()
            if left is not None and left <= 0:
                return None
            try:
                self._socket.settimeout(left)
                chunk = self._socket.recv(_CHUNK_BYTES)
            except TimeoutError:
                return None
            except OSError as error:
                raise self._silent(error.strerror or "the connection broke") from error
            if not chunk:
                raise self._silent("it closed the connection")
            self._received += chunk
        line = bytes(self._received[:end])
        del self._received[: end + 1]
        self._searched = 0
        try:
            message = json.loads(line)
        except ValueError as error:
            raise self._silent("it sent something that is not JSON") from error
        if not isinstance(message, dict):
            raise self._silent("it sent something that is not JSON-RPC")
        return message

    def _silent(self, reason: str) -> MarathonError:
        return MarathonError(DAEMON_SILENT, path=self.path, reason=reason)


def _connect_unix(path: str) -> socket.socket:
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        connection.connect(path)
    except OSError:
        connection.close()
        raise
    return connection


def _why_not(error: OSError) -> str:
    match error:
        case FileNotFoundError():
            return "there is no socket"
        case ConnectionRefusedError():
            return "nothing listens there"
        case _:
            return (error.strerror or str(error) or "it cannot be connected").lower()
