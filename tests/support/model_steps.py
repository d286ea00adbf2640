"""What the scripted model API can be told to do: answer (`Say`, `Shell`, `Write`, `Call`) or misbehave (`Refuse`, `Hang`, `Cut`)."""

import time
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Say:
    """The model answers with text, which ends its turn. `tokens` are what the API claims: input and output.

    `stop` is Anthropic's stop reason; `refusal` is a model that will not go on.
    """

    text: str
    tokens: tuple[int, int] = (1000, 50)
    stop: str = "end_turn"


@dataclass(frozen=True)
class Shell:
    """The model has a shell line run."""

    command: str
    text: str = ""
    tokens: tuple[int, int] = (1000, 50)


@dataclass(frozen=True)
class Write:
    """The model writes a file, named relative to the workspace."""

    path: str
    content: str
    text: str = ""
    tokens: tuple[int, int] = (1000, 50)


@dataclass(frozen=True)
class Call:
    """The model calls any tool by its name."""

    name: str
    arguments: dict[str, Any]
    text: str = ""
    tokens: tuple[int, int] = (1000, 50)


@dataclass(frozen=True)
class Refuse:
    """The API answers with a status other than 200. See also `overloaded` and the like below."""

    status: int
    body: dict[str, Any]
    headers: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Hang:
    """The API takes the request and never answers, until the client goes or the server is closed."""


@dataclass(frozen=True)
class Cut:
    """The stream starts, gives this text, and breaks.

    It breaks without a word, or says `error` (its type and message), or is `clean`: a proxy closed it as if it were whole.
    """

    text: str = "I am about to"
    error: tuple[str, str] | None = None
    clean: bool = False


Step = Say | Shell | Write | Call | Refuse | Hang | Cut


def refusal(status: int, kind: str, message: str, headers: dict[str, str] | None = None, **more: Any) -> Refuse:
    """An error answer in the form that both vendors use."""
    return Refuse(status, {"type": "error", "error": {"type": kind, "message": message, **more}}, headers or {})


def overloaded() -> Refuse:
    """529: the vendor has too much to do."""
    return refusal(529, "overloaded_error", "Overloaded")


def rate_limited(retry_after: int = 3600) -> Refuse:
    """429 without a word on quotas."""
    return refusal(
        429, "rate_limit_error", "Number of requests has exceeded your rate limit", {"retry-after": str(retry_after)}
    )


def claude_quota(resets_at: int, claim: str = "five_hour") -> Refuse:
    """429 as a subscription's spent window answers; `resets_at` in seconds since the epoch."""
    headers = {
        "retry-after": str(max(1, resets_at - int(time.time()))),
        "anthropic-ratelimit-unified-status": "rejected",
        "anthropic-ratelimit-unified-reset": str(resets_at),
        "anthropic-ratelimit-unified-representative-claim": claim,
        "anthropic-ratelimit-unified-5h-reset": str(resets_at),
        "anthropic-ratelimit-unified-5h-status": "rejected",
        "anthropic-ratelimit-unified-5h-utilization": "1.0",
    }
    return refusal(429, "rate_limit_error", "This request would exceed your account's rate limit.", headers)


def codex_quota(resets_at: int) -> Refuse:
    """429 as a ChatGPT plan's spent window answers; `resets_at` in seconds since the epoch."""
    more: dict[str, Any] = {
        "plan_type": "plus",
        "resets_at": resets_at,
        "resets_in_seconds": max(1, resets_at - int(time.time())),
    }
    return refusal(429, "usage_limit_reached", "The usage limit has been reached", **more)
