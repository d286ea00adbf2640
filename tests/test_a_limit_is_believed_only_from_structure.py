"""What an agent writes about limits, or what its tools print, never counts as a limit."""

import json
from datetime import UTC

import msgspec
import pytest

from marathond.agents import registry
from marathond.agents.profile import LimitRule
from marathond.agents.readers import Conclusion, Ending, make
from tests.support.record_agents import DATA

AGENTS = registry.load(None)
NOW_US = 1_795_000_000_000_000
CLAIM = "You've hit your session limit · resets 6:30pm (UTC)"
EVENT = {"type": "rate_limit_event", "rate_limit_info": {"status": "rejected", "resetsAt": 1_795_003_600}}
FAILED = {
    "type": "result",
    "subtype": "success",
    "is_error": True,
    "api_error_status": 500,
    "result": "API Error: 500",
    "stop_reason": "x",
}


def claude(*events: dict[str, object], code: int = 1) -> Conclusion:
    return run("claude", *events, code=code)


def run(agent: str, *events: dict[str, object], code: int = 1, errors: str = "") -> Conclusion:
    reader = make(AGENTS.get(agent))
    for event in events:
        reader.feed(json.dumps(event, ensure_ascii=False))
    return reader.conclude(Ending(cause="exit", ended_us=NOW_US, exit_code=code, zone=UTC), errors)


def said(text: str, model: str = "claude-opus-4-8") -> dict[str, object]:
    return {"type": "assistant", "message": {"model": model, "content": [{"type": "text", "text": text}]}}


def printed(text: str) -> dict[str, object]:
    return {"type": "user", "message": {"content": [{"type": "tool_result", "content": text}]}}


def test_an_agent_that_writes_of_a_limit_met_none() -> None:
    """Text of the agent or of a tool that looks like a limit leaves a failure what it was."""
    for event in (said(CLAIM), printed(CLAIM), printed(json.dumps(EVENT)), said(json.dumps(EVENT))):
        assert claude(event, FAILED).outcome == "overloaded"
        assert claude(event).outcome == "error"


def test_a_success_that_writes_of_a_limit_is_a_success() -> None:
    """A final text that quotes a limit message is the agent's own word on its work."""
    good = {**FAILED, "is_error": False, "api_error_status": None, "result": CLAIM, "stop_reason": "end_turn"}
    assert claude(said(CLAIM), good, code=0).outcome == "ok"
    codex = {
        "type": "item.completed",
        "item": {"type": "agent_message", "text": "You’ve hit your usage limit. try again at 6:30 PM."},
    }
    assert run("codex", codex, {"type": "turn.completed"}, code=0).outcome == "ok"
    assert run("codex", codex, {"type": "turn.failed", "error": {"message": "boom"}}).outcome == "error"


def test_an_event_that_allows_is_no_limit() -> None:
    """`rate_limit_event` also comes in good runs; only a rejected one counts."""
    allowed = {"type": "rate_limit_event", "rate_limit_info": {"status": "allowed_warning", "resetsAt": 1_795_003_600}}
    assert claude(allowed, FAILED).outcome == "overloaded"
    assert claude(EVENT, FAILED).outcome == "quota"


def test_a_rejection_that_was_overcome_is_over() -> None:
    """When the model answered after a rejected call, a later failure has another cause."""
    assert claude(EVENT, said("going on"), FAILED).outcome == "overloaded"


def test_a_rejection_without_a_reset_is_a_passing_limit() -> None:
    """A plain 429 also says `rejected`, but states no reset: that is the API's trouble, not a spent quota."""
    plain = {"type": "rate_limit_event", "rate_limit_info": {"status": "rejected"}}
    assert (
        claude(plain, said("", "<synthetic>") | {"error": "rate_limit"}, {**FAILED, "api_error_status": 429}).outcome
        == "rate_limit"
    )


def test_a_limit_that_old_versions_print_as_a_success_is_seen() -> None:
    """The CLI's own messages have the model `<synthetic>`: as a final text they are its error, whatever the flag says."""
    text = "Claude AI usage limit reached|1795003600"
    quiet = {**FAILED, "is_error": False, "result": text, "stop_reason": None}
    concluded = claude(said(text, "<synthetic>"), quiet, code=0)
    assert (concluded.outcome, concluded.reset) == ("quota", 1_795_003_600_000_000)
    assert claude(said(text), {**quiet, "stop_reason": "end_turn"}, code=0).outcome == "ok"


@pytest.mark.parametrize(
    "text",
    [
        CLAIM,
        "You've hit your weekly limit · resets Nov 20, 6:41am (UTC)",
        "You've hit your limit · resets 7:10am (America/Chicago)",
        "Claude usage limit reached. Your limit will reset at 9am (America/Chicago).",
        "5-hour limit reached ∙ resets 11pm",
    ],
)
def test_every_known_wording_of_a_final_error_is_a_quota(text: str) -> None:
    """All wordings that versions of Claude Code were seen or reported to use state a quota and its reset."""
    concluded = claude({**FAILED, "result": text, "api_error_status": 429})
    assert concluded.outcome == "quota"
    assert concluded.reset is not None
    assert NOW_US < concluded.reset <= NOW_US + 8 * 86_400_000_000


def test_rules_of_a_plain_program_see_its_last_error_line_alone() -> None:
    """A text agent's rule is matched against the last line of stderr: not against stdout, nor what came before."""
    rule = LimitRule(where="final_error", regex=r"^quota spent until (?P<when>\d+)$", kind="quota")
    profile = msgspec.structs.replace(AGENTS.get("command"), limits=(rule,))

    def outcome(output: str, errors: str, code: int = 1) -> str:
        reader = make(profile)
        reader.feed(output)
        return reader.conclude(Ending(cause="exit", ended_us=NOW_US, exit_code=code), errors).outcome

    line = "quota spent until 1795003600"
    assert outcome("", f"starting\n{line}") == "quota"
    assert outcome(line, "") == "error"
    assert outcome("", f"{line}\nTraceback") == "error"
    assert outcome("", line, code=0) == "ok"


def test_the_recorded_quota_is_seen_in_a_run_that_was_cut_off() -> None:
    """A rejected event counts although the process was ended before its result."""
    reader = make(AGENTS.get("claude"))
    for line in (DATA / "claude-quota-subscription.jsonl").read_text().splitlines()[:2]:
        reader.feed(line)
    concluded = reader.conclude(Ending(cause="idle", ended_us=NOW_US, exit_code=143))
    assert concluded.outcome == "quota"
