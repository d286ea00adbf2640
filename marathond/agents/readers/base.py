"""What every reader shares: the events it yields and how an attempt's conclusion is drawn.

The order of truth: without a terminal event of its own the agent failed, whatever its exit code; an error in that event
means failure; then the exit code counts. A limit is believed only from the profile's rules over named events and over the
run's own final error: never from text that the agent wrote or that a tool printed.
"""

import re
from datetime import tzinfo
from typing import Any, Final, Literal

import msgspec

from marathond.agents.profile import LimitKind, LimitRule, Profile
from marathond.agents.readers import fields, resets
from marathond.domain.entries import Outcome, Usage
from marathond.domain.limits import FINAL_TEXT_BYTES_MAX

ERROR_BYTES_MAX: Final = 4096


class Said(msgspec.Struct, frozen=True):
    """The agent wrote this."""

    text: str


class ToolCall(msgspec.Struct, frozen=True):
    """The agent used a tool; `summary` is the part of its input that says most."""

    name: str
    summary: str


class UsageSeen(msgspec.Struct, frozen=True):
    """The agent reported tokens, over the scope that its profile states."""

    usage: Usage


class LimitSeen(msgspec.Struct, frozen=True):
    """A structured sign of a limit; `reset` is what the agent stated, as it stated it."""

    kind: LimitKind
    reset: int | float | None = None


class ThreadSeen(msgspec.Struct, frozen=True):
    """The agent's conversation has this id."""

    thread: str


class ResultSeen(msgspec.Struct, frozen=True):
    """The agent's own last word: whether it says that it succeeded, its final text, else its error and what kind it is."""

    ok: bool
    text: str = ""
    error: str = ""
    kind: Outcome = "error"


class Noticed(msgspec.Struct, frozen=True):
    """Something worth a line in a log. `trouble` is set when the agent retries a call that failed this way."""

    text: str
    trouble: LimitKind | None = None


Event = Said | ToolCall | UsageSeen | LimitSeen | ThreadSeen | ResultSeen | Noticed
Cause = Literal["exit", "timeout", "idle", "stopped", "setup_failed", "spawn_failed"]


class Ending(msgspec.Struct, frozen=True, kw_only=True):
    """How the process ended, as its supervisor recorded it; `ended_us` is when, `zone` the local one (default: the machine's)."""

    cause: Cause
    ended_us: int
    exit_code: int | None = None
    signal: int | None = None
    detail: str = ""
    zone: tzinfo | None = None


class Conclusion(msgspec.Struct, frozen=True, kw_only=True):
    """What an attempt came to. `reset` is in microseconds since the epoch and not before `ended_us`.

    `thread` can be continued; `thread_lost` says that the agent does not know the thread that it was told to continue.
    """

    outcome: Outcome
    text: str = ""
    error: str = ""
    thread: str | None = None
    thread_lost: bool = False
    reset: int | None = None
    usage: Usage = Usage()


class Reader:
    """Reads one attempt's output, line by line. Subclasses say what a decoded event means."""

    def __init__(self, profile: Profile) -> None:
        self.profile = profile
        self.result: ResultSeen | None = None
        self.thread: str | None = None
        self.thread_lost = False
        self._said = ""
        self._limit: LimitSeen | None = None
        self._trouble: Noticed | None = None
        self._last_usage = Usage()
        self._usage_sum = Usage()

    def feed(self, line: str) -> list[Event]:
        """The events of one line of output; none for a line that is no event, or cut. Never raises."""
        value = fields.decode(line)
        if value is None:
            return []
        events = self._events(value)
        limit = self._limit_in(value)
        if limit is not None:
            events.append(limit)
        for event in events:
            self._remember(event)
        return events

    def conclude(self, ending: Ending, errors_tail: str = "", *, previous: Usage | None = None) -> Conclusion:
        """What the attempt came to; `errors_tail` is the end of its stderr."""
        outcome, error, reset = self._judge(ending, errors_tail)
        text = self.result.text if self.result is not None and self.result.text else self._said
        return Conclusion(
            outcome=outcome,
            text=fields.clip(text, FINAL_TEXT_BYTES_MAX),
            error=fields.clip(error, ERROR_BYTES_MAX),
            thread=None if self.thread_lost else self.thread,
            thread_lost=self.thread_lost,
            reset=reset,
            usage=self._usage(previous),
        )

    def _events(self, value: dict[str, Any]) -> list[Event]:
        raise NotImplementedError

    def _type(self, value: dict[str, Any]) -> str:
        return fields.text(value, "type")

    def _answered(self) -> None:
        """The model answered: what the API refused before that is over."""
        self._limit = self._trouble = None

    def _remember(self, event: Event) -> None:
        match event:
            case Said():
                self._said = event.text
            case ThreadSeen():
                self.thread = event.thread
            case UsageSeen():
                self._last_usage, self._usage_sum = event.usage, _add(self._usage_sum, event.usage)
            case LimitSeen():
                self._limit = event
            case ResultSeen():
                self.result = event
            case Noticed() if event.trouble is not None:
                self._trouble = event

    def _limit_in(self, value: dict[str, Any]) -> LimitSeen | None:
        """The first of the profile's rules that this event meets. A rule with a `reset` needs that field to be there."""
        for rule in self.profile.limits:
            if rule.where != f"event:{self._type(value)}" or not _meets(rule, value):
                continue
            if rule.reset is None:
                return LimitSeen(rule.kind)
            reset = fields.at(value, *rule.reset.split("."))
            if isinstance(reset, int | float) and not isinstance(reset, bool):
                return LimitSeen(rule.kind, reset)
        return None

    def _judge(self, ending: Ending, errors_tail: str) -> tuple[Outcome, str, int | None]:
        match ending.cause:
            case "setup_failed":
                return "setup_failed", "\n".join(filter(None, (ending.detail, errors_tail))), None
            case "spawn_failed":
                return "not_started", ending.detail or errors_tail, None
            case "stopped":
                return "interrupted", ending.detail or "stopped", None
        if self.result is None:
            return self._judge_silence(ending, errors_tail)
        if not self.result.ok:
            return self._judge_error(self.result, ending)
        if ending.cause != "exit" or ending.exit_code == 0:
            return "ok", "", None  # it had said that it was done: what ran into a limit was only the leftover process
        return *self._abrupt(ending, errors_tail), None

    def _judge_silence(self, ending: Ending, errors_tail: str) -> tuple[Outcome, str, int | None]:
        if self._limit is not None:
            reset = resets.from_number(self._limit.reset, ending.ended_us)
            return self._limit.kind, errors_tail or "a limit was met", reset
        if self._trouble is not None and self._trouble.trouble is not None:
            return self._trouble.trouble, self._trouble.text, None
        if ending.cause in ("timeout", "idle"):
            return ("timeout" if ending.cause == "timeout" else "idle"), ending.detail, None
        return *self._abrupt(ending, errors_tail), None

    def _abrupt(self, ending: Ending, errors_tail: str) -> tuple[Outcome, str]:
        if ending.signal is not None:
            return "crashed", errors_tail or f"ended by signal {ending.signal}"
        what = "without saying how it went" if self.result is None else "although it had said that it was done"
        said = f"exit code {ending.exit_code} {what}"
        return (
            "crashed" if (ending.exit_code or 0) > 128 else "error"
        ), f"{errors_tail}\n({said})" if errors_tail else said

    def _judge_error(self, result: ResultSeen, ending: Ending) -> tuple[Outcome, str, int | None]:
        kind, reset = self._kind_by_text(result.error, ending)
        if self._limit is not None:
            exact = resets.from_number(self._limit.reset, ending.ended_us)
            return self._limit.kind, result.error, exact if exact is not None else reset
        outcome = kind or result.kind
        if outcome == "error" and ending.cause in ("timeout", "idle"):  # its last words are about how we ended it
            return ("timeout" if ending.cause == "timeout" else "idle"), ending.detail, None
        return outcome, result.error, reset

    def _kind_by_text(self, error: str, ending: Ending) -> tuple[Outcome | None, int | None]:
        for rule in self.profile.limits:
            if rule.where != "final_error" or rule.regex is None:
                continue
            match = re.search(rule.regex, error)
            if match is not None:
                stated = match.groupdict()
                when = stated.get("when")
                reset = resets.from_text(when, stated.get("zone"), ending.ended_us, ending.zone) if when else None
                return rule.kind, reset
        return None, None

    def _usage(self, previous: Usage | None) -> Usage:
        rule = self.profile.usage
        match rule.scope:
            case "proxy-only":
                return Usage()
            case "per-event-sum":
                seen = self._usage_sum
            case _:
                seen = self._last_usage
        if rule.input_includes_cached:
            seen = msgspec.structs.replace(seen, input_tokens=max(0, seen.input_tokens - seen.cache_read_tokens))
        if rule.scope != "thread-cumulative" or previous is None:
            return seen
        return _subtract(seen, previous)


def render(event: Event) -> str:
    """An event as a person reads it in a log; empty for one that is of no interest there."""
    match event:
        case Said():
            return event.text
        case ToolCall():
            return f"▸ {event.name} {event.summary}".rstrip()
        case LimitSeen():
            return f"limit: {event.kind.replace('_', ' ')}"
        case ResultSeen():
            return "" if event.ok else f"failed: {event.error}"
        case Noticed():
            return event.text
    return ""


def _meets(rule: LimitRule, value: dict[str, Any]) -> bool:
    return all(fields.at(value, *path.split(".")) == wanted for path, wanted in rule.when.items())


def _add(a: Usage, b: Usage) -> Usage:
    return Usage(**{name: getattr(a, name) + getattr(b, name) for name in Usage.__struct_fields__})


def _subtract(total: Usage, before: Usage) -> Usage:
    """What is new in a count that goes on; a count that is lower than before started again from nothing."""
    if any(getattr(total, name) < getattr(before, name) for name in Usage.__struct_fields__):
        return total
    return Usage(**{name: getattr(total, name) - getattr(before, name) for name in Usage.__struct_fields__})
