"""The two wire forms that `model_api` speaks: Anthropic's Messages and OpenAI's Responses, as streams of events.

Sources: the streaming pages of both vendors' public API references. Only what Claude Code and Codex need is here.
"""

import json
import shlex
from collections.abc import Iterator
from typing import Any

Event = tuple[str, dict[str, Any]]


def anthropic(
    number: int, model: str, text: str, tool: tuple[str, dict[str, Any]] | None, tokens: tuple[int, int]
) -> Iterator[Event]:
    """The events of one assistant message: some text, then at most one tool call. `tokens` are input and output."""
    usage = {
        "input_tokens": tokens[0],
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": 0,
        "output_tokens": 1,
    }
    message: dict[str, Any] = {
        "id": f"msg_{number:08}",
        "type": "message",
        "role": "assistant",
        "model": model,
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
        "usage": usage,
    }
    yield "message_start", {"message": message}
    index = 0
    if text:
        yield "content_block_start", {"index": index, "content_block": {"type": "text", "text": ""}}
        yield "content_block_delta", {"index": index, "delta": {"type": "text_delta", "text": text}}
        yield "content_block_stop", {"index": index}
        index += 1
    if tool is not None:
        name, arguments = tool
        block = {"type": "tool_use", "id": f"toolu_{number:08}", "name": name, "input": {}}
        delta = {"type": "input_json_delta", "partial_json": json.dumps(arguments)}
        yield "content_block_start", {"index": index, "content_block": block}
        yield "content_block_delta", {"index": index, "delta": delta}
        yield "content_block_stop", {"index": index}
    reason = "end_turn" if tool is None else "tool_use"
    yield (
        "message_delta",
        {"delta": {"stop_reason": reason, "stop_sequence": None}, "usage": {"output_tokens": tokens[1]}},
    )
    yield "message_stop", {}


def responses(
    number: int, model: str, text: str, tool: tuple[str, dict[str, Any]] | None, tokens: tuple[int, int]
) -> Iterator[Event]:
    """The events of one response: some text, then at most one function call. `tokens` are input and output."""
    identity = f"resp_{number:08}"
    yield (
        "response.created",
        {"response": {"id": identity, "object": "response", "model": model, "status": "in_progress"}},
    )
    output: list[dict[str, Any]] = []
    if text:
        content = [{"type": "output_text", "text": text, "annotations": []}]
        output.append(
            {
                "type": "message",
                "id": f"msg_{number:08}",
                "role": "assistant",
                "status": "completed",
                "content": content,
            }
        )
    if tool is not None:
        name, arguments = tool
        call = {"type": "function_call", "id": f"fc_{number:08}", "call_id": f"call_{number:08}", "name": name}
        output.append({**call, "arguments": json.dumps(arguments), "status": "completed"})
    for index, item in enumerate(output):
        yield "response.output_item.added", {"output_index": index, "item": item}
        yield "response.output_item.done", {"output_index": index, "item": item}
    usage = {
        "input_tokens": tokens[0],
        "input_tokens_details": {"cached_tokens": 0},
        "output_tokens": tokens[1],
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": sum(tokens),
    }
    done = {
        "id": identity,
        "object": "response",
        "model": model,
        "status": "completed",
        "output": output,
        "usage": usage,
    }
    yield "response.completed", {"response": done}


def encode(event: Event) -> bytes:
    """One server-sent event; the data repeats its type, as both vendors' do."""
    name, data = event
    return f"event: {name}\ndata: {json.dumps({'type': name, **data})}\n\n".encode()


def shell_call(offered: list[str], command: str) -> tuple[str, dict[str, Any]]:
    """The tool call that runs a shell line, with the tool that the client offers."""
    if "Bash" in offered:
        return "Bash", {"command": command, "description": "Runs a command"}
    if "exec_command" in offered:
        return "exec_command", {"cmd": command}
    if "shell_command" in offered:
        return "shell_command", {"command": command}
    return "shell", {"command": ["sh", "-c", command]}


def write_call(offered: list[str], cwd: str | None, path: str, text: str) -> tuple[str, dict[str, Any]]:
    """The tool call that writes a file of the workspace: the client's own tool where it has one, else a shell line."""
    if "Write" in offered and cwd:
        return "Write", {"file_path": f"{cwd}/{path}", "content": text}
    where = shlex.quote(path)
    return shell_call(offered, f"mkdir -p $(dirname {where}) && printf %s {shlex.quote(text)} > {where}")
