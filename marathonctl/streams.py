"""Entries in order, without gap or repeat, across lagging and across daemons."""

from collections.abc import Callable, Iterator
from time import monotonic, sleep
from typing import Any

from marathonctl.client import Client
from marathond.domain.errors import DAEMON_SILENT, DAEMON_UNREACHABLE, STOPPING, MarathonError

Row = dict[str, Any]
"""A ledger row as the wire has it: seq, hash, link, link_prev, record."""

RECONNECT_SECONDS_MAX = 300.0
"""How long a follower waits for a daemon to come back before it gives up with exit 69."""

RECONNECTS_IN_VAIN_MAX = 20
"""How many daemons may be lost one after the other, each before it was good for anything."""
_PAGE_ENTRIES = 500
_PAUSE_FIRST_SECONDS = 0.02
_PAUSE_SECONDS_MAX = 1.0


class EntryStream:
    """The entries after `cursor` on one connection; `cursor` moves with each entry that is handed out.

    `scope` is what `ledger/subscribe` takes: session, cwd or stream. Raises what the client raises.
    """

    def __init__(self, client: Client, cursor: int, scope: dict[str, Any]) -> None:
        self.cursor = cursor
        self._client = client
        self._scope = scope
        self._subscription = self._subscribe()

    def next(self, seconds: float | None = None) -> Row | None:
        """The next entry; None when none came within `seconds` (None: wait for ever)."""
        give_up = None if seconds is None else monotonic() + seconds
        while True:
            message = self._client.notification(None if give_up is None else max(0.0, give_up - monotonic()))
            if message is None:
                return None
            params = message["params"]
            if params.get("subscription") != self._subscription:
                continue  # of the subscription that lagged
            if message["method"] == "ledger/lagged":
                self._client.call("ledger/unsubscribe", subscription=self._subscription)
                self._subscription = self._subscribe()
            elif message["method"] == "ledger/entry" and params["seq"] > self.cursor:
                self.cursor = params["seq"]
                return dict(params)

    def _subscribe(self) -> int:
        return int(self._client.call("ledger/subscribe", after=self.cursor, **self._scope)["subscription"])


def read_pages(client: Client, cursor: int, scope: dict[str, Any]) -> Iterator[Row]:
    """The committed entries after `cursor`, page by page, until there are no more."""
    while True:
        page = client.call("ledger/read", after=cursor, limit=_PAGE_ENTRIES, **scope)
        yield from page["entries"]
        cursor = page["next_after"]
        if not page["more"]:
            return


class Reconnector:
    """Gets a follower back to a daemon, saying so once per loss.

    `connect` opens a connection or raises; `start` (None: not allowed) starts a daemon and connects to it. Each loss
    gives a daemon `grace_seconds` to come back by itself before one is started.
    """

    def __init__(
        self,
        connect: Callable[[], Client],
        start: Callable[[], Client] | None,
        note: Callable[[str], None],
        *,
        grace_seconds: float = 0.5,
        patience_seconds: float = RECONNECT_SECONDS_MAX,
    ) -> None:
        self._connect = connect
        self._start = start
        self._note = note
        self._grace_seconds = grace_seconds
        self._patience_seconds = patience_seconds
        self._in_vain = 0

    def progressed(self) -> None:
        """The connection was good for something: losses before this are forgiven."""
        self._in_vain = 0

    def after(self, error: MarathonError) -> Client:
        """A new connection after `error`; raises it again when it is no loss of the daemon or patience is over."""
        self._lost(error)
        self._note("The daemon is gone; waiting for the next one …")
        while (client := self._next(error)) is None:
            pass
        self._note("Connected again.")
        return client

    def _lost(self, error: MarathonError) -> None:
        """Counts a loss; raises what is none, or one too many."""
        if error.kind not in (DAEMON_UNREACHABLE, DAEMON_SILENT, STOPPING) or self._in_vain >= RECONNECTS_IN_VAIN_MAX:
            raise error
        self._in_vain += 1

    def _next(self, error: MarathonError) -> Client | None:
        """A connection to the daemon that came back or was started; None when the one that was started is gone already."""
        client = self._wait(self._grace_seconds if self._start else self._patience_seconds)
        if client is not None:
            return client
        if self._start is None:
            raise error
        try:
            return self._start()
        except MarathonError as gone:
            self._lost(gone)
            return None

    def _wait(self, seconds: float) -> Client | None:
        give_up, pause = monotonic() + seconds, _PAUSE_FIRST_SECONDS
        while True:
            sleep(min(pause, max(0.0, give_up - monotonic())))
            try:
                return self._connect()
            except MarathonError as error:
                if error.kind is not DAEMON_UNREACHABLE:
                    raise
            if monotonic() >= give_up:
                return None
            pause = min(pause * 1.5, _PAUSE_SECONDS_MAX)
