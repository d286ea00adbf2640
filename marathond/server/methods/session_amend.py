"""session/amend: a new revision of the contract that changes limits only."""

from typing import Annotated

import msgspec

from marathond.domain.errors import (
    AMBIGUOUS_SESSION,
    CONTRACT_INVALID,
    NO_SESSION,
    REFUSED_BY_STATE,
    SESSION_ENDED,
)
from marathond.domain.limits import PARALLEL_MAX
from marathond.server.method import Call, Method, OnSession, wrong
from marathond.server.methods.shapes import State
from marathond.server.services import Result


class NewLimits(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """The limits to change: `wall` is a duration (`8h`), `deadline` an RFC 3339 time, `parallel` the tasks at once."""

    wall: str | None = None
    deadline: str | None = None
    parallel: Annotated[int, msgspec.Meta(ge=1, le=PARALLEL_MAX)] | None = None


class AmendParams(OnSession, frozen=True, kw_only=True):
    """At least one limit."""

    limits: NewLimits


class AmendResult(msgspec.Struct, kw_only=True):
    """The new revision and the state that follows."""

    session_id: str
    revision: int
    contract_hash: str
    state: State


async def handle(call: Call, params: AmendParams) -> Result:
    """Makes the revision."""
    limits = msgspec.to_builtins(params.limits)
    if not limits:
        raise wrong(METHOD.name, "name at least one of `wall`, `deadline` and `parallel`")
    return await call.services.amend(session=params.session, cwd=params.cwd, limits=limits)


METHOD = Method(
    name="session/amend",
    summary="Makes a numbered revision of the contract that changes limits only.",
    params=AmendParams,
    result=AmendResult,
    handle=handle,
    errors=(NO_SESSION, AMBIGUOUS_SESSION, CONTRACT_INVALID, REFUSED_BY_STATE, SESSION_ENDED),
)
