"""Messages that the daemon sends unasked, or rather: that a client asked for once."""

from typing import Final

import msgspec

from marathond.domain.errors import MarathonError
from marathond.server.methods.shapes import Row
from marathond.store.rows import LedgerRow

_encode: Final = msgspec.json.Encoder().encode


class EntryNotice(Row, kw_only=True):
    """An entry that was committed."""

    subscription: int


class LaggedNotice(msgspec.Struct, kw_only=True):
    """The client reads slower than entries come: those above `after` follow later, read from the ledger. None is left out or repeated."""

    subscription: int
    after: int


class OutputNotice(msgspec.Struct, kw_only=True, omit_defaults=True):
    """More of an attempt's output. The last one has no text and `ended`."""

    session: str
    task: str
    attempt: int
    offset: int
    text: str
    ended: bool = False


class CancelParams(msgspec.Struct, kw_only=True):
    """From the client: it no longer wants the answer to request `id`, which is then the error `request_cancelled`."""

    id: int | str


NOTIFICATIONS: Final[dict[str, tuple[str, type[msgspec.Struct]]]] = {
    "ledger/entry": ("An entry of a subscription.", EntryNotice),
    "ledger/lagged": ("The subscription fell behind and catches up.", LaggedNotice),
    "attempt/output": ("Output of a followed attempt.", OutputNotice),
    "$/cancelRequest": ("From the client: gives up on a request.", CancelParams),
}


def notification(method: str, params: msgspec.Struct) -> bytes:
    """The message as JSON."""
    return _encode({"jsonrpc": "2.0", "method": method, "params": params})


def error_message(error: MarathonError, id_: int | str | None = None) -> bytes:
    """An error response as JSON; `id_` is None when no request can be named."""
    return _encode({"jsonrpc": "2.0", "error": error_object(error), "id": id_})


def error_object(error: MarathonError) -> dict[str, object]:
    """The error object of a response."""
    return {"code": error.kind.code, "message": error.message, "data": error_data(error)}


def error_data(error: MarathonError) -> dict[str, object]:
    """The `data` of an error object."""
    return {"slug": error.kind.slug, "hint": error.hint, "exit": error.kind.exit, **error.data}


class EntryTexts:
    """The part of `ledger/entry` that all subscriptions share, encoded once per entry and kept while it is fresh."""

    def __init__(self, bytes_max: int = 4 * 1024 * 1024) -> None:
        self._bytes_max = bytes_max
        self._bytes = 0
        self._tails: dict[int, bytes] = {}
        self.encoded = 0

    def tail(self, row: LedgerRow) -> bytes:
        """Everything after the subscription's number, up to the end of the message."""
        tail = self._tails.get(row.seq)
        if tail is None:
            tail = self._encode(row)
            self._tails[row.seq] = tail
            self._bytes += len(tail)
            while self._bytes > self._bytes_max and len(self._tails) > 1:
                self._bytes -= len(self._tails.pop(next(iter(self._tails))))
        return tail

    def _encode(self, row: LedgerRow) -> bytes:
        self.encoded += 1
        shared = Row(seq=row.seq, hash=row.hash, link=row.link, link_prev=row.link_prev, record=row.record.decode())
        return b"," + _encode(shared)[1:] + b"}"


def entry_head(subscription: int) -> bytes:
    """Everything of `ledger/entry` up to the shared tail."""
    return b'{"jsonrpc":"2.0","method":"ledger/entry","params":{"subscription":%d' % subscription
