"""A made-up session for tests of the client: its status, its entries, and a scripted daemon that plays them."""

import json
from pathlib import Path
from typing import Any

from marathond.domain.errors import NO_OUTPUT, NO_SESSION, MarathonError
from tests.support.scripted_daemon import Connection, Handler

SESSION = "k3f9x2ab01cd"
INFO = {
    "version": "0.1.0",
    "protocol": {"min": 1, "max": 1},
    "schema": 1,
    "pid": 4242,
    "state_dir": "/state",
    "socket": "/state/run/marathond.sock",
    "started_at": "2026-11-25T15:00:00.000000Z",
    "uptime_ms": 61_000,
    "sessions": {"running": 1, "waiting": 0, "held": 0, "halted": 0, "unfinished": 1},
    "ledger": {"seq": 7, "link": "0" * 64},
    "slots": {"total": 2, "used": 1},
    "read_only": None,
}


def task(name: str, state: str, **more: Any) -> dict[str, Any]:
    """A task as `session/status` tells it."""
    usual = {
        "id": name,
        "state": state,
        "attempts": 1,
        "agent": "claude",
        "reason": None,
        "checkpoint": None,
        "due_at": None,
        "started_at": None,
        "last_words": "",
        "needs": [],
    }
    return usual | more


def status(state: str, *tasks: dict[str, Any], **more: Any) -> dict[str, Any]:
    """A session as `session/status` tells it."""
    usual = {
        "session_id": SESSION,
        "name": "add-json-export",
        "goal": "Add a --json flag to the export command",
        "state": state,
        "reasons": [],
        "due_at": None,
        "contract_hash": "c" * 64,
        "revision": 0,
        "run_id": f"{SESSION}.1",
        "repo": "/home/me/src/export",
        "created_at": "2026-11-25T15:00:00.000000Z",
        "ended_at": None,
        "wall_used_ms": 61_000,
        "live_since": None,
        "tasks": list(tasks) or [task("implement", state if state in ("done", "failed") else "running")],
        "head": {"n": 5, "hash": "a" * 64, "seq": 7, "link": "b" * 64},
        "branch": None,
    }
    return usual | more


def row(seq: int, kind: str, stream: str = f"session:{SESSION}", **body: Any) -> dict[str, Any]:
    """A ledger row on the wire. Its hashes are made up: the client shows them and never judges them."""
    record = {
        "at": f"2026-11-25T15:00:{seq % 60:02}.000000Z",
        "body": body,
        "kind": kind,
        "n": seq,
        "prev": "0" * 64,
        "stream": stream,
        "v": 1,
        "wall": f"2026-11-25T15:00:{seq % 60:02}.000000Z",
    }
    text = json.dumps(record, separators=(",", ":"), sort_keys=True)
    return {"seq": seq, "hash": f"{seq:064x}", "link": f"{seq:064x}", "link_prev": f"{seq - 1:064x}", "record": text}


class Played:
    """A session that a scripted daemon plays: entries are committed and the state is changed as the test says."""

    def __init__(self, state: str = "running") -> None:
        self.rows: list[dict[str, Any]] = []
        self.state = status(state)
        self.output: dict[int, bytes] = {}
        self.output_over = False
        self.followers: list[tuple[Connection, int]] = []
        self.output_followers: list[Connection] = []

    def handlers(self) -> dict[str, Handler]:
        """What a daemon with this one session answers."""
        return {
            "daemon/info": lambda p, c: INFO | {"ledger": {"seq": self.last_seq, "link": "0" * 64}},
            "session/start": self._start,
            "session/status": self._status,
            "session/halt": self._halt,
            "contract/show": self._contract,
            "ledger/read": self._read,
            "ledger/subscribe": self._subscribe,
            "ledger/unsubscribe": lambda p, c: {},
            "attempt/output": self._output,
        }

    @property
    def last_seq(self) -> int:
        """The seq of the newest entry."""
        return int(self.rows[-1]["seq"]) if self.rows else 0

    def commit(self, kind: str, **body: Any) -> None:
        """Appends an entry and tells the followers."""
        new = row(self.last_seq + 1, kind, **body)
        self.rows.append(new)
        for connection, number in list(self.followers):
            try:
                connection.notify("ledger/entry", subscription=number, **new)
            except OSError:
                self.followers.remove((connection, number))

    def end(self, state: str, kind: str, **body: Any) -> None:
        """Changes the state and commits the entry that says so."""
        self.state = self.state | {"state": state}
        self.commit(kind, **body)

    def write(self, attempt: int, data: bytes, *, over: bool = False) -> None:
        """Appends to an attempt's output and tells the followers."""
        offset = len(self.output.get(attempt, b""))
        self.output[attempt] = self.output.get(attempt, b"") + data
        self.output_over = over
        for connection in list(self.output_followers):
            about = {"session": SESSION, "task": "implement", "attempt": attempt, "offset": offset}
            try:
                connection.notify("attempt/output", **about, text=data.decode())
                if over:
                    connection.notify("attempt/output", **about, text="", ended=True)
            except OSError:
                self.output_followers.remove(connection)

    def _start(self, params: dict[str, Any], connection: Connection) -> dict[str, Any]:
        return {
            "session_id": SESSION,
            "run_id": f"{SESSION}.1",
            "contract_hash": "c" * 64,
            "name": self.state["name"],
            "created": True,
            "warnings": [],
        }

    def _status(self, params: dict[str, Any], connection: Connection) -> dict[str, Any]:
        if not SESSION.startswith(params.get("session", "")):
            raise MarathonError(NO_SESSION, session=params["session"])
        return self.state

    def _halt(self, params: dict[str, Any], connection: Connection) -> dict[str, Any]:
        self.end("halted", "session.halted")
        return {"session_id": SESSION, "state": "halted"}

    def _contract(self, params: dict[str, Any], connection: Connection) -> dict[str, Any]:
        record = json.dumps({"name": "x", "tasks": [{"id": "implement", "attempts": 3}]})
        return {"session_id": SESSION, "revision": 0, "hash": "c" * 64, "record": record}

    def _read(self, params: dict[str, Any], connection: Connection) -> dict[str, Any]:
        found = [r for r in self.rows if r["seq"] > params.get("after", 0)]
        page = found[: params.get("limit", 200)]
        return {
            "entries": page,
            "next_after": page[-1]["seq"] if page else params.get("after", 0),
            "more": len(found) > len(page),
        }

    def _subscribe(self, params: dict[str, Any], connection: Connection) -> dict[str, Any]:
        number = len(self.followers) + 1
        after = params.get("after", self.last_seq)

        def replay() -> None:
            for old in [r for r in self.rows if r["seq"] > after]:
                connection.notify("ledger/entry", subscription=number, **old)
            self.followers.append((connection, number))

        connection.then.append(replay)
        return {"subscription": number, "cursor": after}

    def _output(self, params: dict[str, Any], connection: Connection) -> dict[str, Any]:
        attempt = params.get("attempt") or max(self.output, default=0)
        if attempt not in self.output:
            raise MarathonError(NO_OUTPUT, task=params["task"], session=SESSION)
        data = self.output[attempt][params.get("after", 0) :][:10]
        if params.get("follow"):
            self.output_followers.append(connection)
        return {
            "session": SESSION,
            "task": params["task"],
            "attempt": attempt,
            "offset": params.get("after", 0),
            "text": data.decode(),
            "next": params.get("after", 0) + len(data),
            "live": not self.output_over,
        }


def socket_in(folder: Path) -> Path:
    """Where a test's daemon listens."""
    return folder / "run" / "marathond.sock"
