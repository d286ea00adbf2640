"""The server's seam filled with a small ledger in memory: enough of each verb to see messages travel."""

from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import anyio.abc
import anyio.lowlevel
import msgspec

from marathond.domain.canonical import ZERO_HASH, encode_entry, entry_hash, link_hash
from marathond.domain.entries import session_stream
from marathond.domain.errors import NO_SESSION, NO_TASK, MarathonError
from marathond.server.bounds import Bounds
from marathond.server.listener import open_listener
from marathond.server.services import Inside, Result, Sink
from marathond.server.serving import Server
from marathond.store.rows import LedgerRow

AT = "2026-11-25T15:54:13.000000Z"


class MemoryServices:
    """Implements `marathond.server.services.Services`; `calls` keeps what was called."""

    def __init__(self) -> None:
        self.rows: list[LedgerRow] = []
        self.told = 0
        self.sinks: dict[int, tuple[Sink, str | None]] = {}
        self.calls: list[tuple[str, dict[str, Any]]] = []
        self.states: dict[str, str] = {}
        self.outputs: dict[int, bytes] = {}
        self.attempt_live = False
        self.task_over = False
        self.insiders: dict[int, tuple[str, str, int]] = {}
        self.refused: list[tuple[Inside, str]] = []
        self.gates: dict[str, anyio.Event] = {}
        self.slow_reads = False
        self.handed_over = False
        self._changed = anyio.Event()
        self._keys: dict[str, str] = {}

    # --- the ledger -----------------------------------------------------------------------------------

    def commit(self, stream: str, *texts: str) -> None:
        """Commits one entry per text at once and tells the subscribers."""
        self.tell(self.append(stream, *texts))

    def append(self, stream: str, *texts: str) -> list[LedgerRow]:
        """What a commit does first: from here on readers see the rows, though the writer has told nobody of them."""
        new = []
        for text in texts:
            link_prev = self.rows[-1].link if self.rows else ZERO_HASH
            record = encode_entry({"stream": stream, "text": text})
            hash_ = entry_hash(record)
            row = LedgerRow(len(self.rows) + 1, stream, hash_, link_hash(link_prev, hash_), link_prev, record)
            self.rows.append(row)
            new.append(row)
        return new

    def tell(self, rows: list[LedgerRow]) -> None:
        """What a commit does then."""
        self.told = rows[-1].seq
        for sink, wanted in list(self.sinks.values()):
            if wanted in {None, rows[0].stream}:
                sink(rows)

    def subscribe(self, sink: Sink, stream: str | None) -> tuple[int, Callable[[], None]]:
        number = len(self.sinks) + 1
        while number in self.sinks:
            number += 1
        self.sinks[number] = (sink, stream)
        return self.told, lambda: self.sinks.pop(number, None) and None

    async def read(self, *, after: int, limit: int, session: str | None, stream: str | None) -> Sequence[LedgerRow]:
        found = [row for row in self.rows[after:] if stream in {None, row.stream}][:limit]
        await anyio.lowlevel.checkpoint()
        if self.slow_reads:
            await anyio.sleep(0.001)
        return found

    async def resolve(self, *, session: str | None, cwd: str | None) -> str:
        for known in self.states:
            if session is None or known.startswith(session):
                return known
        raise MarathonError(NO_SESSION, session=session)

    async def verify(self, *, session: str | None) -> Result:
        return {"ok": True, "entries": len(self.rows), "sessions": 1, "head_seq": len(self.rows), "problems": []}

    # --- sessions -------------------------------------------------------------------------------------

    async def start(self, **params: Any) -> Result:
        self.calls.append(("start", params))
        key = params["key"] or f"key{len(self.states)}"
        created = key not in self._keys
        session = self._keys.setdefault(key, f"s{len(self.states):011d}")
        if created:
            self.states[session] = "running"
            self.commit(session_stream(session), "session.created", "run.started")
        return {
            "session_id": session,
            "run_id": f"{session}.1",
            "contract_hash": ZERO_HASH,
            "name": "demo",
            "created": created,
            "warnings": [],
        }

    async def _state(self, verb: str, state: str, params: dict[str, Any]) -> Result:
        self.calls.append((verb, params))
        session = await self.resolve(session=params["session"], cwd=params["cwd"])
        if verb in self.gates:
            await self.gates[verb].wait()
        self.states[session] = state
        self.commit(session_stream(session), f"session.{state}")
        return {"session_id": session, "state": state}

    async def halt(self, **params: Any) -> Result:
        return await self._state("halt", "halted", params)

    async def abort(self, **params: Any) -> Result:
        result = await self._state("abort", "aborted", params)
        self.end_task()
        return result

    async def resume(self, **params: Any) -> Result:
        result = await self._state("resume", "running", params)
        gate = [{"point": n, "verdict": "pass", "detail": ""} for n in (6, 1, 2, 3, 4, 5)]
        return {**result, "run_id": f"{result['session_id']}.2", "gate": gate, "due_at": None}

    async def retry(self, **params: Any) -> Result:
        return await self.resume(**params)

    async def answer(self, **params: Any) -> Result:
        result = await self._state("answer", "running", params)
        return {**result, "question": params["question"] or "q1", "answer": params["answer"]}

    async def amend(self, **params: Any) -> Result:
        return {**await self._state("amend", "running", params), "revision": 2, "contract_hash": ZERO_HASH}

    async def status(self, **params: Any) -> Result:
        self.calls.append(("status", params))
        session = await self.resolve(session=params["session"], cwd=params["cwd"])
        if "status" in self.gates:
            await self.gates["status"].wait()
        return {"session_id": session, "state": self.states[session]}

    async def list_sessions(self, **params: Any) -> Result:
        self.calls.append(("list", params))
        return {"sessions": []}

    async def why(self, **params: Any) -> Result:
        raise RuntimeError("the password is hunter2")

    async def task(self, **params: Any) -> Result:
        raise MarathonError(NO_TASK, session=params["session"], task=params["task"], suggestion="Did you mean a?")

    async def diff(self, **params: Any) -> Result:
        return {"session_id": "s", "base": "a", "commit": "b", "text": {1, 2}, "made": object()}

    async def contract_check(self, **params: Any) -> Result:
        return {"contract_hash": ZERO_HASH, "name": "demo", "tasks": [], "warnings": []}

    async def contract_show(self, **params: Any) -> Result:
        return {"session_id": "s", "revision": 1, "hash": ZERO_HASH, "record": "{}"}

    # --- attempts -------------------------------------------------------------------------------------

    def write_output(self, attempt: int, text: bytes) -> None:
        """The attempt writes; a new number begins an attempt."""
        self.outputs[attempt] = self.outputs.get(attempt, b"") + text
        self.attempt_live, self.task_over = True, False
        self.change()

    def end_attempt(self) -> None:
        """The newest attempt ends; another may follow."""
        self.attempt_live = False
        self.change()

    def end_task(self) -> None:
        """The task is over."""
        self.attempt_live, self.task_over = False, True
        self.change()

    def change(self) -> None:
        """Wakes followers."""
        self._changed.set()
        self._changed = anyio.Event()

    async def output(self, **params: Any) -> Result:
        session = await self.resolve(session=params["session"], cwd=params["cwd"])
        newest = max(self.outputs)
        attempt = params["attempt"] or newest
        live = (attempt == newest and self.attempt_live) or (params["attempt"] is None and not self.task_over)
        text = self.outputs[attempt][params["after"] :][:10]
        offset = params["after"]
        return {
            "session": session,
            "task": params["task"],
            "attempt": attempt,
            "offset": offset,
            "text": text.decode(),
            "next": offset + len(text),
            "live": live,
        }

    async def output_changed(self, *, session: str, task: str, attempt: int, after: int) -> None:
        await self._changed.wait()

    def inside(self, pid: int) -> tuple[str, str, int] | None:
        return self.insiders.get(pid)

    async def attempt_progress(self, *, who: Inside, text: str) -> None:
        self.calls.append(("progress", {"who": who, "text": text}))

    async def attempt_ask(self, *, who: Inside, question: dict[str, Any]) -> Result:
        self.calls.append(("ask", {"who": who, "question": question}))
        return {}

    async def attempt_attach(self, *, who: Inside, path: str) -> Result:
        self.calls.append(("attach", {"who": who, "path": path}))
        return {}

    async def refused_inside(self, *, who: Inside, method: str) -> None:
        self.refused.append((who, method))

    # --- the daemon -----------------------------------------------------------------------------------

    async def info(self) -> Result:
        return {"version": "0", "pid": 1}

    async def stop(self, *, halt: bool) -> None:
        self.calls.append(("stop", {"halt": halt}))

    async def hand_over(self) -> None:
        self.handed_over = True


class Client:
    """A raw client: sends bytes, reads messages in either framing."""

    def __init__(self, stream: anyio.abc.SocketStream, headers: bool = False) -> None:
        self.stream = stream
        self.headers = headers
        self.notifications: deque[dict[str, Any]] = deque()
        self._buffer = b""
        self._last = 0

    async def send(self, message: object) -> None:
        """Sends a value as one framed message."""
        body = msgspec.json.encode(message)
        await self.raw(b"Content-Length: %d\r\n\r\n%b" % (len(body), body) if self.headers else body + b"\n")

    async def raw(self, data: bytes) -> None:
        """Sends bytes as they are."""
        await self.stream.send(data)

    def prepend(self, data: bytes) -> None:
        """Gives back what was read by other means."""
        self._buffer = data + self._buffer

    async def read(self) -> Any:
        """The next message. Raises EndOfStream."""
        with anyio.fail_after(10):
            if not self.headers:
                while b"\n" not in self._buffer:
                    self._buffer += await self.stream.receive()
                line, _, self._buffer = self._buffer.partition(b"\n")
                return msgspec.json.decode(line)
            while b"\r\n\r\n" not in self._buffer:
                self._buffer += await self.stream.receive()
            head, _, self._buffer = self._buffer.partition(b"\r\n\r\n")
            length = int(head.split(b":")[1])
            while len(self._buffer) < length:
                self._buffer += await self.stream.receive()
            body, self._buffer = self._buffer[:length], self._buffer[length:]
            return msgspec.json.decode(body)

    async def call(self, method: str, **params: Any) -> Any:
        """The whole response; notifications that come before it are kept."""
        self._last += 1
        await self.send({"jsonrpc": "2.0", "id": self._last, "method": method, "params": params})
        while True:
            message = await self.read()
            if message.get("id") == self._last:
                return message
            self.notifications.append(message)

    async def notification(self) -> dict[str, Any]:
        """The next notification."""
        return self.notifications.popleft() if self.notifications else await self.read()


async def connect(path: Path, *, headers: bool = False) -> Client:
    """A client of the socket at `path`."""
    return Client(await anyio.connect_unix(path), headers)


@asynccontextmanager
async def serving(services: MemoryServices, path: Path, bounds: Bounds | None = None) -> AsyncIterator[Server]:
    """A server on a real socket at `path` until the block ends."""
    server = Server(services, lambda _halt: None, bounds)
    listener = open_listener(path)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(server.serve, [listener])
        try:
            yield server
        finally:
            listener.remove()
            tasks.cancel_scope.cancel()
