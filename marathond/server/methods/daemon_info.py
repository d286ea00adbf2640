"""daemon/info: versions, counts and places."""

import msgspec

from marathond.server.method import Call, Method, Nothing
from marathond.server.services import Result


class ProtocolRange(msgspec.Struct, kw_only=True):
    """The versions of the protocol that this daemon speaks."""

    min: int
    max: int


class SessionCounts(msgspec.Struct, kw_only=True):
    """How many sessions are in each state that is not an end."""

    running: int
    waiting: int
    held: int
    halted: int
    unfinished: int


class LedgerHead(msgspec.Struct, kw_only=True):
    """The newest entry of the whole ledger."""

    seq: int
    link: str


class SlotCounts(msgspec.Struct, kw_only=True):
    """The box's capacity for attempts at once."""

    total: int
    used: int


class InfoResult(msgspec.Struct, kw_only=True):
    """`read_only` tells why the daemon appends nothing; null is the healthy state."""

    version: str
    protocol: ProtocolRange
    schema: int
    pid: int
    state_dir: str
    socket: str
    started_at: str
    uptime_ms: int
    sessions: SessionCounts
    ledger: LedgerHead
    slots: SlotCounts
    read_only: str | None


async def handle(call: Call, params: Nothing) -> Result:
    """Tells."""
    return await call.services.info()


METHOD = Method(
    name="daemon/info",
    summary="Tells the daemon's version, protocol range, counts and places.",
    params=Nothing,
    result=InfoResult,
    handle=handle,
)
