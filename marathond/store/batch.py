"""Putting a batch together: proposals are sealed and folded one after the other, then what must follow, to a fixpoint.

Nothing here touches the disk. Until the batch is committed, its entries live in the reactor's speculative copy alone.
"""

import asyncio
from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol

import msgspec

from marathond.domain.entries import Draft, Entry, session_of
from marathond.domain.errors import INTERNAL, MarathonError
from marathond.domain.limits import DECIDE_ROUNDS_MAX
from marathond.store.chain import Chain, seal, seal_all
from marathond.store.rows import ContractRow


class Reactor(Protocol):
    """The state that follows the ledger, with a speculative copy for the batch that is being made."""

    def stage(self, entries: Sequence[Entry]) -> None:
        """Folds sealed entries into the speculative copy: all of them, or none and then raises `Misfit`."""

    def react(self, now_us: int) -> list[Draft]:
        """What must follow from the speculative copy at `now_us` (microseconds); empty at the fixpoint."""

    def give_up(self, session_id: str, error: Exception) -> None:
        """What should follow for a session cannot be recorded: from now on `react` returns nothing for it."""

    def commit(self, entries: Sequence[Entry]) -> None:
        """The staged entries are durable: the speculative copy becomes the state. `entries` are all of the batch."""

    def rollback(self) -> None:
        """The batch is not durable: forget the speculative copy."""


class Misfit(Exception):  # noqa: N818 - reads as what happened
    """An entry or a draft that cannot have its place. `session` is whose it is, None if it concerns them all."""

    def __init__(self, session: str | None, cause: Exception) -> None:
        super().__init__(session, cause)
        self.session, self.cause = session, cause


class Change(msgspec.Struct, frozen=True):
    """What a proposal wants appended: entries, and the contracts that these entries name."""

    drafts: list[Draft]
    contracts: list[ContractRow] = []


Propose = Callable[[], Change]


class Request(NamedTuple):
    """A proposal that waits for its turn, and the future of who handed it in."""

    propose: Propose
    answer: asyncio.Future[list[Entry]]

    def fail(self, error: BaseException) -> None:
        """Hands the caller an error, unless it has gone away."""
        if not self.answer.done():
            self.answer.set_exception(error)


class Batch:
    """The entries that will be committed together, and what each caller is to be told then."""

    def __init__(self, chain: Chain, reactor: Reactor, now_us: int) -> None:
        self.chain = chain
        self.entries: list[Entry] = []
        self.contracts: list[ContractRow] = []
        self._reactor = reactor
        self._now_us = now_us
        self._answers: list[tuple[Request, list[Entry]]] = []

    def admit(self, request: Request) -> None:
        """Gives a request its turn. What is wrong with the proposal goes to its caller alone."""
        if request.answer.done():
            return  # the caller was cancelled while it waited
        try:
            change = request.propose()
            chain, entries = seal_all(self.chain, change.drafts, self._now_us)
            if change.contracts and not entries:
                raise ValueError("a contract is stored together with the entry that names it")
            self._stage(chain, entries)
        except Exception as error:  # noqa: BLE001 - whatever a proposal raises is its caller's; the others go on
            request.fail(error.cause if isinstance(error, Misfit) else error)
            return
        self._answers.append((request, entries))
        self.contracts += change.contracts

    def settle(self) -> None:
        """Lets the reactor add what must follow until nothing more does.

        A session for which that cannot be recorded is given up; the others go on. Raises INTERNAL if there is no end to it,
        and what is wrong with an entry that concerns all sessions: then the whole batch is to be given up.
        """
        drafts: list[Draft] = []
        for _ in range(DECIDE_ROUNDS_MAX):
            drafts = self._reactor.react(self._now_us)
            if not drafts:
                return
            try:
                self._stage(*self._sealed(drafts))
            except Misfit as misfit:
                if misfit.session is None:
                    raise misfit.cause from None
                self._reactor.give_up(misfit.session, misfit.cause)
        endless = MarathonError(INTERNAL, incident=f"no fixpoint after {DECIDE_ROUNDS_MAX} rounds")
        for session_id in {concerned for draft in drafts if (concerned := _concerned(draft))}:
            self._reactor.give_up(session_id, endless)  # so that the next batch has an end
        raise endless

    def _sealed(self, drafts: list[Draft]) -> tuple[Chain, list[Entry]]:
        chain, entries = self.chain, []
        for draft in drafts:
            try:
                chain, entry = seal(chain, draft, self._now_us)
            except Exception as error:
                raise Misfit(_concerned(draft), error) from error
            entries.append(entry)
        return chain, entries

    def replay(self, reactor: Reactor) -> None:
        """Stages all entries once more: the batch turned out to be durable after the reactor had forgotten it."""
        reactor.stage(self.entries)

    def resolve(self) -> None:
        """Tells each caller the entries of its own proposal."""
        for request, entries in self._answers:
            if not request.answer.done():
                request.answer.set_result(entries)

    def fail(self, error: BaseException) -> None:
        """Tells every caller that nothing was acknowledged."""
        for request, _ in self._answers:
            request.fail(error)

    def _stage(self, chain: Chain, entries: list[Entry]) -> None:
        self._reactor.stage(entries)
        self.chain = chain
        self.entries += entries


def _concerned(draft: Draft) -> str | None:
    """The session that a draft is about, also where it is one for `system`."""
    return session_of(draft.stream) or getattr(draft.body, "session", None)
