"""session/answer: a person answers what a held session asks."""

from typing import Annotated, Literal

import msgspec

from marathond.domain.errors import AMBIGUOUS_SESSION, NO_SESSION, REFUSED_BY_STATE, SESSION_ENDED
from marathond.server.method import Call, Method, OnSession
from marathond.server.methods.shapes import State
from marathond.server.services import Result


class AnswerParams(OnSession, frozen=True, kw_only=True):
    """`question` names the one meant when several are open."""

    answer: Literal["yes", "no"]
    question: Annotated[str, msgspec.Meta(min_length=1, max_length=200)] | None = None


class AnswerResult(msgspec.Struct, kw_only=True):
    """The question that was answered, and the state that follows."""

    session_id: str
    question: str
    answer: Literal["yes", "no"]
    state: State


async def handle(call: Call, params: AnswerParams) -> Result:
    """Records the answer."""
    return await call.services.answer(
        session=params.session, cwd=params.cwd, answer=params.answer, question=params.question
    )


METHOD = Method(
    name="session/answer",
    summary="Answers the question that holds a session.",
    params=AnswerParams,
    result=AnswerResult,
    handle=handle,
    errors=(NO_SESSION, AMBIGUOUS_SESSION, REFUSED_BY_STATE, SESSION_ENDED),
)
