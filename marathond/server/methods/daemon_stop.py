"""daemon/stop: ends the daemon."""

import msgspec

from marathond.server.method import Call, Method, Params
from marathond.server.services import Result


class StopParams(Params, frozen=True, kw_only=True):
    """`halt` ends the attempts first; otherwise they run on and the next daemon adopts them."""

    halt: bool = False


class StopResult(msgspec.Struct, kw_only=True):
    """The daemon is on its way out."""

    stopping: bool


async def handle(call: Call, params: StopParams) -> Result:
    """Answers before the daemon ends."""
    await call.services.stop(halt=params.halt)
    call.then(lambda: call.stop_daemon(params.halt))
    return {"stopping": True}


METHOD = Method(
    name="daemon/stop",
    summary="Ends the daemon; sessions go on when the next one starts.",
    params=StopParams,
    result=StopResult,
    handle=handle,
)
