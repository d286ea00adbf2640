"""A scripted model API on loopback, for the real Claude Code and the real Codex.

    with ModelApi() as api:
        story = api.script([Write("a.txt", "hello\n"), Shell("make test"), Say("Done.")])
        run_claude(env=api.claude_env(home))
        assert story.requests == 3

A *script* is a list of steps; each model request takes the next one, and after the last the model says "Done.".
With several scripts, a request belongs to the first whose `match` is found in what the user said in it, so that parallel
agents each get their own. The steps are in `model_steps`.
"""

import json
import re
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Self

from tests.support import model_wire as wire
from tests.support.model_steps import Call, Cut, Hang, Refuse, Say, Shell, Step, Write


@dataclass
class Script:
    """Steps and how far they have been taken. `claimed` sums the tokens that the answers claimed: input, output."""

    steps: list[Step]
    match: str
    requests: int = 0
    claimed: tuple[int, int] = (0, 0)
    bodies: list[dict[str, Any]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    asked: threading.Event = field(default_factory=threading.Event)


class ModelApi:
    """The server; a context manager. `seen` lists (method, path) of everything that arrived."""

    def __init__(self) -> None:
        self.scripts: list[Script] = []
        self.seen: list[tuple[str, str]] = []
        self.closing = threading.Event()
        self._lock = threading.Lock()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
        self._server.daemon_threads = True
        self._server.api = self  # type: ignore[attr-defined]
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.closing.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(5)

    @property
    def url(self) -> str:
        """The base address, without a slash at its end."""
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def script(self, steps: Sequence[Step], match: str = "") -> Script:
        """Adds a script for the conversations whose user says `match` (every one, when empty)."""
        story = Script(list(steps), match)
        with self._lock:
            self.scripts.append(story)
        return story

    def claude_env(self, home: Path, *, oauth: bool = False) -> dict[str, str]:
        """What Claude Code needs to talk to this server from a home of its own, with an API key or as a subscriber."""
        (home / ".claude").mkdir(parents=True, exist_ok=True)
        key = (
            {"CLAUDE_CODE_OAUTH_TOKEN": "sk-ant-oat01-for-tests-only"}
            if oauth
            else {"ANTHROPIC_API_KEY": "sk-ant-api03-for-tests-only"}
        )
        return {"HOME": str(home), "CLAUDE_CONFIG_DIR": str(home / ".claude"), "ANTHROPIC_BASE_URL": self.url, **key}

    def codex_env(self, home: Path, *, retries: int = 0, idle_ms: int = 4000) -> dict[str, str]:
        """What Codex needs to talk to this server: a home with a `config.toml` that names it as the provider."""
        folder = home / ".codex"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "config.toml").write_text(
            f'model = "gpt-5-codex"\nmodel_provider = "loopback"\n[model_providers.loopback]\nname = "loopback"\n'
            f'base_url = "{self.url}/v1"\nenv_key = "OPENAI_API_KEY"\nwire_api = "responses"\n'
            f"request_max_retries = {retries}\nstream_max_retries = {retries}\nstream_idle_timeout_ms = {idle_ms}\n"
        )
        return {"HOME": str(home), "CODEX_HOME": str(folder), "OPENAI_API_KEY": "sk-for-tests-only"}

    def take(self, body: dict[str, Any], headers: dict[str, str]) -> tuple[Step, int]:
        """The step for a model request, and the request's number in its script."""
        said = json.dumps(body.get("messages", body.get("input", "")), ensure_ascii=False)
        with self._lock:
            story = next((story for story in self.scripts if story.match in said), None)
            if story is None:
                return Say("Done."), 0
            number = story.requests
            story.requests += 1
            story.bodies.append(body)
            story.headers.append(headers)
            step = story.steps[number] if number < len(story.steps) else Say("Done.")
            if isinstance(step, Say | Shell | Write | Call):
                story.claimed = (story.claimed[0] + step.tokens[0], story.claimed[1] + step.tokens[1])
            story.asked.set()
            return step, number


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    @property
    def api(self) -> ModelApi:
        return self.server.api  # type: ignore[attr-defined,no-any-return]

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name is the base class's
        """Says nothing: tests read `seen`."""

    def do_HEAD(self) -> None:
        self._json(200, {})

    def do_GET(self) -> None:
        self._json(200, {"object": "list", "data": [], "models": []})

    def do_POST(self) -> None:
        raw = self.rfile.read(int(self.headers.get("content-length", 0)))
        body = json.loads(raw or b"{}")
        path = self.path.partition("?")[0]
        if path.endswith("/messages"):
            self._answer(body, wire.anthropic)
        elif path.endswith("/responses"):
            self._answer(body, wire.responses)
        elif path.endswith("/count_tokens"):
            self._json(200, {"input_tokens": 1000})
        else:
            self._json(404, {"error": {"type": "not_found_error", "message": f"no {path} here"}})

    def _json(self, status: int, value: dict[str, Any], headers: dict[str, str] | None = None) -> None:
        self.api.seen.append((self.command, self.path))
        data = json.dumps(value).encode()
        self.send_response(status)
        for name, text in {
            "content-type": "application/json",
            "content-length": str(len(data)),
            **(headers or {}),
        }.items():
            self.send_header(name, text)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    def _answer(self, body: dict[str, Any], events: Any) -> None:
        step, number = self.api.take(body, {k.lower(): v for k, v in self.headers.items()})
        match step:
            case Refuse():
                self._json(step.status, step.body, step.headers)
            case Hang():
                self.api.closing.wait()
                self.close_connection = True
            case Cut():
                whole = list(events(number, body.get("model", "m"), step.text, None, (1000, 50)))
                half = [
                    event for event in whole if event[0] not in ("message_delta", "message_stop", "response.completed")
                ]
                if step.error is not None:
                    half.append(("error", {"error": {"type": step.error[0], "message": step.error[1]}}))
                self._stream(half, whole=step.clean or step.error is not None)
            case Say(stop=stop) if stop != "end_turn":
                self._stream(
                    [
                        _with_stop(event, stop)
                        for event in events(number, body.get("model", "m"), step.text, None, step.tokens)
                    ]
                )
            case _:
                call = _tool_call(step, body)
                self._stream(list(events(number, body.get("model", "m"), step.text, call, step.tokens)))

    def _stream(self, events: list[wire.Event], *, whole: bool = True) -> None:
        """Sends events in chunks; a stream that is not whole lacks the last one, so that clients see the break."""
        self.api.seen.append((self.command, self.path))
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.send_header("transfer-encoding", "chunked")
        self.end_headers()
        for event in events:
            data = wire.encode(event)
            self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))
        if whole:
            self.wfile.write(b"0\r\n\r\n")
        else:
            self.close_connection = True


def _with_stop(event: wire.Event, stop: str) -> wire.Event:
    name, data = event
    return (name, {**data, "delta": {"stop_reason": stop, "stop_sequence": None}}) if name == "message_delta" else event


def _tool_call(step: Step, body: dict[str, Any]) -> tuple[str, dict[str, Any]] | None:
    offered = [tool.get("name", "") for tool in body.get("tools", [])]
    match step:
        case Shell():
            return wire.shell_call(offered, step.command)
        case Write():
            return wire.write_call(offered, _working_directory(body), step.path, step.content)
        case Call():
            return step.name, step.arguments
    return None


def _working_directory(body: dict[str, Any]) -> str | None:
    """Where the agent works, as Claude Code tells its model."""
    found = re.search(r"[Ww]orking directory: (/[^\\\n\"]+)", json.dumps([body.get("system"), body.get("messages")]))
    return found[1] if found else None
