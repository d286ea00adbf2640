"""What a method of the protocol is made of, and what its handler gets to work with."""

from collections.abc import Awaitable, Callable
from typing import Annotated, Any, NamedTuple, Protocol

import msgspec

from marathond.domain.errors import INTERNAL, INVALID_PARAMS, NOT_PERMITTED, STOPPING, STORAGE, ErrorKind, MarathonError
from marathond.domain.limits import INTEGER_MAX
from marathond.server.services import Inside, Result, Services


class Params(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The base of all params: by name only, and nothing that the method does not know."""

    def __repr__(self) -> str:
        """The names only: values may hold an environment, a prompt or an answer."""
        return f"{type(self).__name__}({', '.join(self.__struct_fields__)})"


class Feeds(Protocol):
    """The notifications that a connection asked for."""

    def open_ledger(self, after: int | None, stream: str | None) -> tuple["Feed", int]:
        """A subscription from `after` (None: from now on) and the cursor it starts at; it sends nothing before `start`."""

    def close_ledger(self, number: int) -> bool:
        """Ends a subscription; False when this connection has none with that number."""

    def open_output(self, page: Result, *, named: bool, raw: bool) -> "Feed":
        """Goes on after `page` of an attempt's output."""


class Feed(Protocol):
    """One source of notifications."""

    number: int

    def start(self) -> None:
        """Lets it send."""


class Call(NamedTuple):
    """One request as its handler sees it."""

    services: Services
    inside: Inside | None
    feeds: Feeds
    stop_daemon: Callable[[bool], None]
    """Asks the application to end; True when attempts are ended first."""
    after_answer: list[Callable[[], None]]

    def then(self, action: Callable[[], None]) -> None:
        """Does `action` once the answer is on its way, so that no notification overtakes it."""
        self.after_answer.append(action)


class Method(NamedTuple):
    """A row of the protocol. `summary` is one line; `errors` are those beside the ones that every method may answer with."""

    name: str
    summary: str
    params: type[Params]
    result: Any
    handle: Callable[[Call, Any], Awaitable[Any]]
    errors: tuple[ErrorKind, ...] = ()
    inside: bool = False
    """Whether a process of an attempt may call it, about its own session."""


ALWAYS_POSSIBLE = (INVALID_PARAMS, INTERNAL, NOT_PERMITTED, STOPPING, STORAGE)
"""Errors that any method may answer with."""

AbsolutePath = Annotated[str, msgspec.Meta(pattern=r"^/[^\u0000]*$", max_length=4096, description="An absolute path.")]
SessionPrefix = Annotated[
    str, msgspec.Meta(min_length=1, max_length=64, description="A session's id or a prefix that fits one only.")
]
TaskId = Annotated[str, msgspec.Meta(min_length=1, max_length=64, description="A task's id as the contract names it.")]
Seq = Annotated[int, msgspec.Meta(ge=0, le=INTEGER_MAX, description="A global sequence number of the ledger.")]
Attempt = Annotated[int, msgspec.Meta(ge=1, le=INTEGER_MAX, description="The number of an attempt, from 1.")]
Offset = Annotated[int, msgspec.Meta(ge=0, le=INTEGER_MAX, description="An offset into an attempt's output, in bytes.")]


class OnSession(Params, frozen=True, kw_only=True):
    """Params that name a session: by `session`, else the newest one of the repository that contains `cwd`."""

    session: SessionPrefix | None = None
    cwd: AbsolutePath | None = None


class Nothing(Params, frozen=True, kw_only=True):
    """No params."""


def wrong(method: str, reason: str) -> MarathonError:
    """The error for params that are each well-formed and together make no sense."""
    return MarathonError(INVALID_PARAMS, method=method, reason=reason)
