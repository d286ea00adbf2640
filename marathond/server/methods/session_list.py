"""session/list: the sessions of this daemon."""

import msgspec

from marathond.server.method import AbsolutePath, Call, Method, Params
from marathond.server.methods.shapes import State
from marathond.server.services import Result


class ListParams(Params, frozen=True, kw_only=True):
    """`cwd` keeps to the repository that contains it. Without `all`: unfinished sessions and those of the last seven days."""

    cwd: AbsolutePath | None = None
    all: bool = False


class SessionLine(msgspec.Struct, kw_only=True):
    """A session in brief."""

    session_id: str
    name: str
    state: State
    repo: str
    created_at: str
    due_at: str | None
    tasks_done: int
    tasks_total: int
    branch: str | None


class ListResult(msgspec.Struct, kw_only=True):
    """Newest first."""

    sessions: list[SessionLine]


async def handle(call: Call, params: ListParams) -> Result:
    """Lists them."""
    return await call.services.list_sessions(cwd=params.cwd, all=params.all)


METHOD = Method(
    name="session/list",
    summary="Lists sessions, newest first.",
    params=ListParams,
    result=ListResult,
    handle=handle,
)
