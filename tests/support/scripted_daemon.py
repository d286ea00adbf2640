"""A daemon that answers from a table: a real Unix socket with real framing, for tests of the client alone."""

import json
import socket
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from marathond.domain.errors import MarathonError

Handler = Callable[[dict[str, Any], "Connection"], Any]
"""Gets the parameters and the connection; returns the result, raises MarathonError, or returns None for no answer."""


class Connection:
    """One client's connection, on which a handler may notify or hang up."""

    def __init__(self, raw: socket.socket) -> None:
        self.raw = raw
        self.lock = threading.Lock()
        self.then: list[Callable[[], None]] = []
        """What to do after the answer that is being made has been sent."""

    def send(self, message: dict[str, Any]) -> None:
        """Sends one message as a line."""
        self.send_bytes(json.dumps(message).encode() + b"\n")

    def send_bytes(self, data: bytes) -> None:
        """Sends bytes as they are."""
        with self.lock:
            self.raw.sendall(data)

    def notify(self, method: str, **params: Any) -> None:
        """Sends a notification."""
        self.send({"jsonrpc": "2.0", "method": method, "params": params})

    def hang_up(self) -> None:
        """Ends the connection as a dying daemon does."""
        try:
            self.raw.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass  # the client was faster


class ScriptedDaemon:
    """Serves `handlers` at `path` while the context lives; `calls` records (method, params) in order."""

    def __init__(self, path: Path, handlers: dict[str, Handler]) -> None:
        self.path = path
        self.handlers = handlers
        self.calls: list[tuple[str, dict[str, Any]]] = []
        self.connections: list[Connection] = []

    def __enter__(self) -> "ScriptedDaemon":
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.path.unlink(missing_ok=True)
        self.listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.listener.bind(str(self.path))
        self.listener.listen(16)
        self.thread = threading.Thread(target=self._accept, daemon=True)
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.die()

    def die(self) -> None:
        """Closes the listener and every connection; the socket file stays, as after a kill."""
        try:
            self.listener.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass  # it died before
        self.listener.close()
        self.thread.join(5)
        for connection in self.connections:
            connection.hang_up()

    def called(self, method: str) -> list[dict[str, Any]]:
        """The parameters of every call of `method` so far."""
        return [params for name, params in self.calls if name == method]

    def _accept(self) -> None:
        while True:
            try:
                raw, _ = self.listener.accept()
            except OSError:
                return
            connection = Connection(raw)
            self.connections.append(connection)
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: Connection) -> None:
        with connection.raw, connection.raw.makefile("rb") as lines:
            try:
                for line in lines:
                    self._answer(json.loads(line), connection)
            except OSError:
                return  # the client or the test closed it

    def _answer(self, request: dict[str, Any], connection: Connection) -> None:
        method, params = request["method"], request.get("params", {})
        self.calls.append((method, params))
        answer: dict[str, Any] = {"jsonrpc": "2.0", "id": request.get("id")}
        try:
            result = self.handlers[method](params, connection)
        except MarathonError as error:
            inner = error.to_json()
            code, message = inner.pop("code"), inner.pop("message")
            connection.send(answer | {"error": {"code": code, "message": message, "data": inner}})
            return
        if result is not None:
            connection.send(answer | {"result": result})
        while connection.then:
            connection.then.pop(0)()
