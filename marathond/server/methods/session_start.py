"""session/start: freezes a contract and starts a session on it."""

from typing import Annotated

import msgspec

from marathond.domain.errors import (
    CONSENT_NEEDED,
    CONTRACT_INVALID,
    DIRTY_CHECKOUT,
    GATE_REFUSED,
    HEAD_AHEAD,
    KEY_MISMATCH,
    NO_SESSION,
    NO_SUCH_FILE,
)
from marathond.server.method import AbsolutePath, Call, Method, Params, SessionPrefix, wrong
from marathond.server.methods.shapes import ContractObject, Environment
from marathond.server.services import Result


class StartParams(Params, frozen=True, kw_only=True):
    """Exactly one of `path` (a .toml or .json file that the daemon reads) and `contract` (the same as an object).

    `root` is the folder that the relative paths of `contract` start from. `env` is the environment of the client, of which the
    daemon keeps what its allow-list names. The same `key` always gives the same session.
    """

    path: AbsolutePath | None = None
    contract: ContractObject | None = None
    root: AbsolutePath | None = None
    env: Environment | None = None
    key: Annotated[str, msgspec.Meta(min_length=1, max_length=200)] | None = None
    unsandboxed: bool = False
    allow_secrets: bool = False
    from_session: SessionPrefix | None = None


class StartResult(msgspec.Struct, kw_only=True):
    """`created` is false when the key had already started this session."""

    session_id: str
    run_id: str
    contract_hash: str
    name: str
    created: bool
    warnings: list[str]


async def handle(call: Call, params: StartParams) -> Result:
    """Starts the session."""
    if (params.path is None) == (params.contract is None):
        raise wrong(METHOD.name, "give either `path` or `contract`")
    if params.root is not None and params.contract is None:
        raise wrong(METHOD.name, "`root` goes with `contract`; a file's own folder is its root")
    return await call.services.start(
        path=params.path,
        contract=params.contract,
        root=params.root,
        env=params.env,
        key=params.key,
        unsandboxed=params.unsandboxed,
        allow_secrets=params.allow_secrets,
        from_session=params.from_session,
    )


METHOD = Method(
    name="session/start",
    summary="Freezes a contract and starts a session on it.",
    params=StartParams,
    result=StartResult,
    handle=handle,
    errors=(
        CONTRACT_INVALID,
        NO_SUCH_FILE,
        CONSENT_NEEDED,
        DIRTY_CHECKOUT,
        KEY_MISMATCH,
        NO_SESSION,
        GATE_REFUSED,
        HEAD_AHEAD,
    ),
)
