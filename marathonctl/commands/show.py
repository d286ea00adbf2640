"""`marathonctl show contract|ledger|task|transcript|diff [SESSION] [TASK]`."""

import json as stdlib_json
import sys
from argparse import ArgumentParser
from typing import Any

from marathonctl.commands import logs
from marathonctl.context import Context
from marathonctl.render import json
from marathonctl.render.row import row_line
from marathonctl.render.style import UNBOUNDED, Style, columns
from marathonctl.render.task import task_lines
from marathonctl.render.text import clean_lines
from marathonctl.streams import read_pages
from marathonctl.targets import session_first, task_last
from marathonctl.usage import usage, whole

EXAMPLE = """\
  marathonctl show contract
  marathonctl show task k3f9 implement
  marathonctl show diff"""

_WORDS = {"contract": (0, 1), "ledger": (0, 1), "task": (1, 2), "transcript": (1, 2), "diff": (0, 2)}
"""What is shown → how few and how many words may follow it."""


def arguments(parser: ArgumentParser) -> None:
    """What to show, and of what."""
    parser.add_argument("what", choices=tuple(_WORDS), help="what to show")
    parser.add_argument(
        "words",
        metavar="[SESSION] [TASK]",
        nargs="*",
        help="task, transcript: a single word is the task; diff: a session if it is one's id or prefix, else a task",
    )
    parser.add_argument(
        "--revision", metavar="K", type=whole(1), help="contract: a revision other than the one in force"
    )
    logs.output_arguments(parser)


def run(context: Context) -> int:
    """Prints it; with `--json` the daemon's answer, or one object a line for ledger and transcript."""
    what, words = context.args.what, context.args.words
    fewest, most = _WORDS[what]
    if len(words) < fewest:
        raise usage(
            f"which task's {what}? Say `show {what} [SESSION] TASK`" if what != "task" else "which task?",
            "marathonctl show",
        )
    if len(words) > most:
        raise usage(f"show {what} takes at most {most} word(s)", "marathonctl show")
    return _SHOWERS[what](context, words)


def _contract(context: Context, words: list[str]) -> int:
    with context.reader() as client:
        whose = context.whose(words[0] if words else None)
        shown = client.call("contract/show", **whose, revision=context.args.revision)
    if context.json:
        json.emit(shown)
        return 0
    context.note(f"session {shown['session_id']}, revision {shown['revision']}, {shown['hash']}")
    context.say(stdlib_json.dumps(stdlib_json.loads(shown["record"]), indent=2, ensure_ascii=False))
    return 0


def _ledger(context: Context, words: list[str]) -> int:
    with context.reader() as client:
        session = client.call("session/status", **context.whose(words[0] if words else None))["session_id"]
        for row in read_pages(client, 0, {"session": session}):
            if context.json:
                json.emit(json.entry(row))
            else:
                context.say(row_line(row, context.style, with_stream=False))
    return 0


def _task(context: Context, words: list[str]) -> int:
    session, task = task_last(words)
    with context.reader() as client:
        shown = client.call("session/task", **context.whose(session), task=task)
    if context.json:
        json.emit(shown)
    else:
        context.say("\n".join(task_lines(shown, context.style, columns(sys.stdout, UNBOUNDED))))
    return 0


def _transcript(context: Context, words: list[str]) -> int:
    return logs.print_output(context, words, follow=False)


def _diff(context: Context, words: list[str]) -> int:
    with context.reader() as client:
        session, tasks = (words[0], words[1:]) if len(words) == 2 else session_first(context, client, words)
        shown = client.call("session/diff", **context.whose(session), task=tasks[0] if tasks else None)
    if context.json:
        json.emit(shown)
    else:
        sys.stdout.write(_coloured(shown["text"], context.style))
    return 0


def _coloured(text: str, style: Style) -> str:
    if not sys.stdout.isatty():
        return text  # to a file or `git apply` it goes byte for byte
    return "".join(_diff_line(line, style) for line in clean_lines(text, colours=False).splitlines(keepends=True))


def _diff_line(line: str, style: Style) -> str:
    body, end = line.rstrip("\n"), "\n" if line.endswith("\n") else ""
    if body.startswith(("diff ", "index ", "--- ", "+++ ")):
        return style.paint(body, "bold") + end
    colour: dict[str, Any] = {"+": "green", "-": "red", "@": "cyan"}
    return style.paint(body, *filter(None, [colour.get(body[:1])])) + end


_SHOWERS = {"contract": _contract, "ledger": _ledger, "task": _task, "transcript": _transcript, "diff": _diff}
