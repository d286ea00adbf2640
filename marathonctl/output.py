"""An attempt's output in order, without gap or repeat, across attempts and daemons."""

from collections.abc import Iterator
from typing import Any

from marathonctl.client import Client
from marathonctl.streams import EntryStream
from marathond.domain.errors import NO_OUTPUT, MarathonError

Page = dict[str, Any]
"""A page as `attempt/output` answers it: session, task, attempt, offset, text, next, live."""

_ENDED = ("done", "failed", "aborted")


class OutputReader:
    """Reads the output of a task from (attempt, offset) on; the position moves with each page that is handed out.

    With `attempt` only that one is read, else the newest and, when following, all later ones. Offsets count the bytes of
    the stored output, so the position stays right whatever the pages' text looks like.
    """

    def __init__(self, session: str, task: str, attempt: int | None, *, raw: bool) -> None:
        self._task = {"session": session, "task": task, "raw": raw}
        self._only = attempt
        self._attempt = attempt
        self._offset = 0

    def pages(self, client: Client) -> Iterator[Page]:
        """What there is now. Raises `no_output` when the task has no attempt yet."""
        if self._attempt is None:
            self._attempt = int(client.call("attempt/output", **self._task)["attempt"])
        yield from self._rest(client)

    def follow(self, client: Client) -> Iterator[Page]:
        """What there is and what comes, until the task's attempts are over; may be called again on a new connection."""
        if self._attempt is None:
            self._await_first(client)
        yield from self.pages(client)
        answer = client.call("attempt/output", **self._task, attempt=self._only, after=self._offset, follow=True)
        newest, over = int(answer["attempt"]), not answer["live"]
        while True:
            # What is pushed only says that there is more: reading it by position is what rules out gaps and repeats.
            yield from self._up_to(client, newest)
            if over:
                return
            message = client.notification()
            if message and message["method"] == "attempt/output":
                newest = max(newest, int(message["params"]["attempt"]))
                over = bool(message["params"].get("ended"))

    def _up_to(self, client: Client, newest: int) -> Iterator[Page]:
        yield from self._rest(client)
        while self._attempt is not None and self._attempt < newest:
            self._attempt, self._offset = self._attempt + 1, 0
            yield from self._rest(client)

    def _rest(self, client: Client) -> Iterator[Page]:
        """The pages from the position to the end of its attempt as it is now."""
        while True:
            try:
                page = client.call("attempt/output", **self._task, attempt=self._attempt, after=self._offset)
            except MarathonError as error:
                if error.kind is NO_OUTPUT and self._only is None and self._attempt != 1:
                    return  # an attempt that never came to start
                raise
            if page["next"] <= self._offset:
                return
            self._offset = page["next"]
            yield page

    def _await_first(self, client: Client) -> None:
        """Waits until the task has an attempt. Raises `no_output` when the session ends without one."""
        stream: EntryStream | None = None
        while True:
            try:
                self._attempt = int(client.call("attempt/output", **self._task)["attempt"])
            except MarathonError as error:
                if error.kind is not NO_OUTPUT or not self._may_come(client):
                    raise
            else:
                return
            if stream is None:  # and look once more: the attempt may have begun before we listened
                now = client.call("daemon/info")["ledger"]["seq"]
                stream = EntryStream(client, now, {"session": self._task["session"]})
            else:
                stream.next()

    def _may_come(self, client: Client) -> bool:
        status = client.call("session/status", session=self._task["session"])
        return status["state"] not in _ENDED
