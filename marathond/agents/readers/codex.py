"""The reader for `codex exec --json`, as version 0.169.0 was seen to print it.

What misleads in it, and what is done about it:

- `error` events and items may be warnings or retries: only `turn.failed` and `turn.completed` are terminal;
- usage counts over the whole thread and includes what the cache served: the profile says so, and both are subtracted;
- there is no error code: the kind of a failure is read from the failed turn's own message.
"""

import re
from typing import Any, Final

from marathond.agents.profile import LimitKind
from marathond.agents.readers import fields
from marathond.agents.readers.base import (
    Conclusion,
    Ending,
    Event,
    Noticed,
    Reader,
    ResultSeen,
    Said,
    ThreadSeen,
    ToolCall,
    UsageSeen,
)
from marathond.domain.entries import Usage

SUMMARY_CHARS_MAX: Final = 200

_KINDS: Final[tuple[tuple[str, LimitKind], ...]] = (
    (r"^exceeded retry limit, last status: 429", "rate_limit"),
    (r"^exceeded retry limit, last status: 5\d\d", "overloaded"),
    (r"^Quota exceeded\. Check your plan", "billing"),
    (r"^Selected model is at capacity", "overloaded"),
    (r"^(We're|We’re) currently experiencing high demand", "overloaded"),
    (r"^unexpected status 40[13]\b", "auth"),
    (r"^unexpected status 429\b", "rate_limit"),
    (r"^unexpected status 5\d\d\b", "overloaded"),
    (r"^(exceeded retry limit, last status|unexpected status:?) 40[13]\b", "auth"),
    (r"^Missing environment variable: ", "auth"),
    (r"^Codex ran out of room", "context"),
    (r"^(stream disconnected before completion|error sending request|Connection failed|request timed out)", "network"),
)
_THREAD_LOST: Final = re.compile(r"^Error: thread/resume: .*no rollout found for thread id", re.MULTILINE)


class CodexReader(Reader):
    """One JSON object a line; `turn.completed` and `turn.failed` are terminal."""

    def conclude(self, ending: Ending, errors_tail: str = "", *, previous: Usage | None = None) -> Conclusion:
        """As every reader's; a thread that the CLI does not know is told on stderr alone."""
        if self.result is None and _THREAD_LOST.search(errors_tail):
            self.thread_lost = True
        return super().conclude(ending, errors_tail, previous=previous)

    def _events(self, value: dict[str, Any]) -> list[Event]:
        match fields.text(value, "type"):
            case "thread.started":
                thread = fields.text(value, "thread_id")
                return [ThreadSeen(thread)] if thread else []
            case "item.started" | "item.completed" as what:
                return self._item(value.get("item"), started=what == "item.started")
            case "turn.completed":
                return [UsageSeen(_usage(value)), ResultSeen(True, self._said)]
            case "turn.failed":
                error = fields.text(value, "error", "message") or "the turn failed"
                return [ResultSeen(False, "", error, _kind(error))]
            case "error":
                message = fields.text(value, "message")
                return [Noticed(message, _trouble(message))]
        return []

    def _item(self, item: Any, *, started: bool) -> list[Event]:
        match fields.text(item, "type"), started:
            case "agent_message", False:
                self._answered()
                return [Said(fields.text(item, "text"))]
            case "command_execution", True:
                self._answered()
                return [ToolCall("shell", fields.text(item, "command").split("\n")[0][:SUMMARY_CHARS_MAX])]
            case "file_change", False:
                paths = [fields.text(change, "path") for change in fields.items(item, "changes")]
                return [ToolCall("edit", ", ".join(paths)[:SUMMARY_CHARS_MAX])]
            case "mcp_tool_call", True:
                return [ToolCall(fields.text(item, "tool"), fields.text(item, "server"))]
            case "error", False:
                return [Noticed(fields.text(item, "message"))]
        return []


def _kind(error: str) -> LimitKind | Any:
    return next((kind for pattern, kind in _KINDS if re.search(pattern, error)), "error")


def _trouble(message: str) -> LimitKind | None:
    """A retry under way; other `error` events are warnings, or what `turn.failed` is about to repeat."""
    return "network" if message.startswith("Reconnecting...") else None


def _usage(value: dict[str, Any]) -> Usage:
    return Usage(
        input_tokens=fields.count(value, "usage", "input_tokens"),
        output_tokens=fields.count(value, "usage", "output_tokens"),
        cache_read_tokens=fields.count(value, "usage", "cached_input_tokens"),
        cache_write_tokens=fields.count(value, "usage", "cache_write_input_tokens"),
    )
