"""Records what the real agents print in each situation that their readers must understand.

    python -m tests.support.record_agents [NAME…]

writes tests/data/agents/NAME.jsonl and, where there is one, NAME.stderr. Run it after a CLI's pinned version was raised,
and read the difference: it is what the vendor changed.
"""

import re
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from tests.support.agent_runs import Workshop
from tests.support.model_api import ModelApi
from tests.support.model_steps import (
    Cut,
    Refuse,
    Say,
    Shell,
    Step,
    Write,
    claude_quota,
    codex_quota,
    overloaded,
    rate_limited,
    refusal,
)

DATA = Path(__file__).resolve().parents[1] / "data" / "agents"
RESET = 1_795_700_017  # 2026-11-26T13:33:37Z
WORK: list[Step] = [
    Write("sub/a.txt", "hello\n"),
    Shell("echo ran > b.txt; cat b.txt", "Running it."),
    Say("All done."),
]
UNKNOWN_THREAD = "11111111-1111-4111-8111-111111111111"


def always(step: Refuse | Cut) -> list[Step]:
    """The same answer, however often the agent retries."""
    return [step] * 15


def claude_in_use(shop: Workshop) -> None:
    """A thread id is chosen a second time."""
    shop.run("claude", [Say("One.")])
    shop.run("claude", WORK)


def codex_continued(shop: Workshop) -> None:
    """A thread is continued, so that usage goes on counting."""
    first = shop.run("codex", WORK)
    shop.run("codex", [Say("Again.")], mode="continue", thread=first.thread)


def simple(agent: str, steps: list[Step], **options: object) -> Callable[[Workshop], None]:
    """One run."""
    return lambda shop: void(shop.run(agent, steps, **options))


def void(_: object) -> None:
    """Drops a value."""


SITUATIONS: dict[str, Callable[[Workshop], None]] = {
    "claude-ok": simple("claude", WORK),
    "claude-quota-subscription": simple("claude", always(claude_quota(RESET)), oauth=True),
    "claude-quota-key": simple("claude", always(claude_quota(RESET))),
    "claude-429-subscription": simple("claude", always(rate_limited()), oauth=True),
    "claude-429-key": simple("claude", always(rate_limited())),
    "claude-529": simple("claude", always(overloaded())),
    "claude-500": simple("claude", always(refusal(500, "api_error", "Internal server error"))),
    "claude-401-key": simple("claude", always(refusal(401, "authentication_error", "invalid x-api-key"))),
    "claude-401-subscription": simple(
        "claude", always(refusal(401, "authentication_error", "Invalid token")), oauth=True
    ),
    "claude-403": simple("claude", always(refusal(403, "permission_error", "Forbidden"))),
    "claude-no-credentials": simple("claude", WORK, env={"ANTHROPIC_API_KEY": None}),
    "claude-credit": simple(
        "claude", always(refusal(400, "invalid_request_error", "Your credit balance is too low to access the API."))
    ),
    "claude-context": simple(
        "claude", always(refusal(400, "invalid_request_error", "prompt is too long: 210000 tokens > 200000 maximum"))
    ),
    "claude-404": simple("claude", always(refusal(404, "not_found_error", "model: none"))),
    "claude-refusal": simple("claude", [Say("I cannot", stop="refusal")]),
    "claude-cut": simple("claude", always(Cut())),
    "claude-cut-cleanly": simple("claude", always(Cut(clean=True))),
    "claude-error-in-stream": simple("claude", always(Cut(error=("overloaded_error", "Overloaded")))),
    "claude-nothing-listens": simple("claude", WORK, env={"ANTHROPIC_BASE_URL": "http://127.0.0.1:9"}),
    "claude-unknown-thread": simple("claude", WORK, mode="continue", thread=UNKNOWN_THREAD),
    "claude-thread-in-use": claude_in_use,
    "codex-ok": simple("codex", WORK),
    "codex-continued": codex_continued,
    "codex-quota": simple("codex", always(codex_quota(RESET))),
    "codex-429": simple("codex", always(rate_limited(1))),
    "codex-insufficient-quota": simple(
        "codex",
        always(refusal(429, "insufficient_quota", "You exceeded your current quota", code="insufficient_quota")),
    ),
    "codex-503": simple(
        "codex", always(refusal(503, "server_error", "overloaded", code="server_is_overloaded")), retries=1
    ),
    "codex-500": simple("codex", always(refusal(500, "server_error", "Internal server error"))),
    "codex-401": simple("codex", always(refusal(401, "invalid_request_error", "Incorrect API key"))),
    "codex-context": simple(
        "codex",
        always(refusal(400, "invalid_request_error", "Input exceeds the window", code="context_length_exceeded")),
    ),
    "codex-cut": simple("codex", always(Cut()), retries=1),
    "codex-unknown-thread": simple("codex", WORK, mode="continue", thread=UNKNOWN_THREAD),
    "codex-no-credentials": simple("codex", WORK, env={"OPENAI_API_KEY": None}),
}


def record(name: str) -> None:
    """Runs one situation and stores what the agent printed, without this machine's paths and ports."""
    with tempfile.TemporaryDirectory() as folder, ModelApi() as api:
        shop = Workshop(Path(folder) / "w", api)
        SITUATIONS[name](shop)
        agent = name.partition("-")[0]
        for kind, suffix in (("output", "jsonl"), ("errors", "stderr")):
            text = _scrub((shop.folder / f"{agent}-1.{kind}").read_text(), shop)
            (DATA / f"{name}.{suffix}").unlink(missing_ok=True)
            if text or kind == "output":
                (DATA / f"{name}.{suffix}").write_text(text)


def _scrub(text: str, shop: Workshop) -> str:
    for path, stand_in in ((shop.repo, "/home/dev/repo"), (shop.home, "/home/dev")):
        text = text.replace(str(path), stand_in).replace(re.sub(r"[/_]", "-", str(path)), stand_in.replace("/", "-"))
    return re.sub(r"127\.0\.0\.1:\d{2,5}", "127.0.0.1:8080", text)


if __name__ == "__main__":
    DATA.mkdir(parents=True, exist_ok=True)
    for situation in sys.argv[1:] or SITUATIONS:
        record(situation)
