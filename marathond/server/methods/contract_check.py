"""contract/check: judges a contract without starting anything."""

import msgspec

from marathond.domain.errors import CONTRACT_INVALID, NO_SUCH_FILE
from marathond.server.method import AbsolutePath, Call, Method, Params, wrong
from marathond.server.methods.shapes import ContractObject
from marathond.server.services import Result


class CheckParams(Params, frozen=True, kw_only=True):
    """Exactly one of `path` and `contract`, as for `session/start`."""

    path: AbsolutePath | None = None
    contract: ContractObject | None = None
    root: AbsolutePath | None = None
    allow_secrets: bool = False


class CheckedTask(msgspec.Struct, kw_only=True):
    """A task of the checked contract."""

    id: str
    needs: list[str]
    agent: str


class ContractCheckResult(msgspec.Struct, kw_only=True):
    """The contract as it would be frozen. An invalid one is the error `contract_invalid` with all `problems` in its data."""

    contract_hash: str
    name: str
    tasks: list[CheckedTask]
    warnings: list[str]


async def handle(call: Call, params: CheckParams) -> Result:
    """Checks it."""
    if (params.path is None) == (params.contract is None):
        raise wrong(METHOD.name, "give either `path` or `contract`")
    if params.root is not None and params.contract is None:
        raise wrong(METHOD.name, "`root` goes with `contract`; a file's own folder is its root")
    return await call.services.contract_check(
        path=params.path, contract=params.contract, root=params.root, allow_secrets=params.allow_secrets
    )


METHOD = Method(
    name="contract/check",
    summary="Judges a contract without starting anything.",
    params=CheckParams,
    result=ContractCheckResult,
    handle=handle,
    errors=(CONTRACT_INVALID, NO_SUCH_FILE),
)
