"""`marathonctl logs [SESSION] TASK`: what a task's agent says."""

import sys
from argparse import ArgumentParser
from typing import Any

from marathonctl.context import Context
from marathonctl.output import OutputReader
from marathonctl.render import json
from marathonctl.render.style import is_plain
from marathonctl.render.text import clean_lines
from marathonctl.streams import Reconnector
from marathonctl.targets import task_last
from marathonctl.usage import usage, whole
from marathond.domain.errors import MarathonError

EXAMPLE = """\
  marathonctl logs implement
  marathonctl logs k3f9 implement -f"""


def arguments(parser: ArgumentParser) -> None:
    """The task, and which of its output."""
    parser.add_argument("words", metavar="[SESSION] TASK", nargs="+", help="a single word is the task")
    parser.add_argument("-f", "--follow", action="store_true", help="go on with what comes, until the task is over")
    output_arguments(parser)


def output_arguments(parser: ArgumentParser) -> None:
    """The options that `logs` and `show transcript` share."""
    parser.add_argument("--raw", action="store_true", help="the agent's own output instead of readable text")
    parser.add_argument("--attempt", metavar="N", type=whole(1), help="only this attempt (default: the newest)")


def run(context: Context) -> int:
    """Prints the newest attempt's output; with `-f` also what comes, across attempts and restarts of the daemon."""
    if len(context.args.words) > 2:
        raise usage("give at most a session and a task", "marathonctl logs")
    return print_output(context, context.args.words, follow=context.args.follow)


def print_output(context: Context, words: list[str], *, follow: bool) -> int:
    """Prints a task's output; Ctrl-C only detaches (130)."""
    named, task = task_last(words)
    client = context.reader()
    session = client.call("session/status", **context.whose(named))["session_id"]
    reader = OutputReader(session, task, context.args.attempt, raw=context.args.raw)
    printer = _Printer(context)
    if not follow:
        with client:
            for page in reader.pages(client):
                printer.show(page)
        return 0
    back = Reconnector(context.reader, None, context.note)
    while True:
        try:
            with client:
                for page in reader.follow(client):
                    back.progressed()
                    printer.show(page)
            return 0
        except MarathonError as error:
            client = back.after(error)


class _Printer:
    """Prints pages: text as it is, made harmless for a terminal unless raw is asked for; one object a page as JSON."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._attempt: int | None = None
        self._to_terminal = sys.stdout.isatty() and not context.args.raw
        self._colours = not is_plain(sys.stdout) and context.style.colour

    def show(self, page: dict[str, Any]) -> None:
        """Prints one page and says so when another attempt begins."""
        if self._context.json:
            json.emit({name: page[name] for name in ("session", "task", "attempt", "offset", "next", "text")})
            return
        if self._attempt not in (None, page["attempt"]):
            self._context.note(f"--- attempt {page['attempt']} ---")
        self._attempt = page["attempt"]
        text = page["text"]
        sys.stdout.write(clean_lines(text, colours=self._colours) if self._to_terminal else text)
        sys.stdout.flush()
