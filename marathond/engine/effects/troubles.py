"""What the world outside does to an effect: whether another try is worth it, and how it is told in an entry, in the log, to a user."""

import errno
import logging
import traceback

from marathond.attempt.redact import Redactor
from marathond.domain.effects import Effect
from marathond.domain.errors import ENVIRONMENT_UNREADABLE, MarathonError
from marathond.domain.session import Session
from marathond.engine.engine import Engine, Trouble
from marathond.engine.environment import all_secrets, secrets_of
from marathond.workspace.git import GitError

log = logging.getLogger(__name__)

_TRIES_MAX = 3
_BUSY_TRIES_MAX = 8
"""With the engine's pauses in between, about three minutes: who holds a lock that long has left it behind."""
_REASON_CHARS_MAX = 2000
_BUSY_NUMBERS = frozenset(
    {errno.EAGAIN, errno.EBUSY, errno.EINTR, errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ESTALE}
)
_BUSY_WORDS = (".lock': File exists", "cannot lock ref", "Resource temporarily unavailable", "Cannot allocate memory")


def may_pass(error: Exception, tries: int) -> bool:
    """Whether it is worth another try after `tries` others.

    For a full disk always, and while the environment waits to be stored anew; for a while where something is in use by others;
    else a few times.
    """
    if is_full(error) or is_unreadable(error):
        return True
    return tries < (_BUSY_TRIES_MAX if _is_busy(error) else _TRIES_MAX)


def is_full(error: Exception) -> bool:
    """Whether there is no room on a disk, which is nobody's fault and passes."""
    full = getattr(error, "errno", None) in (errno.ENOSPC, errno.EDQUOT)
    return full or any(words in str(error) for words in ("No space left on device", "Disk quota exceeded"))


def is_unreadable(error: Exception) -> bool:
    """Whether the stored environment is damaged: nothing that needs it goes on until a user has it stored anew."""
    return isinstance(error, MarathonError) and error.kind is ENVIRONMENT_UNREADABLE


def _is_busy(error: Exception) -> bool:
    return getattr(error, "errno", None) in _BUSY_NUMBERS or any(words in str(error) for words in _BUSY_WORDS)


async def told(engine: Engine, session: Session, task_id: str | None, reason: str) -> str:
    """A reason as an entry can hold it: without the secrets of the task, or of all tasks, plain, and not too long.

    Where those cannot be read, that is all that is told.
    """
    return (await _clean(engine, session, task_id, reason))[:_REASON_CHARS_MAX]


async def _clean(engine: Engine, session: Session, task_id: str | None, text: str) -> str:
    try:
        secrets = await (
            all_secrets(engine, session)
            if task_id is None
            else secrets_of(engine, session, session.plan.tasks[task_id])
        )
    except MarathonError as error:
        return plain(error.message)
    return plain(Redactor(secrets).redact_text(text))


async def report(engine: Engine, session: Session, effect: Effect, error: Exception, tries: int) -> Trouble:
    """See `engine.Report`. Where the failure came from is logged the first time, unless it says all itself."""
    if isinstance(error, MarathonError) and is_unreadable(error):
        if tries == 1:
            log.warning("session %s: %s waits: %s %s", session.id, effect, error.message, error.hint)
        return Trouble(error.message, f"marathonctl resume {session.id}")
    task_id = getattr(effect, "task", None)
    text = await told(engine, session, task_id, str(error) or type(error).__name__)
    extra = {}
    if tries == 1 and not isinstance(error, GitError):
        trace = await _clean(engine, session, task_id, "".join(traceback.format_exception(error)))
        extra["trace"] = " | ".join(filter(None, map(str.strip, trace.splitlines())))
    log.error("session %s: %s failed (%d): %s", session.id, effect, tries, text, extra=extra)
    return Trouble(text)


def plain(text: str) -> str:
    """Names of files, and what programs say, may hold bytes that are no text, which an entry cannot hold: they become marks."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
