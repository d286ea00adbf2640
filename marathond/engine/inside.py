"""Which attempt a process belongs to, by the marker that every process of an attempt carries.

A hurdle, not a boundary: a process of the same account can clear its environment. The boundary is the sandbox.
"""

import os
import re
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Literal

import anyio.to_thread

from marathond.attempt.processes import ATTEMPT_MARKER
from marathond.attempt.redact import Redactor
from marathond.domain import entries as e
from marathond.domain.errors import NOT_PERMITTED, MarathonError
from marathond.domain.limits import ATTACHMENT_BYTES_MAX, ATTEMPT_NOTES_MAX, ATTEMPT_QUESTIONS_MAX
from marathond.domain.session import Session
from marathond.engine.effects.attempts import folder
from marathond.engine.engine import Engine
from marathond.engine.environment import secrets_of
from marathond.engine.history import session_entries
from marathond.engine.sessions import get

Who = tuple[str, str, int]
What = Literal["progress", "attachment", "refused"]

_ANCESTORS_MAX = 64
_MARKER = f"{ATTEMPT_MARKER}=".encode()
_FORM = re.compile(r"([a-z0-9]{1,64})/([a-z0-9][a-z0-9_-]{0,63})/([1-9][0-9]{0,8})(?:/.*)?", re.ASCII | re.DOTALL)


def attempt_of(engine: Engine, pid: int) -> Who | None:
    """The attempt (session, task, number) of a process or the nearest of its ancestors whose marker names one of ours.

    What another Marathon marked, or somebody made up, says nothing: the ancestors are asked.
    """
    for _ in range(_ANCESTORS_MAX):
        if pid <= 1:
            return None
        if (who := _parse(_marker(pid) or "")) is not None and folder(engine, *who).is_dir():
            return who
        pid = _parent(pid)
    return None


def _marker(pid: int) -> str | None:
    try:
        environment = Path(f"/proc/{pid}/environ").read_bytes()
    except OSError:
        return None  # it has gone, or it is not ours: then it cannot be an attempt's either
    for item in environment.split(b"\0"):
        if item.startswith(_MARKER):
            return os.fsdecode(item.removeprefix(_MARKER))
    return None


def _parent(pid: int) -> int:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(errors="replace")
    except OSError:
        return 0
    return int(stat.rpartition(")")[2].split()[1])


def _parse(marker: str) -> Who | None:
    match = _FORM.fullmatch(marker)
    return None if match is None else (match[1], match[2], int(match[3]))


# --- what an attempt may say ------------------------------------------------------------------------------


async def progress(engine: Engine, who: Who, text: str) -> None:
    """Records how far an attempt says it is. Raises NOT_PERMITTED for one that has said too much."""
    await _count(engine, who)
    await _note(engine, who, "progress", text)


async def refused(engine: Engine, who: Who, method: str) -> None:
    """Records that an attempt called a method that it may not call."""
    await _note(engine, who, "refused", method)


async def attach(engine: Engine, who: Who, path: str) -> dict[str, Any]:
    """Stores a file of the attempt's workspace, redacted, as a blob. Raises NOT_PERMITTED for a file outside of it, or too much."""
    session, task, attempt = who
    found = await get(engine, session, None)
    workspace = (await engine.rooms.workspace(found, task)).path
    file = await anyio.to_thread.run_sync(_regular_file, workspace, path)
    if file is None:
        hint = "Attach a regular file of the workspace by its path relative to it."
        raise MarathonError(NOT_PERMITTED, reason=f"{path!r} is no file of this attempt's workspace", hint=hint)
    if (await anyio.to_thread.run_sync(file.stat)).st_size > ATTACHMENT_BYTES_MAX:
        hint = f"At most {ATTACHMENT_BYTES_MAX} bytes are taken."
        raise MarathonError(NOT_PERMITTED, reason=f"{path!r} is too large to attach", hint=hint)
    await _count(engine, who)
    secrets = await secrets_of(engine, found, found.plan.tasks[task])

    def store() -> str:
        redactor = Redactor(secrets)
        return engine.blobs.put(redactor.feed(file.read_bytes()) + redactor.flush())

    blob = await anyio.to_thread.run_sync(store)
    await _note(engine, who, "attachment", path, blob)
    return {"task": task, "attempt": attempt, "path": path, "blob": blob}


def _regular_file(workspace: Path, path: str) -> Path | None:
    """The file, links followed, if it is a regular one inside the workspace."""
    file = Path(workspace, path).resolve()
    return file if file.is_relative_to(workspace.resolve()) and file.is_file() else None


async def ask(engine: Engine, who: Who, question: dict[str, Any]) -> dict[str, Any]:
    """Asks the user a question that yes or no answers, and waits for the answer, or for the end of the attempt.

    Raises NOT_PERMITTED for an attempt that has asked too much.
    """
    session, task, _ = who
    await _count_question(engine, who)
    asked: list[str] = []
    text = await _redacted(engine, who, str(question.get("question") or question.get("text") or ""))

    def bodies(now: Session) -> list[e.Body]:
        asked.append(f"q{now.asked + 1}")
        return [e.QuestionAsked(question=asked[0], about="agent", task=task, text=text[:2000])]

    await engine.propose(session, bodies)
    await engine.until(lambda: asked[0] not in engine.kernel.sessions[session].questions)
    async for entry in session_entries(engine, session):
        if isinstance(entry.body, e.RequestAnswer) and entry.body.question == asked[0]:
            return {"question": asked[0], "answer": entry.body.answer}
    return {"question": asked[0], "answer": None}


async def _count(engine: Engine, who: Who) -> None:
    """Makes sure of room for one more of the attempt's notes."""
    session, task, attempt = who

    async def noted() -> int:
        bodies = [entry.body async for entry in session_entries(engine, session)]
        notes = [b for b in bodies if isinstance(b, e.AttemptNoted) and (b.task, b.attempt) == (task, attempt)]
        return sum(note.what in ("progress", "attachment") for note in notes)

    hint = f"Progress and attachments are recorded {ATTEMPT_NOTES_MAX:,} times for each attempt: say less, or attach more at once."
    await _one_more(engine.notes, who, noted, ATTEMPT_NOTES_MAX, "has said all that is recorded", hint)


async def _count_question(engine: Engine, who: Who) -> None:
    """Makes sure that the attempt may ask once more."""
    session, task, attempt = who

    async def asked() -> int:
        count, mine = 0, False
        async for entry in session_entries(engine, session):
            match entry.body:
                case e.AttemptIntended(task=of, attempt=number) if of == task:
                    mine = number == attempt
                case e.QuestionAsked(about="agent", task=of) if of == task and mine:
                    count += 1
        return count

    hint = f"An attempt may ask {ATTEMPT_QUESTIONS_MAX} questions: decide by yourself from here on."
    await _one_more(engine.questions, who, asked, ATTEMPT_QUESTIONS_MAX, "has asked all that it may ask", hint)


async def _one_more(
    counts: dict[Who, int], who: Who, before: Callable[[], Awaitable[int]], most: int, reason: str, hint: str
) -> None:
    """Counts one more, at most so many; what was in the time of earlier daemons, which `before` counts, is in the ledger."""
    if who not in counts:
        counts.setdefault(who, await before())
    if counts[who] >= most:
        raise MarathonError(NOT_PERMITTED, reason=f"Attempt {'/'.join(map(str, who))} {reason}", hint=hint)
    counts[who] += 1


async def _note(engine: Engine, who: Who, what: What, text: str, blob: str | None = None) -> None:
    session, task, attempt = who
    clean = await _redacted(engine, who, text)
    await engine.append(session, e.AttemptNoted(task=task, attempt=attempt, what=what, text=clean[:4000], blob=blob))


async def _redacted(engine: Engine, who: Who, text: str) -> str:
    """What an attempt says, without the keys it was handed."""
    session, task, _ = who
    found = await get(engine, session, None)
    return Redactor(await secrets_of(engine, found, found.plan.tasks[task])).redact_text(text)
