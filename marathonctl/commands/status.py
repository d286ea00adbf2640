"""`marathonctl status [SESSION]`: where a session stands."""

import sys
from argparse import ArgumentParser

from marathonctl.context import Context

EXAMPLE = """\
  marathonctl status
  marathonctl status k3f9 --json"""


def arguments(parser: ArgumentParser) -> None:
    """The session."""
    parser.add_argument("session", metavar="SESSION", nargs="?", help="an id or a unique prefix")


def run(context: Context) -> int:
    """Prints the status page, or the answer of `session/status`."""
    with context.reader() as client:
        status = client.call("session/status", **context.whose(context.args.session))
    if context.json:
        from marathonctl.render import json

        json.emit(status)
    else:
        from marathonctl.render.session import status_lines
        from marathonctl.render.style import UNBOUNDED, columns

        context.say("\n".join(status_lines(status, context.style, columns(sys.stdout, UNBOUNDED))))
    return 0
