"""Sealing: a draft gets its place, its time and its hashes, and becomes an entry.

Pure. A chain is a value: sealing gives the next one and leaves the old as it was, so a batch that fails is forgotten by
not keeping what came out of it.
"""

import re
from collections.abc import Sequence
from typing import Final, NamedTuple

import immutables
import msgspec

from marathond.domain import canonical
from marathond.domain.canonical import ZERO_HASH
from marathond.domain.entries import (
    RECORD_VERSION,
    SESSION_KINDS,
    SYSTEM,
    SYSTEM_KINDS,
    Body,
    Draft,
    Entry,
    decode_body,
    session_of,
)
from marathond.domain.errors import ENTRY_REFUSED, MarathonError
from marathond.domain.instants import format_instant
from marathond.domain.limits import ENTRY_BYTES_MAX, INTEGER_MAX

HASH_FORM: Final = re.compile(r"[0-9a-f]{64}")


class Head(NamedTuple):
    """The last place in the ledger: its number and the link there, which vouches for everything before."""

    seq: int
    link: str


class Tip(NamedTuple):
    """The last entry of one stream."""

    n: int
    hash: str


class Chain(NamedTuple):
    """Where the ledger ends. `at` is the last logical time in microseconds; `tips` has one tip per stream."""

    head: Head
    at: int
    tips: immutables.Map[str, Tip]

    def tip(self, stream: str) -> Tip:
        """The stream's last entry; n = 0 and zeros for a stream without one."""
        return self.tips.get(stream) or Tip(0, ZERO_HASH)


GENESIS: Final = Chain(Head(0, ZERO_HASH), 0, immutables.Map())
"""The chain of an empty ledger."""


def seal_all(chain: Chain, drafts: Sequence[Draft], wall: int) -> tuple[Chain, list[Entry]]:
    """Seals drafts in order, `wall` being the clock in microseconds. Raises ENTRY_REFUSED if the ledger cannot hold one."""
    entries = []
    for draft in drafts:
        chain, entry = seal(chain, draft, wall)
        entries.append(entry)
    return chain, entries


def seal(chain: Chain, draft: Draft, wall: int) -> tuple[Chain, Entry]:
    """Seals one draft; see `seal_all`.

    The entry holds the body as it will be read back, so what is folded now is what will be folded after a restart.
    """
    tip, at = chain.tip(draft.stream), max(wall, chain.at + 1)
    kind = draft.body.kind
    body = _encode_body(draft)
    record = canonical.encode_entry(
        {
            "at": format_instant(at),
            "body": msgspec.Raw(body),
            "kind": kind,
            "n": tip.n + 1,
            "prev": tip.hash,
            "stream": draft.stream,
            "v": RECORD_VERSION,
            "wall": format_instant(wall),
        }
    )
    if len(record) > ENTRY_BYTES_MAX:
        raise _refused(kind, f"it has {len(record)} bytes, and {ENTRY_BYTES_MAX} are allowed")
    hash_ = canonical.entry_hash(record)
    head = Head(chain.head.seq + 1, canonical.link_hash(chain.head.link, hash_))
    entry = Entry(
        seq=head.seq,
        hash=hash_,
        link=head.link,
        link_prev=chain.head.link,
        record=record,
        stream=draft.stream,
        n=tip.n + 1,
        at=at,
        wall=wall,
        kind=kind,
        body=_read_back(kind, body),
        prev=tip.hash,
    )
    return Chain(head, at, chain.tips.set(draft.stream, Tip(entry.n, hash_))), entry


def _encode_body(draft: Draft) -> bytes:
    kind = draft.body.kind
    kinds = SYSTEM_KINDS if draft.stream == SYSTEM else SESSION_KINDS if session_of(draft.stream) else {}
    if kind not in kinds:
        raise _refused(kind, f"it does not belong into the stream {draft.stream!r}")
    try:
        plain = msgspec.to_builtins(draft.body)
        fault = _fault(plain)
        if fault:
            raise _refused(kind, fault)
        return canonical.encode_entry(plain)
    except UnicodeEncodeError as error:
        raise _refused(kind, "its text has a lone surrogate, which UTF-8 cannot hold") from error
    except RecursionError as error:
        raise _refused(kind, "it is nested too deeply") from error


def _read_back(kind: str, body: bytes) -> Body:
    try:
        return decode_body(kind, RECORD_VERSION, body)
    except msgspec.MsgspecError as error:
        raise _refused(kind, f"it could not be read back: {error}") from error


def _fault(value: object) -> str | None:
    """What keeps a plain value out of the domain in which msgspec's encoding equals RFC 8785; None for nothing."""
    match value:
        case None | bool() | str():
            return None
        case int():
            return None if -INTEGER_MAX <= value <= INTEGER_MAX else f"the integer {value} is not below 2^53"
        case list() | tuple():
            return next((fault for item in value if (fault := _fault(item))), None)
        case dict():
            odd = next((key for key in value if not (isinstance(key, str) and key.isascii())), None)
            if odd is not None:
                return f"the key {odd!r} is not ASCII text"
            return next((fault for item in value.values() if (fault := _fault(item))), None)
        case _:
            return f"{value!r} is a {type(value).__name__}, which the ledger does not hold"


def _refused(kind: str, reason: str) -> MarathonError:
    return MarathonError(ENTRY_REFUSED, kind_of_entry=kind, reason=reason)
