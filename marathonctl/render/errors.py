"""Errors for people: what happened, the details that belong to it, and what to do next."""

from collections.abc import Mapping, Sequence
from typing import Any

from marathonctl.render.style import Style
from marathonctl.render.text import clean
from marathond.domain.errors import MarathonError

POINTS = {
    1: "contract and ledger are there",
    2: "the chain is whole",
    3: "the contract is the frozen one",
    4: "the last run can be resumed",
    5: "the checkpoint is the recorded one",
    6: "the session's lock is free",
}
"""What each point of the resume gate asks for, should a verdict come without detail."""


def lines(error: MarathonError, style: Style) -> list[str]:
    """The lines for standard error: message, problems or gate verdicts, hint."""
    shown = [f"{style.paint('marathonctl:', 'red')} {error.message}"]
    shown += problems(error.data.get("problems") or (), style)
    if error.data.get("gate"):
        shown += gate(error.data["gate"], style)
    if error.hint and not error.data.get("problems"):
        shown.append(f"  {style.paint('hint:', 'bold')} {error.hint}")
    return shown


def problems(found: Sequence[Mapping[str, Any]], style: Style) -> list[str]:
    """One line for each problem of a contract: line number, key path, what is wrong, the nearest right word."""
    shown = []
    for problem in found:
        place = f"line {problem['line']}: " if problem.get("line") else ""
        near = f" (did you mean {problem['suggestion']!r}?)" if problem.get("suggestion") else ""
        path = style.paint(clean(str(problem.get("path") or "contract")), "bold")
        shown.append(f"  {place}{path}: {clean(str(problem['message']))}{near}")
    return shown


def gate(points: Sequence[Mapping[str, Any]], style: Style) -> list[str]:
    """One line for each point of the resume gate, in the order of their numbers."""
    shown = []
    for point in sorted(points, key=lambda p: int(p["point"])):
        said = clean(str(point.get("detail") or "")) or POINTS.get(int(point["point"]), "")
        unknown = " (not evaluated)" if point["verdict"] == "not_evaluated" else ""
        shown.append(f"  {style.sign(str(point['verdict']))} {point['point']} {said}{unknown}")
    return shown
