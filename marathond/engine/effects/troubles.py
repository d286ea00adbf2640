"""What the world outside does to an effect: whether another try is worth it, and how it is told in an entry."""

import errno

from marathond.attempt.redact import Redactor
from marathond.domain.errors import MarathonError
from marathond.domain.session import Session
from marathond.engine.engine import Engine
from marathond.engine.environment import secrets_of

_TRIES_MAX = 3
_REASON_CHARS_MAX = 2000


def may_pass(error: Exception, tries: int) -> bool:
    """Whether it is worth another try after `tries` others: for a full disk always, else a few times."""
    return is_full(error) or tries < _TRIES_MAX


def is_full(error: Exception) -> bool:
    """Whether there is no room on a disk, which is nobody's fault and passes."""
    full = getattr(error, "errno", None) in (errno.ENOSPC, errno.EDQUOT)
    return full or any(words in str(error) for words in ("No space left on device", "Disk quota exceeded"))


async def told(engine: Engine, session: Session, task_id: str, reason: str) -> str:
    """A reason as an entry can hold it: without the secrets of the task, plain, and not too long.

    Where those cannot be read, that is all that is told.
    """
    try:
        secrets = await secrets_of(engine, session, session.plan.tasks[task_id])
    except MarathonError as error:
        return plain(error.message)[:_REASON_CHARS_MAX]
    return plain(Redactor(secrets).redact_text(reason))[:_REASON_CHARS_MAX]


def plain(text: str) -> str:
    """Names of files, and what programs say, may hold bytes that are no text, which an entry cannot hold: they become marks."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
