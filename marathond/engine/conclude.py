"""What a finished attempt came to: its reader's word, and its transcript as a blob."""

from datetime import tzinfo
from functools import partial
from pathlib import Path
from zoneinfo import ZoneInfo

import anyio.to_thread

from marathond.agents import readers
from marathond.agents.profile import Profile
from marathond.attempt.records import ERRORS_FILE, OUTPUT_FILE, Exit
from marathond.domain import canonical
from marathond.domain import entries as e
from marathond.domain.contract import Task as Spec
from marathond.domain.errors import MarathonError
from marathond.domain.limits import FINAL_TEXT_BYTES_MAX
from marathond.domain.session import Session
from marathond.engine.engine import Engine
from marathond.engine.environment import attempt_environment
from marathond.engine.history import session_entries

_ENCODED_BYTES_MAX = 2 * FINAL_TEXT_BYTES_MAX
"""Of one text inside an entry. An entry has two of them, and must hold them: an end that cannot be recorded never ends."""

STDERR_RULE = b"\n--- standard error ---\n"


async def conclude(
    engine: Engine, session: Session, task_id: str, number: int, where: Path, exit_: Exit
) -> e.AttemptFinished:
    """Reads the stored output and stores it as a blob. Blocks in threads."""

    def store() -> str | None:
        content = gather(where)
        return engine.blobs.put(content) if content else None

    came_to = await _came_to(engine, session, task_id, number, where, exit_)
    transcript = await anyio.to_thread.run_sync(store)
    return e.AttemptFinished(
        task=task_id,
        attempt=number,
        outcome=came_to.outcome,
        exit_code=exit_.exit_code,
        signal=exit_.signal,
        elapsed_ms=exit_.elapsed_ms,
        lived_ms=exit_.lived_ms,
        thread=came_to.thread,
        thread_lost=came_to.thread_lost,
        text=fitting(came_to.text),
        error=fitting(came_to.error),
        reset=came_to.reset,
        usage=came_to.usage,
        transcript=transcript,
    )


async def _came_to(
    engine: Engine, session: Session, task_id: str, number: int, where: Path, exit_: Exit
) -> readers.Conclusion:
    """Its reader's word. Where the profile was removed or spoiled meanwhile, nobody can say what the agent meant."""
    spec = session.plan.tasks[task_id]
    registry = await anyio.to_thread.run_sync(engine.agents)
    try:
        profile = registry.get(spec.agent)
    except MarathonError as error:
        return readers.Conclusion(outcome="interrupted" if exit_.cause == "stopped" else "error", error=error.message)
    previous = await _usage_before(engine, session, task_id, number, profile)
    ending = readers.Ending(
        cause=exit_.cause,
        ended_us=exit_.ended_wall_us,
        exit_code=exit_.exit_code,
        signal=exit_.signal,
        detail=exit_.detail,
        zone=await _zone(engine, session, spec, profile),
    )
    read = partial(
        readers.read_conclusion, profile, where / OUTPUT_FILE, where / ERRORS_FILE, ending, previous=previous
    )
    return await anyio.to_thread.run_sync(read)


async def _zone(engine: Engine, session: Session, spec: Spec, profile: Profile) -> tzinfo | None:
    """The zone in which the agent tells times: its environment came from the user's client, and the daemon may live in another."""
    try:
        name = (await attempt_environment(engine, session, spec, profile, profile.env)).values.get("TZ")
    except MarathonError:
        return None  # its file is damaged; the end of the attempt is recorded all the same
    try:
        return ZoneInfo(name.removeprefix(":")) if name else None
    except (ValueError, OSError, LookupError):
        return None  # a rule such as `CET-1CEST`, or a slip: this machine's zone is the best guess


async def said_thread(engine: Engine, session: Session, task_id: str, where: Path) -> str | None:
    """The conversation that an attempt without a result named in its output, so that another one can go on with it."""
    profile = engine.agents().find(session.plan.tasks[task_id].agent)
    if profile is None:
        return None  # it was removed, or spoiled, and without it nobody can read the output
    ending = readers.Ending(cause="stopped", ended_us=engine.clock.wall())
    read = readers.read_conclusion
    return (await anyio.to_thread.run_sync(read, profile, where / OUTPUT_FILE, where / ERRORS_FILE, ending)).thread


def gather(where: Path) -> bytes:
    """The transcript: what was written to standard output, and after a rule what was written to standard error."""
    output, errors = (
        path.read_bytes() if path.exists() else b"" for path in (where / OUTPUT_FILE, where / ERRORS_FILE)
    )
    return output + STDERR_RULE + errors if errors else output


def fitting(text: str) -> str:
    """The end of a text, where agents say what they have done; lone surrogates, which an entry cannot hold, become marks.

    Control characters take six bytes each in an entry, so a text that is full of them is cut shorter.
    """
    text = text.encode("utf-8", "replace")[-FINAL_TEXT_BYTES_MAX:].decode("utf-8", "ignore")
    while (over := len(canonical.encode_entry(text)) - _ENCODED_BYTES_MAX) > 0:
        text = text[max(1, over // 6) :]
    return text


async def _usage_before(
    engine: Engine, session: Session, task_id: str, number: int, profile: Profile
) -> e.Usage | None:
    """What earlier attempts in the same thread have used, where the agent counts over the whole thread."""
    if profile.usage.scope != "thread-cumulative":
        return None
    attempt = session.tasks[task_id].attempt
    if attempt is None or attempt.thread is None:
        return None
    total = dict.fromkeys(e.Usage.__struct_fields__, 0)
    async for entry in session_entries(engine, session.id):
        body = entry.body
        same = isinstance(body, e.AttemptFinished) and body.task == task_id and body.attempt < number
        if same and isinstance(body, e.AttemptFinished) and body.thread == attempt.thread:
            for name in total:
                total[name] += getattr(body.usage, name)
    return e.Usage(**total)
