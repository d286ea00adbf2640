"""Sessions for people: the status page, the list, and the last words of a session that was followed."""

from collections.abc import Mapping, Sequence
from typing import Any

from marathonctl.render.style import UNBOUNDED, Style
from marathonctl.render.table import table
from marathonctl.render.text import clean, due, duration, fit, home, plural, short, since, width

_REASONS_SHOWN = 5


def status_lines(status: Mapping[str, Any], style: Style, columns: int) -> list[str]:
    """The status page: head, tasks, what it waits for, and where the ledger stands."""
    lines = [_head(status, style, columns)]
    if status.get("goal"):
        lines.append(fit(clean(status["goal"]), columns))
    lines += [style.paint(fit("  " + style.dot().join(_facts(status)), columns), "dim"), ""]
    lines += task_lines(status["tasks"], style, columns)
    lines += reason_lines(status["reasons"], style, columns)
    lines += ["", style.paint(fit(_ledger(status), columns), "dim")]
    return lines


def task_lines(tasks: Sequence[Mapping[str, Any]], style: Style, columns: int) -> list[str]:
    """A line per task: sign, id, state, attempts, agent, and what is worth saying."""
    rows = [
        (
            fit(clean(task["id"]), _at_most(28, columns)),
            task["state"],
            f"{task['attempts']}×" if task["attempts"] and style.unicode else str(task["attempts"] or ""),
            clean(task.get("agent") or ""),
            _remark(task),
        )
        for task in tasks
    ]

    def paint(row: int, column: int, cell: str) -> str:
        if column == 1:
            return style.state(tasks[row]["state"], cell)
        return style.paint(cell, "dim") if column >= 2 else cell

    shown = table(rows, columns - 4, paint=paint)
    return [f"  {style.sign(task['state'])} {line}" for task, line in zip(tasks, shown, strict=True)]


def reason_lines(reasons: Sequence[Mapping[str, Any]], style: Style, columns: int) -> list[str]:
    """Why the session does not simply run, one line each, without what the tasks' own lines say already."""
    told = [reason for reason in reasons if reason["kind"] not in ("running", "ended", "dependency")]
    if not told:
        return []
    lines = [""]
    for reason in told:
        when = f", goes on {due(reason['due_at'])}" if reason.get("due_at") else ""
        text = fit(f"{reason['kind']}: {_told(reason)}{when}", columns - 2)
        lines.append("  " + style.paint(text, "yellow"))
    return lines


def list_lines(sessions: Sequence[Mapping[str, Any]], style: Style, columns: int) -> list[str]:
    """A line per session, newest first."""
    if not sessions:
        return ["No sessions. `marathonctl init` writes a contract, `marathonctl run FILE` starts it."]
    rows = [
        (
            session["session_id"],
            session["state"],
            f"{session['tasks_done']}/{session['tasks_total']}",
            since(session["created_at"]),
            fit(clean(session["name"]), _at_most(24, columns)),
            _where(session),
        )
        for session in sessions
    ]
    head = ("SESSION", "STATE", "TASKS", "AGE", "NAME", "RESULT OR FOLDER")

    def paint(row: int, column: int, cell: str) -> str:
        if row == 0:
            return style.paint(cell, "dim")
        return style.state(sessions[row - 1]["state"], cell) if column == 1 else cell

    return table([head, *rows], columns, paint=paint)


def last_words(status: Mapping[str, Any], style: Style) -> list[str]:
    """What is said when the following ends: the state, what came of it, and the command for what is next."""
    session, state = status["session_id"], status["state"]
    done = sum(task["state"] == "done" for task in status["tasks"])
    facts = [f"{done} of {plural(len(status['tasks']), 'task')}"]
    if status.get("wall_used_ms"):
        facts.append(f"worked {duration(status['wall_used_ms'])}")
    if status.get("branch"):
        facts.append(f"branch {clean(status['branch'])}")
    lines = [f"{style.sign(state)} {style.state(state)}{style.dot()}{style.dot().join(facts)}"]
    lines += [f"  {_told(reason)}" for reason in status["reasons"] if reason["kind"] == "branch"]
    if state in ("failed", "held", "waiting", "quarantined"):
        lines += [f"  {_told(reason)}" for reason in status["reasons"][:_REASONS_SHOWN]]
    if state == "waiting" and status.get("due_at"):
        lines.append(f"  It goes on by itself {due(status['due_at'])}.")
    return lines + _next_steps(session, state)


def _told(reason: Mapping[str, Any]) -> str:
    return f"{clean(reason['task'])}: {clean(reason['text'])}" if reason.get("task") else clean(reason["text"])


def _next_steps(session: str, state: str) -> list[str]:
    match state:
        case "failed":
            return [f"  `marathonctl why {session}` says where; `marathonctl retry {session}` tries again."]
        case "held":
            return [f"  Answer with `marathonctl answer {session} yes` (or no)."]
        case "halted":
            return [f"  Go on with `marathonctl resume {session} --follow`."]
        case "quarantined":
            return [f"  `marathonctl verify {session}` names what cannot be trusted."]
        case _:
            return []


def _head(status: Mapping[str, Any], style: Style, columns: int) -> str:
    state = status["state"]
    left = fit(f"{clean(status['name'])}  {status['session_id']}", max(0, columns - len(state) - 2))
    name, _, session = left.rpartition("  ")
    gap = "  " if columns == UNBOUNDED else " " * max(1, columns - width(left) - len(state))
    return f"{style.paint(name, 'bold')}  {session}{gap}{style.state(state)}" if name else f"{left}{gap}{state}"


def _at_most(cell: int, columns: int) -> int:
    """The width of a cell that must leave room for others; all it needs where there is no edge to run into."""
    return UNBOUNDED if columns == UNBOUNDED else cell


def _facts(status: Mapping[str, Any]) -> list[str]:
    facts = [home(clean(status["repo"])), f"created {since(status['created_at'])} ago"]
    if status.get("wall_used_ms"):
        facts.append(f"worked {duration(status['wall_used_ms'])}")
    if status.get("due_at"):
        facts.append(f"goes on {due(status['due_at'])}")
    if status.get("branch"):
        facts.append(f"branch {clean(status['branch'])}")
    return facts


def _ledger(status: Mapping[str, Any]) -> str:
    head, revision = status["head"], status.get("revision") or 1
    amended = f" revision {revision}" if revision > 1 else ""
    run = f", run {status['run_id']}" if status.get("run_id") else ""
    return f"  contract {short(status['contract_hash'])}{amended}{run}, entry {head['n']} (seq {head['seq']})"


def _remark(task: Mapping[str, Any]) -> str:
    if task["state"] in ("running", "dispatched"):
        elapsed = f"{since(task['started_at'])}  " if task.get("started_at") else ""
        return elapsed + clean(task.get("last_words") or "")
    if task["state"] == "done":
        return short(task.get("checkpoint"))
    when = f"goes on {due(task['due_at'])}" if task.get("due_at") else ""
    needs = f"needs {', '.join(task['needs'])}" if task["state"] == "pending" and task.get("needs") else ""
    return ", ".join(filter(None, [clean(task.get("reason") or "") or needs, when]))


def _where(session: Mapping[str, Any]) -> str:
    if session.get("branch"):
        return clean(session["branch"])
    if session.get("due_at"):
        return f"goes on {due(session['due_at'])}"
    return home(clean(session["repo"]))
