"""Putting a batch together: proposals are sealed and folded one after the other, then what must follow, to a fixpoint.

Nothing here touches the disk. Until the batch is committed, its entries live in the reactor's speculative copy alone.
"""

import asyncio
from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol

import msgspec

from marathond.domain.entries import Draft, Entry
from marathond.domain.errors import INTERNAL, MarathonError
from marathond.domain.limits import DECIDE_ROUNDS_MAX
from marathond.store.chain import Chain, seal_all
from marathond.store.rows import ContractRow


class Reactor(Protocol):
    """The state that follows the ledger, with a speculative copy for the batch that is being made."""

    def stage(self, entry: Entry) -> None:
        """Folds one sealed entry into the speculative copy."""

    def react(self, now_us: int) -> list[Draft]:
        """What must follow from the speculative copy at `now_us` (microseconds); empty at the fixpoint."""

    def commit(self, entries: Sequence[Entry]) -> None:
        """The staged entries are durable: the speculative copy becomes the state. `entries` are all of the batch."""

    def rollback(self) -> None:
        """The batch is not durable: forget the speculative copy."""


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
        """Gives a request its turn. What is wrong with the proposal itself goes to its caller alone.

        Raises what the reactor raises: then the whole batch is to be given up.
        """
        if request.answer.done():
            return  # the caller was cancelled while it waited
        try:
            change = request.propose()
            chain, entries = seal_all(self.chain, change.drafts, self._now_us)
            if change.contracts and not entries:
                raise ValueError("a contract is stored together with the entry that names it")
        except Exception as error:  # noqa: BLE001 - whatever a proposal raises is its caller's; the others go on
            request.fail(error)
            return
        self._answers.append((request, entries))
        self._stage(chain, entries)
        self.contracts += change.contracts

    def settle(self) -> None:
        """Lets the reactor add what must follow until nothing more does. Raises INTERNAL if there is no end to it."""
        for _ in range(DECIDE_ROUNDS_MAX):
            drafts = self._reactor.react(self._now_us)
            if not drafts:
                return
            self._stage(*seal_all(self.chain, drafts, self._now_us))
        raise MarathonError(INTERNAL, incident=f"no fixpoint after {DECIDE_ROUNDS_MAX} rounds")

    def replay(self, reactor: Reactor) -> None:
        """Stages all entries once more: the batch turned out to be durable after the reactor had forgotten it."""
        for entry in self.entries:
            reactor.stage(entry)

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
        for entry in entries:
            self._reactor.stage(entry)
        self.chain = chain
        self.entries += entries
