"""The reader for Claude Code's `--output-format stream-json`, as version 2.1.197 was seen to print it.

What misleads in it, and what is done about it:

- an API failure is a `result` with `subtype: success`: only `is_error` counts;
- one API message is several `assistant` events, each with the usage of its start: only the `result`'s usage counts;
- an answer that was cut off cleanly is a success without a `stop_reason`;
- a limit's `rate_limit_event` also comes in good runs, as `allowed`: the profile's rule asks for `rejected`;
- old versions print a limit as a result without an error: a message whose model is `<synthetic>` is the CLI's own;
- a resume of an unknown thread is a `result` with `errors` and without text; a new thread whose id is taken (an earlier
  try got that far) is one line on stderr.
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
from marathond.domain.entries import Outcome, Usage

SYNTHETIC: Final = "<synthetic>"
IN_USE: Final = re.compile(r"^Error: Session ID ([0-9a-f-]{36}) is already in use\.", re.MULTILINE)
NO_CONVERSATION: Final = "No conversation found with session ID"
SUMMARY_FIELDS: Final = ("command", "file_path", "path", "pattern", "url", "query", "prompt", "description")
SUMMARY_CHARS_MAX: Final = 200

_BY_ERROR: Final[dict[str, Outcome]] = {
    "rate_limit": "rate_limit",
    "authentication_failed": "auth",
    "billing_error": "billing",
    "model_not_found": "error",
}


class ClaudeReader(Reader):
    """One JSON object a line; `result` is terminal."""

    _error_class = ""
    _synthetic = ""

    def conclude(self, ending: Ending, errors_tail: str = "", *, previous: Usage | None = None) -> Conclusion:
        """As every reader's; a chosen thread that exists already is told on stderr alone, and can be continued."""
        taken = IN_USE.search(errors_tail) if self.result is None else None
        if taken is not None:
            self.thread = taken[1]
        return super().conclude(ending, errors_tail, previous=previous)

    def _events(self, value: dict[str, Any]) -> list[Event]:
        events = self._threads(value)
        match fields.text(value, "type"), fields.text(value, "subtype"):
            case "assistant", _:
                events += self._assistant(value)
            case "system", "api_retry":
                events.append(_retry(value))
            case "system", "model_fallback":
                events.append(Noticed(f"falls back to the model {fields.text(value, 'fallback_model')}"))
            case "result", subtype:
                events += self._result(value, subtype)
        return events

    def _threads(self, value: dict[str, Any]) -> list[Event]:
        thread = fields.text(value, "session_id")
        # a failed --resume prints a `result` with a new id that belongs to no conversation
        if not thread or thread == self.thread or fields.text(value, "type") == "result":
            return []
        return [ThreadSeen(thread)]

    def _assistant(self, value: dict[str, Any]) -> list[Event]:
        blocks = fields.items(value, "message", "content")
        if fields.text(value, "message", "model") == SYNTHETIC:
            self._error_class = fields.text(value, "error")
            self._synthetic = "\n".join(fields.text(block, "text") for block in blocks)
            return [Noticed(self._synthetic)]
        self._answered()
        self._synthetic = self._error_class = ""
        own = fields.at(value, "parent_tool_use_id") is None
        events: list[Event] = []
        for block in blocks:
            match fields.text(block, "type"):
                case "text" if own and fields.text(block, "text").strip():
                    events.append(Said(fields.text(block, "text")))
                case "tool_use":
                    events.append(ToolCall(fields.text(block, "name"), _summary(block.get("input"))))
        return events

    def _result(self, value: dict[str, Any], subtype: str) -> list[Event]:
        usage = UsageSeen(
            Usage(
                input_tokens=fields.count(value, "usage", "input_tokens"),
                output_tokens=fields.count(value, "usage", "output_tokens"),
                cache_read_tokens=fields.count(value, "usage", "cache_read_input_tokens"),
                cache_write_tokens=fields.count(value, "usage", "cache_creation_input_tokens"),
                cost_microusd=fields.microusd(value, "total_cost_usd"),
            )
        )
        text = fields.text(value, "result")
        if fields.at(value, "is_error") is False and not self._is_own_error(text):
            if "stop_reason" in value and value["stop_reason"] is None:
                return [usage, ResultSeen(False, text, "the model's answer was cut off before its end")]
            return [usage, ResultSeen(True, text)]
        errors = fields.at(value, "errors")
        listed = [error for error in errors if isinstance(error, str)] if isinstance(errors, list) else []
        error = text or "; ".join(listed) or f"the run ended as {subtype or 'an error'}"
        self.thread_lost = any(NO_CONVERSATION in each for each in listed)
        return [usage, ResultSeen(False, "", error, self._kind(value, error))]

    def _is_own_error(self, text: str) -> bool:
        return bool(self._synthetic) and self._synthetic.strip() == text.strip()

    def _kind(self, value: dict[str, Any], error: str) -> Outcome:
        """The kind of failure, from the structured fields first."""
        reason = fields.text(value, "terminal_reason")
        if reason.startswith("aborted"):
            return "interrupted"
        if reason == "prompt_too_long":
            return "context"
        if fields.text(value, "stop_reason") == "refusal":
            return "refused"
        if self._error_class in _BY_ERROR:
            return _BY_ERROR[self._error_class]
        status = fields.at(value, "api_error_status")
        if isinstance(status, int) and not isinstance(status, bool):
            return _by_status(status) or "error"
        if self._error_class == "server_error":
            return "network"
        if self._error_class == "unknown":  # the stream broke off: only the CLI's own text tells how
            return "overloaded" if "Overloaded" in error else "network"
        return "error"


def _retry(value: dict[str, Any]) -> Noticed:
    status = fields.count(value, "error_status")
    trouble: LimitKind = _by_status(status) or "network"
    what = f"status {status}" if status else "no connection"
    attempt, most = fields.count(value, "attempt"), fields.count(value, "max_retries")
    return Noticed(f"the API failed ({what}); retry {attempt} of {most}", trouble)


def _by_status(status: int) -> LimitKind | None:
    if status in (401, 403):
        return "auth"
    if status == 402:
        return "billing"
    if status == 429:
        return "rate_limit"
    return "overloaded" if status >= 500 else None


def _summary(arguments: Any) -> str:
    for name in SUMMARY_FIELDS:
        found = fields.text(arguments, name)
        if found:
            return found.split("\n")[0][:SUMMARY_CHARS_MAX]
    return ""
