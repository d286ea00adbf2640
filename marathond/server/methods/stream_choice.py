"""How the ledger's methods say which part of it they mean."""

from typing import Annotated

import msgspec

from marathond.domain.entries import session_stream
from marathond.server.method import Call, Params, SessionPrefix, wrong

Stream = Annotated[
    str,
    msgspec.Meta(
        pattern=r"^(system|session:[a-z][a-z0-9]{0,63})$", description="`system` or `session:<id>` with a full id."
    ),
]


class OnStream(Params, frozen=True, kw_only=True):
    """`session` (an id or a prefix) or `stream` keep to one chain; with neither, all streams in order of `seq`."""

    session: SessionPrefix | None = None
    stream: Stream | None = None


async def choose_stream(call: Call, params: OnStream, method: str) -> str | None:
    """The stream that `params` means; None for all. Raises INVALID_PARAMS and what `resolve` raises."""
    if params.session is None:
        return params.stream
    if params.stream is not None:
        raise wrong(method, "give `session` or `stream`, not both")
    return session_stream(await call.services.resolve(session=params.session, cwd=None))
