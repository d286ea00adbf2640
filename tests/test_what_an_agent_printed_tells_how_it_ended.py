"""From what the real agents were seen to print, the readers draw the right conclusion."""

import json
from datetime import UTC
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from marathond.agents import registry
from marathond.agents.readers import Conclusion, Ending, make, read_conclusion
from marathond.agents.readers.base import Cause
from marathond.domain.entries import Outcome, Usage
from marathond.domain.limits import FINAL_TEXT_BYTES_MAX, OUTPUT_LINE_BYTES_MAX
from tests.support.record_agents import DATA, RESET, SITUATIONS, UNKNOWN_THREAD

AGENTS = registry.load(None)
ENDED_US = (RESET - 7200) * 1_000_000
GOOD = ("claude-ok", "codex-ok", "codex-continued")

OUTCOMES: dict[str, Outcome] = {
    "claude-ok": "ok",
    "claude-quota-subscription": "quota",
    "claude-quota-key": "rate_limit",  # with an API key there is no word of a quota, and no reset
    "claude-429-subscription": "rate_limit",
    "claude-429-key": "rate_limit",
    "claude-529": "overloaded",
    "claude-500": "overloaded",
    "claude-401-key": "auth",
    "claude-401-subscription": "auth",
    "claude-403": "auth",
    "claude-no-credentials": "auth",
    "claude-credit": "billing",
    "claude-context": "context",
    "claude-404": "error",
    "claude-refusal": "refused",
    "claude-cut": "network",
    "claude-cut-cleanly": "error",  # exit 0, "success", no error flag: only the stop reason is missing
    "claude-error-in-stream": "overloaded",
    "claude-nothing-listens": "network",
    "claude-unknown-thread": "error",
    "claude-thread-in-use": "error",
    "codex-ok": "ok",
    "codex-continued": "ok",
    "codex-quota": "quota",
    "codex-429": "rate_limit",
    "codex-insufficient-quota": "billing",
    "codex-503": "overloaded",
    "codex-500": "overloaded",
    "codex-401": "auth",
    "codex-context": "context",
    "codex-cut": "network",
    "codex-unknown-thread": "error",
    "codex-no-credentials": "auth",
}


def conclude(name: str, cause: Cause = "exit", code: int | None = None, previous: Usage | None = None) -> Conclusion:
    exit_code = code if code is not None else 0 if OUTCOMES[name] == "ok" or name == "claude-cut-cleanly" else 1
    ending = Ending(cause=cause, ended_us=ENDED_US, exit_code=exit_code, zone=UTC)
    profile = AGENTS.get(name.partition("-")[0])
    return read_conclusion(profile, DATA / f"{name}.jsonl", DATA / f"{name}.stderr", ending, previous=previous)


def read(
    agent: str, lines: list[str], code: int = 0, cause: Cause = "exit", signal: int | None = None, errors: str = ""
) -> Conclusion:
    reader = make(AGENTS.get(agent))
    for line in lines:
        reader.feed(line)
    ending = Ending(cause=cause, ended_us=ENDED_US, exit_code=None if signal else code, signal=signal, zone=UTC)
    return reader.conclude(ending, errors)


def recorded(name: str) -> list[str]:
    return (DATA / f"{name}.jsonl").read_text().splitlines()


def test_every_situation_is_recorded_and_judged() -> None:
    """No situation is recorded without a verdict, and no verdict lacks its recording."""
    assert set(OUTCOMES) == set(SITUATIONS) == {path.stem for path in DATA.glob("*.jsonl")}


@pytest.mark.parametrize("name", OUTCOMES)
def test_the_outcome_is_right(name: str) -> None:
    """Each recorded run comes to the outcome that its API's behaviour means, with a reason unless it went well."""
    concluded = conclude(name)
    assert concluded.outcome == OUTCOMES[name]
    assert bool(concluded.error) == (concluded.outcome != "ok")


def test_an_exit_code_of_0_is_not_enough() -> None:
    """Without a terminal event a run failed, although its exit code is 0."""
    for name in GOOD:
        agent = name.partition("-")[0]
        assert read(agent, recorded(name)[:-1]).outcome == "error"
        assert read(agent, []).outcome == "error"


def test_a_success_with_an_error_flag_is_a_failure() -> None:
    """Claude Code says `subtype: success` when its API failed; the flag counts, whatever the exit code."""
    assert '"subtype":"success","is_error":true' in recorded("claude-529")[-1]
    assert conclude("claude-529", code=0).outcome == "overloaded"


def test_a_bad_exit_code_after_success_is_a_failure() -> None:
    """A run that said it was done and then failed to exit well is no success."""
    assert conclude("claude-ok", code=1).outcome == "error"
    assert read("claude", recorded("claude-ok"), signal=9).outcome == "crashed"


def test_a_process_that_lingers_after_its_success_did_succeed() -> None:
    """The agent's last word holds when only its leftover process ran into the timeout or fell silent."""
    assert conclude("claude-ok", cause="idle", code=143).outcome == "ok"
    assert conclude("codex-ok", cause="timeout", code=143).outcome == "ok"


def test_how_a_run_was_ended_is_told() -> None:
    """Timeout, silence, a stop, a failed set-up, a failed start, a signal: each has its own outcome."""
    begun = recorded("claude-ok")[:3]
    for cause, outcome in (
        ("timeout", "timeout"),
        ("idle", "idle"),
        ("stopped", "interrupted"),
        ("setup_failed", "setup_failed"),
        ("spawn_failed", "not_started"),
    ):
        assert read("claude", begun, cause=cause, code=143).outcome == outcome  # type: ignore[arg-type]
    assert read("claude", begun, signal=9).outcome == "crashed"
    assert read("claude", begun, code=143).outcome == "crashed"


def test_silence_while_the_api_is_retried_is_the_apis_trouble() -> None:
    """An agent that hangs in its own retries is judged by what the API last answered, until the model answers again."""
    retry = (
        '{"type":"system","subtype":"api_retry","attempt":3,"max_retries":10,"error_status":529,"error":"overloaded"}'
    )
    denied = retry.replace("529", "401")
    answer = recorded("claude-ok")[1]
    assert read("claude", [retry], cause="idle", code=143).outcome == "overloaded"
    assert read("claude", [denied], cause="idle", code=143).outcome == "auth"
    assert read("claude", [retry, answer], cause="idle", code=143).outcome == "idle"
    again = '{"type":"error","message":"Reconnecting... 1/5 (stream disconnected)"}'
    assert read("codex", [again], cause="idle", code=143).outcome == "network"


def test_a_stated_reset_is_kept_exactly() -> None:
    """A reset that comes as a number is taken to the second; one that comes as text gets the slack of its rounding."""
    assert conclude("claude-quota-subscription").reset == RESET * 1_000_000
    assert conclude("codex-quota").reset == (RESET - RESET % 60 + 60) * 1_000_000
    assert conclude("claude-429-key").reset is None


def test_the_text_and_the_thread_are_the_last_ones() -> None:
    """The final text is the agent's last message, and the thread is the one that can be continued."""
    claude, codex = conclude("claude-ok"), conclude("codex-ok")
    assert claude.text == codex.text == "All done."
    assert claude.thread == json.loads(recorded("claude-ok")[0])["session_id"]
    assert codex.thread == json.loads(recorded("codex-ok")[0])["thread_id"]


def test_a_lost_thread_is_not_continued_again() -> None:
    """An agent that does not know the thread it should resume says so; the thread is not offered any more."""
    for name in ("claude-unknown-thread", "codex-unknown-thread"):
        concluded = conclude(name)
        assert concluded.thread_lost
        assert concluded.thread is None
    assert UNKNOWN_THREAD in conclude("claude-unknown-thread").error


def test_a_taken_thread_can_be_continued() -> None:
    """A chosen id that exists already is an earlier try's: the next attempt can go on in it."""
    concluded = conclude("claude-thread-in-use")
    assert concluded.thread is not None
    assert concluded.thread in concluded.error


def test_usage_is_the_runs_own() -> None:
    """Claude's usage is its result's, never the sum of its events; Codex's is what its thread gained in this run."""
    assert conclude("claude-ok").usage == Usage(input_tokens=3000, output_tokens=150, cost_microusd=18_750)
    before = conclude("codex-ok").usage
    assert before == Usage(input_tokens=3000, output_tokens=150)
    assert conclude("codex-continued", previous=before).usage == Usage(input_tokens=1000, output_tokens=50)
    restarted = Usage(input_tokens=9000, output_tokens=100)
    assert conclude("codex-continued", previous=restarted).usage == Usage(input_tokens=4000, output_tokens=200)


def test_codex_input_is_counted_without_what_the_cache_served() -> None:
    """The four buckets never overlap: cached input is taken out of Codex's input count."""
    usage = {"input_tokens": 1000, "cached_input_tokens": 400, "cache_write_input_tokens": 0, "output_tokens": 5}
    concluded = read("codex", [json.dumps({"type": "turn.completed", "usage": usage})])
    assert concluded.usage == Usage(input_tokens=600, cache_read_tokens=400, output_tokens=5)


@pytest.mark.parametrize("name", GOOD)
def test_output_that_is_cut_anywhere_is_never_a_success(name: str, tmp_path: Path) -> None:
    """Whatever the byte at which the output ends: nothing breaks, and only the whole of it is a success."""
    whole = (DATA / f"{name}.jsonl").read_bytes().rstrip(b"\n")
    output = tmp_path / "output"
    ending = Ending(cause="exit", ended_us=ENDED_US, exit_code=0)
    for cut in [*range(0, len(whole), 97), len(whole) - 1]:
        output.write_bytes(whole[:cut])
        assert read_conclusion(AGENTS.get(name.partition("-")[0]), output, tmp_path / "none", ending).outcome != "ok"


@settings(max_examples=50, deadline=None)
@given(st.lists(st.one_of(st.text(), st.recursive(st.none() | st.integers() | st.text(), lambda x: st.dictionaries(
    st.sampled_from(["type", "item", "message", "content", "usage", "result", "error", "subtype", "text"]), x) | st.lists(x)).map(json.dumps))))  # fmt: skip
def test_no_line_breaks_a_reader(lines: list[str]) -> None:
    """Garbage, other JSON and events of unknown shape are passed over, and never make a success."""
    for agent in ("claude", "codex", "scripted"):
        assert read(agent, lines).outcome != "ok"


def test_events_of_strange_shape_are_passed_over() -> None:
    """Known events whose fields have other types do not break a reader."""
    strange = (None, 7, "x", [], {}, [None], {"content": 5}, {"content": [3]}, float("nan"), True)
    for kind in (
        "assistant",
        "result",
        "system",
        "item.completed",
        "item.started",
        "turn.completed",
        "turn.failed",
        "usage",
        "limit",
    ):
        for value in strange:
            fields = dict.fromkeys(
                ("message", "item", "usage", "error", "errors", "subtype", "session_id", "reset"), value
            )
            for agent in ("claude", "codex", "scripted"):
                read(agent, [json.dumps({"type": kind, **fields})], code=1)


def test_giant_lines_and_broken_utf8_are_survived(tmp_path: Path) -> None:
    """A line over the limit is left out, broken UTF-8 is replaced, and what follows still counts."""
    output = tmp_path / "output"
    giant = b'{"type":"assistant","x":"' + b"a" * (OUTPUT_LINE_BYTES_MAX + 10) + b'"}\n'
    halves = b'{"type":"assistant","message":{"content":[{"type":"text","text":"half \\ud83d"}]}}\n'
    output.write_bytes(giant + b"\xff\xfe\n" + halves + (DATA / "claude-ok.jsonl").read_bytes())
    ending = Ending(cause="exit", ended_us=ENDED_US, exit_code=0)
    assert read_conclusion(AGENTS.get("claude"), output, tmp_path / "none", ending).outcome == "ok"


def test_long_texts_are_cut_to_what_an_entry_holds() -> None:
    """A final text is at most as long as the ledger takes, and stays whole characters."""
    said = json.dumps({"type": "item.completed", "item": {"type": "agent_message", "text": "é" * 40_000}})
    text = read("codex", [said, '{"type":"turn.completed"}']).text
    assert FINAL_TEXT_BYTES_MAX - 4 <= len(text.encode()) <= FINAL_TEXT_BYTES_MAX


def test_plain_programs_are_judged_by_their_exit_code() -> None:
    """For text the exit code is all there is; the text is what was printed, the error what stderr said last."""
    assert read("command", ["one", "two"]) == Conclusion(outcome="ok", text="one\ntwo")
    failed = read("command", ["one"], code=2, errors="no such thing")
    assert (failed.outcome, failed.error) == ("error", "no such thing\n(exit code 2)")
    assert read("command", ["one"], signal=9).outcome == "crashed"
