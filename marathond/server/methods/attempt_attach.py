"""attempt/attach: an attempt adds a file to its record."""

from typing import Any

from marathond.domain.errors import NO_SUCH_FILE
from marathond.server.method import AbsolutePath, Call, Method, Params
from marathond.server.rights import caller_inside
from marathond.server.services import Result


class AttachParams(Params, frozen=True, kw_only=True):
    """A file in the attempt's workspace; it is redacted and stored as a blob."""

    path: AbsolutePath


async def handle(call: Call, params: AttachParams) -> Result:
    """Passes it on."""
    return await call.services.attempt_attach(who=caller_inside(call.inside, METHOD.name), path=params.path)


METHOD = Method(
    name="attempt/attach",
    summary="From inside an attempt: adds a file to its record.",
    params=AttachParams,
    result=dict[str, Any],
    handle=handle,
    errors=(NO_SUCH_FILE,),
    inside=True,
)
