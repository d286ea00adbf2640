"""attempt/output: what an attempt writes, as a page and, when followed, as it comes."""

import msgspec

from marathond.domain.errors import AMBIGUOUS_SESSION, NO_ATTEMPT, NO_OUTPUT, NO_SESSION, NO_TASK, TOO_MANY_FEEDS
from marathond.server.method import Attempt, Call, Method, Offset, OnSession, TaskId
from marathond.server.services import Result


class OutputParams(OnSession, frozen=True, kw_only=True):
    """`attempt` names one; without it the newest, and `follow` goes on with later ones. `raw` gives the agent's own lines."""

    task: TaskId
    attempt: Attempt | None = None
    after: Offset = 0
    follow: bool = False
    raw: bool = False


class OutputResult(msgspec.Struct, kw_only=True):
    """`text` begins at `offset` and the next page at `next`; `live` says that more may come."""

    session: str
    task: str
    attempt: int
    offset: int
    text: str
    next: int
    live: bool


async def handle(call: Call, params: OutputParams) -> Result:
    """Gives the first page; with `follow` the rest comes as notifications."""
    page = await call.services.output(
        session=params.session,
        cwd=params.cwd,
        task=params.task,
        attempt=params.attempt,
        after=params.after,
        raw=params.raw,
    )
    if params.follow:
        feed = call.feeds.open_output(page, named=params.attempt is not None, raw=params.raw)
        call.then(feed.start)
    return page


METHOD = Method(
    name="attempt/output",
    summary="Reads what an attempt wrote; with `follow`, sends the rest as `attempt/output` notifications.",
    params=OutputParams,
    result=OutputResult,
    handle=handle,
    errors=(NO_SESSION, AMBIGUOUS_SESSION, NO_TASK, NO_OUTPUT, NO_ATTEMPT, TOO_MANY_FEEDS),
    inside=True,
)
