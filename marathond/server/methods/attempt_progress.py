"""attempt/progress: an attempt says how far it is."""

from typing import Annotated

import msgspec

from marathond.domain.limits import FINAL_TEXT_BYTES_MAX
from marathond.server.method import Call, Method, Params
from marathond.server.methods.ledger_unsubscribe import Empty
from marathond.server.rights import caller_inside
from marathond.server.services import Result


class ProgressParams(Params, frozen=True, kw_only=True):
    """A sentence for the person who watches."""

    text: Annotated[str, msgspec.Meta(min_length=1, max_length=FINAL_TEXT_BYTES_MAX)]


async def handle(call: Call, params: ProgressParams) -> Result:
    """Passes it on."""
    await call.services.attempt_progress(who=caller_inside(call.inside, METHOD.name), text=params.text)
    return {}


METHOD = Method(
    name="attempt/progress",
    summary="From inside an attempt: says how far it is.",
    params=ProgressParams,
    result=Empty,
    handle=handle,
    inside=True,
)
