"""The picture of a session in work: a line per task, in as many rows as there are."""

import json
from collections import Counter
from typing import Any

from marathonctl.render.style import Style
from marathonctl.render.text import clean, due, duration, epoch, fit, pad, plural, short, width

Line = tuple[str, str]
"""The same line twice: plain, to be measured, and painted, to be written."""

_LIVE = ("running", "dispatched")
_ORDER = (
    "running",
    "dispatched",
    "held",
    "waiting",
    "retrying",
    "failed",
    "ready",
    "pending",
    "skipped",
    "cancelled",
    "done",
)
_NAME_COLUMNS_MAX = 28


class Progress:
    """What the live view knows beyond the status: attempts granted and time spent per task."""

    def __init__(self) -> None:
        self._attempts: dict[str, int] = {}
        self._spent_ms: Counter[str] = Counter()

    def learn(self, contract: str) -> None:
        """Reads the tasks' attempts from the frozen contract's text."""
        self._attempts = {task["id"]: task.get("attempts", 0) for task in json.loads(contract)["tasks"]}

    def absorb(self, record: dict[str, Any]) -> None:
        """Adds up the time of finished attempts."""
        if record["kind"] == "attempt.finished":
            self._spent_ms[record["body"]["task"]] += record["body"].get("elapsed_ms", 0)

    def lines(
        self, status: dict[str, Any], style: Style, columns: int, rows: int, now: float, note: str = ""
    ) -> list[Line]:
        """The whole picture: head, tasks and footer, each line at most `columns` wide, at most `rows` of them."""
        tasks = status["tasks"]
        room = max(1, rows - 3)
        shown = tasks if len(tasks) <= room else _most_telling(tasks, max(1, room - 1))
        name_columns = min(
            _NAME_COLUMNS_MAX, max(8, columns // 3), max((width(clean(t["id"])) for t in shown), default=0)
        )
        body = [self._task(task, style, columns, name_columns, now) for task in shown]
        if len(shown) < len(tasks) and room > 1:  # in a single row a task says more than a count
            rest = fit(f"    and {plural(len(tasks) - len(shown), 'more task')}", columns)
            body.append((rest, style.paint(rest, "dim")))
        return [_head(status, style, columns), *body, _footer(status, style, columns, note)]

    def _task(self, task: dict[str, Any], style: Style, columns: int, name_columns: int, now: float) -> Line:
        name = pad(fit(clean(task["id"]), name_columns), name_columns)
        elapsed = self._elapsed(task, now).rjust(6)
        granted = self._attempts.get(task["id"])
        count = f"{task['attempts']}/{granted}" if granted and task["attempts"] else ""
        middle = f"{name}  {elapsed}  {count:<5}  "
        said = fit(_telling(task, now), max(0, columns - 3 - width(middle)))
        if not said:  # a very narrow terminal
            middle = fit(middle.rstrip(), max(0, columns - 3))
        dim = () if task["state"] in (*_LIVE, "failed", "held") else ("dim",)
        return f" x {middle}{said}", f" {style.sign(task['state'])} {middle}{style.paint(said, *dim)}"

    def _elapsed(self, task: dict[str, Any], now: float) -> str:
        ms = float(self._spent_ms[task["id"]])
        if task["state"] in _LIVE and task.get("started_at"):
            ms += max(0.0, now - epoch(task["started_at"])) * 1000
        return duration(round(ms, -3) if ms >= 1000 else ms) if ms else ""


def _most_telling(tasks: list[dict[str, Any]], room: int) -> list[dict[str, Any]]:
    """The tasks that tell most, in the contract's order."""
    rank = {state: position for position, state in enumerate(_ORDER)}
    chosen = sorted(range(len(tasks)), key=lambda i: (rank.get(tasks[i]["state"], len(rank)), i))[:room]
    return [tasks[i] for i in sorted(chosen)]


def _telling(task: dict[str, Any], now: float) -> str:
    """What is worth saying about a task in its state."""
    state, reason = task["state"], clean(task.get("reason") or "")
    if state in _LIVE:
        return clean(task.get("last_words") or "") or clean(task.get("agent") or "")
    if state == "done":
        return f"checkpoint {short(task['checkpoint'])}" if task.get("checkpoint") else "done"
    if task.get("due_at"):
        return f"{reason + ', ' if reason else ''}goes on {due(task['due_at'], now)}"
    if state == "pending" and not reason and task.get("needs"):
        return f"needs {', '.join(task['needs'])}"
    return reason or state


def _head(status: dict[str, Any], style: Style, columns: int) -> Line:
    left = f"{clean(status['name'])}{style.dot()}{status['session_id']}"
    left = fit(left, max(0, columns - len(status["state"]) - 2))
    gap = " " * max(1, columns - width(left) - len(status["state"]))
    plain = left + gap + status["state"]
    return plain, style.paint(left, "bold") + gap + style.state(status["state"])


def _footer(status: dict[str, Any], style: Style, columns: int, note: str) -> Line:
    states = Counter(task["state"] for task in status["tasks"])
    parts = [f"{states['done']} of {plural(len(status['tasks']), 'task')} done"]
    parts += [f"{states[state]} {state}" for state in ("failed", "waiting", "retrying") if states[state]]
    if status.get("wall_used_ms"):
        parts.append(f"worked {duration(status['wall_used_ms'])}")
    if status.get("due_at") and status["state"] == "waiting":
        parts.append(f"goes on {due(status['due_at'])}")
    if note or status["state"] in ("running", "waiting"):
        parts.append(note or "Ctrl-C halts")
    plain = fit("  " + style.dot().join(parts), columns)
    return plain, style.paint(plain, "dim")
