"""What the server needs from the rest of the daemon, as a protocol.

The engine implements it. Every method takes keyword arguments that are named as the params of the wire, returns a JSON-able
`dict` in the form that docs/protocol.md gives for the verb, and raises `MarathonError` for whatever a user can cause.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, Protocol

from marathond.store.rows import LedgerRow

Result = dict[str, Any]
Sink = Callable[[Sequence[LedgerRow]], None]


class Inside(NamedTuple):
    """The attempt that a process belongs to."""

    session: str
    task: str
    attempt: int


class Services(Protocol):
    """One method per verb, and the few things that subscriptions, rights and the application need."""

    # --- verbs about sessions -----------------------------------------------------------------------

    async def start(
        self,
        *,
        path: str | None,
        contract: dict[str, Any] | None,
        root: str | None,
        env: dict[str, str] | None,
        key: str | None,
        unsandboxed: bool,
        allow_secrets: bool,
        from_session: str | None,
    ) -> Result:
        """Freezes a contract and starts a session; with a known `key`, returns the session it started before."""

    async def resume(
        self, *, session: str | None, cwd: str | None, now: bool, env: dict[str, str] | None, spawned: bool
    ) -> Result:
        """Passes the resume gate and goes on."""

    async def retry(
        self, *, session: str | None, cwd: str | None, tasks: list[str] | None, env: dict[str, str] | None
    ) -> Result:
        """Reopens a failed session; no `tasks` means all that failed."""

    async def halt(self, *, session: str | None, cwd: str | None, drain: bool) -> Result:
        """Returns when the session's processes are gone."""

    async def abort(self, *, session: str | None, cwd: str | None) -> Result:
        """Returns when the session's processes are gone."""

    async def answer(self, *, session: str | None, cwd: str | None, answer: str, question: str | None) -> Result:
        """Answers the open question; `question` names one when several are open."""

    async def amend(self, *, session: str | None, cwd: str | None, limits: dict[str, Any]) -> Result:
        """Makes a limits-only revision of the contract."""

    async def status(self, *, session: str | None, cwd: str | None) -> Result:
        """Where the session stands."""

    async def list_sessions(self, *, cwd: str | None, all: bool) -> Result:  # noqa: A002 - the name on the wire
        """The sessions, newest first."""

    async def why(self, *, session: str | None, cwd: str | None, task: str | None) -> Result:
        """What keeps the session, or one task, from going on."""

    async def task(self, *, session: str | None, cwd: str | None, task: str) -> Result:
        """Everything about one task."""

    async def diff(self, *, session: str | None, cwd: str | None, task: str | None) -> Result:
        """What the session, or one task, changed."""

    # --- contracts and the ledger -------------------------------------------------------------------

    async def contract_check(
        self, *, path: str | None, contract: dict[str, Any] | None, root: str | None, allow_secrets: bool
    ) -> Result:
        """Judges a contract without starting anything."""

    async def contract_show(self, *, session: str | None, cwd: str | None, revision: int | None) -> Result:
        """The frozen text of a revision; the newest without `revision`."""

    async def verify(self, *, session: str | None) -> Result:
        """Checks the ledger and all that hangs on it."""

    async def resolve(self, *, session: str | None, cwd: str | None) -> str:
        """The full id that a prefix, or a folder, means. Raises NO_SESSION or AMBIGUOUS_SESSION."""

    async def read(self, *, after: int, limit: int, session: str | None, stream: str | None) -> Sequence[LedgerRow]:
        """At most `limit` committed rows with `seq` > `after` in order; of one stream only when one is named.

        Whatever was committed before the call is seen by it.
        """

    def subscribe(self, sink: Sink, stream: str | None) -> tuple[int, Callable[[], None]]:
        """The committed `seq` S and a function that ends the subscription.

        From now on `sink` is called on the event loop after each commit with its rows in order, all of them above S and, when
        `stream` is named, of that stream only. Synchronous, so that nothing is committed between S and the first call.
        """

    # --- attempts -----------------------------------------------------------------------------------

    async def output(
        self, *, session: str | None, cwd: str | None, task: str, attempt: int | None, after: int, raw: bool
    ) -> Result:
        """A page of an attempt's output from byte offset `after`.

        `next` is the offset after it. `live` says whether more may come: of a named attempt while it runs, else (the newest
        attempt) until the task is over or the session has ended. It is judged before the output is read: not `live` and `next`
        equal to `after` means that all of it was read.
        """

    async def output_changed(self, *, session: str, task: str, attempt: int, after: int) -> None:
        """Waits until there is news for a follower who has read `attempt` up to `after`.

        News is output beyond `after`; the end of the attempt, unless it had ended before the call; a newer attempt; the end of
        the task or the session. Never returns for anything that was already so and could not have been missed.
        """

    def inside(self, pid: int) -> tuple[str, str, int] | None:
        """The attempt (session, task, number) that the process `pid` belongs to; None for all others."""

    async def attempt_progress(self, *, who: Inside, text: str) -> None:
        """An attempt says how far it is."""

    async def attempt_ask(self, *, who: Inside, question: dict[str, Any]) -> Result:
        """An attempt asks the user something."""

    async def attempt_attach(self, *, who: Inside, path: str) -> Result:
        """An attempt adds a file to its record."""

    async def refused_inside(self, *, who: Inside, method: str) -> None:
        """Records that an attempt called a method that it may not call; called once per attempt and method."""

    # --- the daemon ---------------------------------------------------------------------------------

    async def info(self) -> Result:
        """Versions, counts and places."""

    async def stop(self, *, halt: bool) -> None:
        """Prepares the end of the daemon and returns at once; `halt` lets `hand_over` end the attempts first."""

    async def hand_over(self) -> None:
        """Takes no more work, commits what is open, and leaves the supervisors running for the next daemon."""
