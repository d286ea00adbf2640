"""attempt/ask: an attempt asks the user something."""

from typing import Annotated, Any

import msgspec

from marathond.domain.errors import REFUSED_BY_STATE
from marathond.domain.limits import FINAL_TEXT_BYTES_MAX
from marathond.server.method import Call, Method, Params
from marathond.server.rights import caller_inside
from marathond.server.services import Result


class AskParams(Params, frozen=True, kw_only=True):
    """The question, and what it may be answered with. An attempt may ask 32 questions."""

    question: Annotated[str, msgspec.Meta(min_length=1, max_length=FINAL_TEXT_BYTES_MAX)]
    options: Annotated[tuple[str, ...], msgspec.Meta(max_length=16)] = ()


async def handle(call: Call, params: AskParams) -> Result:
    """Passes it on."""
    question = msgspec.to_builtins(params)
    return await call.services.attempt_ask(who=caller_inside(call.inside, METHOD.name), question=question)


METHOD = Method(
    name="attempt/ask",
    summary="From inside an attempt: asks the user something.",
    params=AskParams,
    result=dict[str, Any],
    handle=handle,
    errors=(REFUSED_BY_STATE,),
    inside=True,
)
