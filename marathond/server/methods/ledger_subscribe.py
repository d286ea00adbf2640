"""ledger/subscribe: entries as they are committed, from a cursor, without gap or repeat."""

import msgspec

from marathond.domain.errors import AMBIGUOUS_SESSION, NO_SESSION, TOO_MANY_FEEDS
from marathond.server.method import Call, Method, Seq
from marathond.server.methods.stream_choice import OnStream, choose_stream
from marathond.server.services import Result


class SubscribeParams(OnStream, frozen=True, kw_only=True):
    """With `after`, everything above that `seq` follows; without it, only what is committed from now on."""

    after: Seq | None = None


class SubscribeResult(msgspec.Struct, kw_only=True):
    """`subscription` marks the notifications that belong to it; they begin with the first entry above `cursor`."""

    subscription: int
    cursor: int


async def handle(call: Call, params: SubscribeParams) -> Result:
    """Subscribes; the first entry follows the answer."""
    stream = await choose_stream(call, params, METHOD.name)
    feed, cursor = call.feeds.open_ledger(params.after, stream)
    call.then(feed.start)
    return {"subscription": feed.number, "cursor": cursor}


METHOD = Method(
    name="ledger/subscribe",
    summary="Sends `ledger/entry` for each entry above a cursor, without gap or repeat, until unsubscribed.",
    params=SubscribeParams,
    result=SubscribeResult,
    handle=handle,
    errors=(NO_SESSION, AMBIGUOUS_SESSION, TOO_MANY_FEEDS),
    inside=True,
)
