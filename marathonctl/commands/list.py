"""`marathonctl list`: the sessions on this machine, newest first."""

import sys
from argparse import ArgumentParser

from marathonctl.context import Context
from marathonctl.render import json
from marathonctl.render.session import list_lines
from marathonctl.render.style import UNBOUNDED, columns

EXAMPLE = "  marathonctl list --all"


def arguments(parser: ArgumentParser) -> None:
    """How far back."""
    parser.add_argument("--all", action="store_true", help="also sessions that ended more than 7 days ago")


def run(context: Context) -> int:
    """Prints a table, or the answer of `session/list`."""
    with context.reader() as client:
        found = client.call("session/list", all=context.args.all)
    if context.json:
        json.emit(found)
    else:
        context.say("\n".join(list_lines(found["sessions"], context.style, columns(sys.stdout, UNBOUNDED))))
    return 0
