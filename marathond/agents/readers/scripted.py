"""The reader for the scripted agent's JSON lines (see `marathond/agents/scripted.py`)."""

from typing import Any, cast, get_args

from marathond.agents.profile import LimitKind
from marathond.agents.readers import fields
from marathond.agents.readers.base import (
    Event,
    LimitSeen,
    Noticed,
    Reader,
    ResultSeen,
    Said,
    ThreadSeen,
    ToolCall,
    UsageSeen,
)
from marathond.domain.entries import Usage


class ScriptedReader(Reader):
    """Each line is one action that was played; `finished` and `limit` are terminal."""

    def _events(self, value: dict[str, Any]) -> list[Event]:
        match fields.text(value, "type"):
            case "started":
                thread = fields.text(value, "thread")
                return [ThreadSeen(thread)] if thread else []
            case "said":
                return [Said(fields.text(value, "text"))]
            case "tool":
                return [ToolCall(fields.text(value, "name"), fields.text(value, "summary"))]
            case "output":
                return [Noticed(fields.text(value, "text"))]
            case "usage":
                return [UsageSeen(Usage(**{name: fields.count(value, name) for name in Usage.__struct_fields__}))]
            case "limit":
                return self._limited(value)
            case "finished":
                ok = fields.at(value, "ok") is True
                return [ResultSeen(ok, fields.text(value, "text"), fields.text(value, "error"))]
        return []

    def _limited(self, value: dict[str, Any]) -> list[Event]:
        kind = fields.text(value, "kind")
        if kind not in get_args(LimitKind):
            return []
        reset = fields.at(value, "reset")
        stated = reset if isinstance(reset, int) and not isinstance(reset, bool) else None
        return [LimitSeen(cast("LimitKind", kind), stated)]
