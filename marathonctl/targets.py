"""Which session and task the words of a command line mean."""

from typing import Any

from marathonctl.client import Client
from marathonctl.context import Context
from marathonctl.usage import usage
from marathond.domain.errors import AMBIGUOUS_SESSION, NO_SESSION, MarathonError


def session_first(context: Context, client: Client, words: list[str]) -> tuple[str | None, list[str]]:
    """For `[SESSION] [TASK…]`: the session, if the first word is one, and the tasks.

    A word that could be both (a prefix of an id, and a task of this repository's newest session) is refused: nobody
    wants to retry the wrong one. Raises `usage`.
    """
    if not words:
        return None, []
    named = _status(client, session=words[0])
    if named is None:
        return None, words
    newest = _status(client, **context.whose(None))
    if newest and newest["session_id"] != named["session_id"] and _has_task(newest, words[0]):
        raise usage(
            f"{words[0]!r} is a task of session {newest['session_id']} and the beginning of session "
            f"{named['session_id']}",
            hint="Give both: SESSION TASK.",
        )
    if newest and newest["session_id"] == named["session_id"] and len(words) == 1 and _has_task(newest, words[0]):
        return None, words
    return named["session_id"], words[1:]


def task_last(words: list[str]) -> tuple[str | None, str]:
    """For `[SESSION] TASK`: one word is the task, two are session and task."""
    return (words[0], words[1]) if len(words) == 2 else (None, words[0])


def _status(client: Client, **whose: Any) -> dict[str, Any] | None:
    try:
        return client.call("session/status", **whose)
    except MarathonError as error:
        if error.kind in (NO_SESSION, AMBIGUOUS_SESSION):
            return None
        raise


def _has_task(status: dict[str, Any], word: str) -> bool:
    return any(task["id"] == word for task in status["tasks"])
