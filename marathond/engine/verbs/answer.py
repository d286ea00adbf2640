"""`answer` and `amend`: what a person decides lets a held session go on."""

from collections.abc import Mapping
from typing import Any, Literal

from marathond.domain import entries as e
from marathond.domain.errors import REFUSED_BY_STATE, SESSION_ENDED, USAGE, MarathonError
from marathond.domain.session import Question, Session
from marathond.domain.suggest import nearest
from marathond.engine.engine import Engine
from marathond.engine.sessions import get
from marathond.engine.views.words import session_state
from marathond.planning.amend import amended, parse_amendment
from marathond.store.rows import ContractRow
from marathond.store.writer import Change


async def answer(
    engine: Engine, *, session: str | None, cwd: str | None, answer: str, question: str | None
) -> dict[str, Any]:
    """See `session/answer` in docs/protocol.md."""
    session_id = (await get(engine, session, cwd)).id
    said: Literal["yes", "no"] = "yes" if answer == "yes" else "no"
    asked: list[str] = []

    def request(now: Session) -> list[e.Body]:
        chosen = _choose(now, question)
        asked.append(chosen.id)
        return [e.RequestAnswer(question=chosen.id, answer=said)]

    await engine.propose(session_id, request)
    state = session_state(engine.kernel.sessions[session_id])
    return {"session_id": session_id, "question": asked[0], "answer": said, "state": state}


def _choose(session: Session, question: str | None) -> Question:
    """The question that is meant: the one named, else the only one there is."""
    if session.end is not None:
        raise MarathonError(
            SESSION_ENDED,
            session=session.id,
            state=session_state(session),
            verb="answered",
            hint="It asks nothing any more.",
        )
    questions = session.questions
    if question is not None:
        if question not in questions:
            raise MarathonError(
                USAGE,
                reason=f"There is no open question {question!r}",
                hint=nearest(question, questions) or "Nothing is asked.",
            )
        return questions[question]
    if len(questions) == 1:
        return next(iter(questions.values()))
    if not questions:
        state = session_state(session)
        raise MarathonError(
            REFUSED_BY_STATE,
            session=session.id,
            state=state,
            reason="it asks nothing",
            hint=f"`marathonctl why {session.id}` says what it waits for.",
        )
    listed = "; ".join(f"{q.id}: {q.text}" for q in sorted(questions.values(), key=lambda q: q.id))
    raise MarathonError(
        USAGE, reason=f"{len(questions)} questions are open ({listed})", hint="Say which one: --question ID."
    )


async def amend(engine: Engine, *, session: str | None, cwd: str | None, limits: Mapping[str, Any]) -> dict[str, Any]:
    """See `session/amend` in docs/protocol.md: a revision of the contract in which only limits differ."""
    amendment = parse_amendment(limits)
    session_id = (await get(engine, session, cwd)).id
    stream = e.session_stream(session_id)

    def change() -> Change:
        now = engine.kernel.peek(session_id)
        assert now is not None
        if now.end is not None:
            raise MarathonError(
                SESSION_ENDED, session=session_id, state=session_state(now), verb="amended", hint="Start a new session."
            )
        frozen = amended(now.plan.frozen, **amendment._asdict())
        engine.kernel.learn(frozen)
        k = now.revision + 1
        drafts: list[e.Body] = [
            e.RequestAmend(**amendment._asdict()),
            e.ContractAmended(k=k, hash=frozen.hash, prev=now.plan.frozen.hash),
        ]
        row = ContractRow(session_id, k, frozen.text, frozen.hash)
        return Change(drafts=[e.Draft(stream, body) for body in drafts], contracts=[row])

    await engine.writer.submit(change)
    after = engine.kernel.sessions[session_id]
    return {
        "session_id": session_id,
        "revision": after.revision,
        "contract_hash": after.plan.frozen.hash,
        "state": session_state(after),
    }
