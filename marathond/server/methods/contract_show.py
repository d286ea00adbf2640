"""contract/show: the frozen text of a session's contract."""

from typing import Annotated

import msgspec

from marathond.domain.errors import AMBIGUOUS_SESSION, NO_SESSION, PARTIAL_ARTIFACTS, USAGE
from marathond.domain.limits import INTEGER_MAX
from marathond.server.method import Call, Method, OnSession
from marathond.server.services import Result


class ShowParams(OnSession, frozen=True, kw_only=True):
    """`revision` counts from 1; without it the newest."""

    revision: Annotated[int, msgspec.Meta(ge=1, le=INTEGER_MAX)] | None = None


class ShowResult(msgspec.Struct, kw_only=True):
    """`record` is the exact text whose SHA-256 is `hash`."""

    session_id: str
    revision: int
    hash: str
    record: str


async def handle(call: Call, params: ShowParams) -> Result:
    """Shows it."""
    return await call.services.contract_show(session=params.session, cwd=params.cwd, revision=params.revision)


METHOD = Method(
    name="contract/show",
    summary="Shows the frozen text of a session's contract.",
    params=ShowParams,
    result=ShowResult,
    handle=handle,
    errors=(NO_SESSION, AMBIGUOUS_SESSION, PARTIAL_ARTIFACTS, USAGE),
    inside=True,
)
