"""`marathonctl why [SESSION] [TASK]`: what keeps a session or task from going on, and what would help."""

from argparse import ArgumentParser
from typing import Any

from marathonctl.context import Context
from marathonctl.render import json
from marathonctl.render.text import clean, due
from marathonctl.targets import session_first
from marathonctl.usage import usage

EXAMPLE = """\
  marathonctl why
  marathonctl why k3f9 lint"""


def arguments(parser: ArgumentParser) -> None:
    """The session and the task."""
    parser.add_argument(
        "words",
        metavar="[SESSION] [TASK]",
        nargs="*",
        help="a single word that is a session's id or prefix names it, any other one is a task",
    )


def run(context: Context) -> int:
    """Prints each reason and the command that would help, or the answer of `session/why`."""
    if len(context.args.words) > 2:
        raise usage("at most one session and one task", "marathonctl why")
    with context.reader() as client:
        session, tasks = _target(context, client)
        answer = client.call("session/why", **context.whose(session), task=tasks[0] if tasks else None)
    if context.json:
        json.emit(answer)
    else:
        context.say("\n".join(_lines(context, answer)))
    return 0


def _target(context: Context, client: Any) -> tuple[str | None, list[str]]:
    words = context.args.words
    return (words[0], words[1:]) if len(words) == 2 else session_first(context, client, words)


def _lines(context: Context, answer: dict[str, Any]) -> list[str]:
    style, state = context.style, answer["state"]
    lines = [f"{style.sign(state)} session {answer['session_id']} is {style.state(state)}"]
    for reason in answer["reasons"]:
        task = f"{clean(reason['task'])}: " if reason.get("task") else ""
        when = f"; goes on {due(reason['due_at'])}" if reason.get("due_at") else ""
        lines.append(f"  {style.paint(reason['kind'], 'bold')}  {task}{clean(reason['text'])}{when}")
        if reason.get("command"):
            lines.append(
                f"    → {style.paint(clean(reason['command']), 'cyan')}"
                if style.unicode
                else f"    > {clean(reason['command'])}"
            )
    return lines
