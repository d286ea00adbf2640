"""ledger/verify: checks the ledger and all that hangs on it."""

import msgspec

from marathond.domain.errors import AMBIGUOUS_SESSION, NO_SESSION
from marathond.server.method import Call, Method, Params, SessionPrefix
from marathond.server.services import Result


class VerifyParams(Params, frozen=True, kw_only=True):
    """`session` keeps to one session."""

    session: SessionPrefix | None = None


class VerifyProblem(msgspec.Struct, kw_only=True):
    """Something that is not as it was recorded; the first one is the earliest."""

    seq: int | None
    stream: str | None
    n: int | None
    what: str


class VerifyResult(msgspec.Struct, kw_only=True):
    """`ok` means that no problem was found in `entries` entries of `sessions` sessions up to `head_seq`."""

    ok: bool
    entries: int
    sessions: int
    head_seq: int
    problems: list[VerifyProblem]


async def handle(call: Call, params: VerifyParams) -> Result:
    """Checks."""
    return await call.services.verify(session=params.session)


METHOD = Method(
    name="ledger/verify",
    summary="Checks streams, links, the outside head, contracts, checkpoints and blobs.",
    params=VerifyParams,
    result=VerifyResult,
    handle=handle,
    errors=(NO_SESSION, AMBIGUOUS_SESSION),
)
