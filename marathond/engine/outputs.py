"""What an attempt prints: live from its file, later from its transcript; raw, or as its agent's reader tells it to people."""

from typing import Any

import anyio
import anyio.to_thread

from marathond.agents import readers
from marathond.agents.profile import Profile
from marathond.attempt.output import Page, read_page, read_tail
from marathond.attempt.records import OUTPUT_FILE
from marathond.domain import session as s
from marathond.domain.errors import NO_ATTEMPT, NO_OUTPUT, NO_TASK, MarathonError
from marathond.domain.limits import OUTPUT_PAGE_BYTES_MAX
from marathond.domain.session import Session
from marathond.domain.suggest import nearest
from marathond.engine.effects.attempts import folder
from marathond.engine.engine import Engine
from marathond.engine.sessions import get

_LAST_WORDS_BYTES = 16 * 1024
_LAST_WORDS_CHARS = 200


async def output(
    engine: Engine, *, session: str | None, cwd: str | None, task: str, attempt: int | None, after: int, raw: bool
) -> dict[str, Any]:
    """See `attempt/output` in docs/protocol.md."""
    found = await get(engine, session, cwd)
    newest = _newest(found, task)
    number = attempt or newest
    if number > newest:
        raise MarathonError(NO_ATTEMPT, session=found.id, task=task, attempt=number, newest=newest)
    live = _more_may_come(found, task, attempt)
    page = await anyio.to_thread.run_sync(_page, engine, found, task, number, after, not _runs(found, task, number))
    text, next_ = page.text, page.next
    if not raw and text:
        profile = (await anyio.to_thread.run_sync(engine.agents)).find(found.plan.tasks[task].agent)
        text, used = tell(profile, text, final=not _runs(found, task, number))
        next_ = after + used
    return {
        "session": found.id,
        "task": task,
        "attempt": number,
        "offset": after,
        "text": text,
        "next": next_,
        "live": live,
    }


def _page(engine: Engine, session: Session, task: str, number: int, after: int, final: bool) -> Page:
    path = folder(engine, session.id, task, number) / OUTPUT_FILE
    return read_page(path, after, bytes_max=OUTPUT_PAGE_BYTES_MAX, final=final)


def tell(profile: Profile | None, text: str, *, final: bool) -> tuple[str, int]:
    """Whole lines of output in words for people, and how many bytes that used up. An unfinished line waits for its end.

    Without a profile, which a user may have removed meanwhile, the text stays as it is.
    """
    if profile is None or profile.reader == "text":
        return text, len(text.encode())
    end = len(text) if final else text.rfind("\n") + 1
    if end == 0 and len(text.encode()) >= OUTPUT_PAGE_BYTES_MAX // 2:
        end = len(text)  # a line longer than a page: nobody can read that anyway
    reader = readers.make(profile)
    told = [words for line in text[:end].splitlines() for words in _words(reader, line)]
    return "".join(f"{words.rstrip()}\n" for words in told if words.strip()), len(text[:end].encode())


def _words(reader: readers.Reader, line: str) -> list[str]:
    if not line.startswith("{"):
        return [line]  # output of setup lines, or an agent's complaint
    return [readers.render(event) for event in reader.feed(line)]


def _newest(session: Session, task: str) -> int:
    known = session.tasks.get(task)
    if known is None:
        raise MarathonError(NO_TASK, session=session.id, task=task, suggestion=nearest(task, session.tasks))
    if known.begun == 0:
        raise MarathonError(NO_OUTPUT, session=session.id, task=task)
    return known.begun


def _runs(session: Session, task: str, number: int) -> bool:
    known = session.tasks[task]
    return known.begun == number and isinstance(known.phase, s.LIVE) and session.end is None


def _more_may_come(session: Session, task: str, attempt: int | None) -> bool:
    if attempt is not None:
        return _runs(session, task, attempt)
    return session.end is None and not isinstance(session.tasks[task].phase, s.TERMINAL)


async def changed(engine: Engine, *, session: str, task: str, attempt: int, after: int) -> None:
    """Returns when a follower of `attempt`, read up to `after`, has news: output, its end, a newer attempt, the task's end."""
    before = engine.kernel.sessions[session]
    state = _situation(before, task, attempt)

    def moved() -> bool:
        now = engine.kernel.sessions.get(session)
        return now is None or _situation(now, task, attempt) != state

    async def ledger_moves() -> None:
        await engine.until(moved)
        tasks.cancel_scope.cancel()

    async def file_grows() -> None:
        path = folder(engine, session, task, attempt) / OUTPUT_FILE
        await engine.watch.changed(path, after)
        tasks.cancel_scope.cancel()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(ledger_moves)
        if _runs(before, task, attempt):
            tasks.start_soon(file_grows)


def _situation(session: Session, task: str, attempt: int) -> tuple[bool, int, bool]:
    known = session.tasks[task]
    return _runs(session, task, attempt), known.begun, session.end is not None or isinstance(known.phase, s.TERMINAL)


def last_words(engine: Engine, session: Session) -> dict[str, str]:
    """The newest line of each live attempt, by task. Blocks for some short reads."""
    out: dict[str, str] = {}
    registry = engine.agents()
    for task_id in session.frontier:
        task = session.tasks[task_id]
        if not isinstance(task.phase, s.Running):
            continue
        path = folder(engine, session.id, task_id, task.begun) / OUTPUT_FILE
        told, _ = tell(
            registry.find(session.plan.tasks[task_id].agent), read_tail(path, _LAST_WORDS_BYTES), final=False
        )
        lines = [line for line in told.splitlines() if line.strip()]
        out[task_id] = lines[-1].strip()[:_LAST_WORDS_CHARS] if lines else ""
    return out
