"""One task for people: what it is, and each of its attempts."""

from collections.abc import Mapping
from typing import Any

from marathonctl.render.style import Style
from marathonctl.render.text import clean, clock, duration, fit, short


def task_lines(task: Mapping[str, Any], style: Style, columns: int) -> list[str]:
    """The task's own lines, then those of its attempts."""
    head = f"{style.paint(clean(task['id']), 'bold')}  {style.state(task['state'])}"
    lines = [f"{style.sign(task['state'])} {head}  {style.paint('session ' + task['session_id'], 'dim')}"]
    if task.get("needs"):
        lines.append(f"  needs   {', '.join(task['needs'])}")
    if task.get("run"):
        lines.append(f"  run     {fit(clean(task['run']), columns - 10)}")
    if task.get("prompt"):
        lines.append(f"  agent   {clean(task['agent'])}")
        lines.append(f"  prompt  {fit(clean(task['prompt']), columns - 10)}")
    lines += [f"  check   {fit(clean(check['title']), columns - 10)}" for check in task["checks"]]
    for attempt in task["attempts"]:
        lines += ["", *_attempt_lines(attempt, style, columns)]
    if task.get("checkpoint"):
        lines += ["", f"  checkpoint {short(task['checkpoint'])}"]
    return lines


def _attempt_lines(attempt: Mapping[str, Any], style: Style, columns: int) -> list[str]:
    outcome = attempt.get("outcome") or "running"
    state = "done" if outcome == "ok" else "running" if outcome == "running" else "failed"
    facts = [attempt["mode"], style.state(state, outcome)]
    if attempt.get("elapsed_ms"):
        facts.append(duration(attempt["elapsed_ms"]))
    if attempt.get("started_at"):
        facts.append(style.paint(f"started {clock(attempt['started_at'])}", "dim"))
    lines = [f"  {style.sign(state)} attempt {attempt['attempt']}  " + style.dot().join(facts)]
    said = [clean(attempt[name]) for name in ("error", "text") if attempt.get(name)]
    lines += [f"      {fit(text, columns - 6)}" for text in said]
    if attempt.get("conflict_paths"):
        lines.append(f"      conflicts in {fit(', '.join(attempt['conflict_paths']), columns - 19)}")
    for check in attempt.get("checks") or ():
        sign = style.sign("pass" if check["ok"] else "fail")
        lines.append(f"      {sign} {fit(clean(check['title'] + ': ' + check['detail']), columns - 8)}")
    if attempt.get("candidate"):
        lines.append(style.paint(f"      candidate {short(attempt['candidate'])}", "dim"))
    usage = attempt.get("usage") or {}
    if any(usage.values()):
        lines.append(style.paint(f"      {_usage(usage)}", "dim"))
    return lines


def _usage(usage: Mapping[str, int]) -> str:
    read = usage.get("input_tokens", 0) + usage.get("cache_read_tokens", 0) + usage.get("cache_write_tokens", 0)
    cost = usage.get("cost_microusd", 0) / 1_000_000
    return f"{read:,} tokens in, {usage.get('output_tokens', 0):,} out" + (f", ${cost:.2f}" if cost else "")
