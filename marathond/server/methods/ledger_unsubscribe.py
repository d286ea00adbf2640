"""ledger/unsubscribe: ends a subscription of this connection."""

import msgspec

from marathond.domain.errors import INVALID_PARAMS
from marathond.server.method import Call, Method, Params, wrong
from marathond.server.services import Result


class UnsubscribeParams(Params, frozen=True, kw_only=True):
    """The number that `ledger/subscribe` gave."""

    subscription: int


class Empty(msgspec.Struct, kw_only=True):
    """Nothing to tell."""


async def handle(call: Call, params: UnsubscribeParams) -> Result:
    """No entry of the subscription follows the answer."""
    if not call.feeds.close_ledger(params.subscription):
        raise wrong(METHOD.name, f"this connection has no subscription {params.subscription}")
    return {}


METHOD = Method(
    name="ledger/unsubscribe",
    summary="Ends a subscription of this connection.",
    params=UnsubscribeParams,
    result=Empty,
    handle=handle,
    errors=(INVALID_PARAMS,),
    inside=True,
)
