"""ledger/read: a page of the ledger."""

from typing import Annotated

import msgspec

from marathond.domain.errors import AMBIGUOUS_SESSION, NO_SESSION
from marathond.domain.limits import FRAME_BYTES_MAX, READ_PAGE_ENTRIES_MAX
from marathond.server.method import Call, Method, Seq
from marathond.server.methods.shapes import Row
from marathond.server.methods.stream_choice import OnStream, choose_stream
from marathond.server.services import Result


class ReadParams(OnStream, frozen=True, kw_only=True):
    """Entries with `seq` greater than `after`, at most `limit`; a page also ends once it holds a mebibyte of records."""

    after: Seq = 0
    limit: Annotated[int, msgspec.Meta(ge=1, le=READ_PAGE_ENTRIES_MAX)] = 200


class ReadResult(msgspec.Struct, kw_only=True):
    """`next_after` is the `after` of the next page; `more` says that it is not empty."""

    entries: list[Row]
    next_after: int
    more: bool


async def handle(call: Call, params: ReadParams) -> Result:
    """Reads one row more than asked for, so that `more` is known and not guessed."""
    stream = await choose_stream(call, params, METHOD.name)
    rows = await call.services.read(after=params.after, limit=params.limit + 1, session=None, stream=stream)
    entries: list[Row] = []
    room = FRAME_BYTES_MAX
    for row in rows[: params.limit]:
        entries.append(
            Row(seq=row.seq, hash=row.hash, link=row.link, link_prev=row.link_prev, record=row.record.decode())
        )
        room -= len(row.record)
        if room <= 0:
            break
    return {
        "entries": entries,
        "next_after": entries[-1].seq if entries else params.after,
        "more": len(rows) > len(entries),
    }


METHOD = Method(
    name="ledger/read",
    summary="Reads a page of the ledger in order of `seq`.",
    params=ReadParams,
    result=ReadResult,
    handle=handle,
    errors=(NO_SESSION, AMBIGUOUS_SESSION),
    inside=True,
)
