"""Follows a session until nothing more happens by itself: `run`, `resume --follow`, `retry --follow`.

The daemon may die meanwhile: the follower reconnects from its cursor and, where it may, starts the next daemon.
"""

import sys
from typing import Any

from marathonctl.client import Client
from marathonctl.context import Context
from marathonctl.interrupts import Interrupts
from marathonctl.render.live import LiveView, PlainView, SilentView, View
from marathonctl.render.style import is_plain
from marathonctl.streams import EntryStream, Reconnector, read_pages
from marathond.domain.errors import SESSION_ENDED, MarathonError

HALTED_BY_USER = 130

ENDINGS = {"done": 0, "quarantined": 2, "failed": 4, "held": 5, "halted": HALTED_BY_USER, "aborted": HALTED_BY_USER}
"""State of a session in which nothing goes on by itself → exit code of whoever followed it."""

_GATHER_SECONDS = 0.05
"""How long entries that belong together are collected before the view is brought up to date."""


def conclusion(status: dict[str, Any], *, no_wait: bool) -> int | None:
    """The exit code that a session's state stands for; None while it goes on by itself."""
    if no_wait and status["state"] == "waiting":
        return 0
    return ENDINGS.get(status["state"])


def make_view(context: Context) -> View:
    """The view that fits where standard output goes."""
    if context.json:
        return SilentView(context.note)
    if is_plain(sys.stdout):
        return PlainView(context.style)
    return LiveView(context.style, sys.stdout)


class Follower:
    """Follows one session from ledger position `after`, for `context`'s user."""

    def __init__(self, context: Context, session: str, *, after: int, no_wait: bool = False) -> None:
        self._context = context
        self._session = session
        self._cursor = after
        self._no_wait = no_wait
        self._view = make_view(context)

    def to_the_end(self, client: Client, interrupts: Interrupts) -> tuple[int, dict[str, Any]]:
        """Follows and returns the exit code with the session's last status.

        An interrupt halts the session; a second one leaves at once. Raises MarathonError when the daemon stays away.
        """
        try:
            try:
                interrupts.release()
                return self._follow(client)
            except KeyboardInterrupt:
                return self._halt()
        finally:
            self._view.close()

    def _follow(self, client: Client) -> tuple[int, dict[str, Any]]:
        start = self._context.changer if self._context.may_start else None
        back = Reconnector(self._context.reader, start, self._view.note)
        while True:
            try:
                with client:
                    return self._watch(client, back)
            except MarathonError as error:
                client = back.after(error)

    def _watch(self, client: Client, back: Reconnector) -> tuple[int, dict[str, Any]]:
        stream = EntryStream(client, self._cursor, {"session": self._session})
        if self._view.wants_contract:
            self._view.contract(client.call("contract/show", session=self._session))
        while True:
            status = client.call("session/status", session=self._session)
            back.progressed()
            code = conclusion(status, no_wait=self._no_wait)
            if code is not None:
                self._show_last(client, status)
                return code, status
            self._view.status(status)
            self._absorb(stream)

    def _absorb(self, stream: EntryStream) -> None:
        """Waits for the next entry or the view's next tick and shows all that have come."""
        row = stream.next(self._view.tick_seconds)
        while row is not None:
            self._show(row)
            row = stream.next(_GATHER_SECONDS)

    def _show_last(self, client: Client, status: dict[str, Any]) -> None:
        """Brings the view up to date with how it ended: what stays on the screen is the last status."""
        for row in read_pages(client, self._cursor, {"session": self._session}):
            self._show(row)
        self._view.status(status)

    def _show(self, row: dict[str, Any]) -> None:
        self._cursor = row["seq"]
        self._view.entry(row)

    def _halt(self) -> tuple[int, dict[str, Any]]:
        """Halts the session for the user; what ended before the halt came keeps its own conclusion."""
        self._view.note("Halting … (again: leave at once)")
        with self._context.changer(patient=True) as client:
            try:
                client.call("session/halt", session=self._session)
            except MarathonError as error:
                if error.kind is not SESSION_ENDED:
                    raise
            status = client.call("session/status", session=self._session)
            self._show_last(client, status)
        return ENDINGS.get(status["state"], HALTED_BY_USER), status
