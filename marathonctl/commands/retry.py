"""`marathonctl retry [SESSION] [TASK…]`: reopens a failed session with fresh attempts."""

from argparse import ArgumentParser
from typing import Any

from marathonctl.client import Client
from marathonctl.context import Context
from marathonctl.going_on import go_on
from marathonctl.targets import session_first

EXAMPLE = """\
  marathonctl retry
  marathonctl retry k3f9 lint docs --follow"""


def arguments(parser: ArgumentParser) -> None:
    """The session and the tasks to try again."""
    parser.add_argument(
        "words",
        metavar="[SESSION] [TASK…]",
        nargs="*",
        help="a first word that is a session's id or prefix names it; all others are tasks (default: all that failed)",
    )
    parser.add_argument("--follow", action="store_true", help="follow it to its end, as `run` does")
    parser.add_argument(
        "--no-wait", action="store_true", help="with --follow: exit 0 when it waits for a quota or backoff"
    )


def run(context: Context) -> int:
    """Prints the new run, or follows."""

    def reopen(client: Client) -> dict[str, Any]:
        session, tasks = session_first(context, client, context.args.words)
        whose = context.whose(session)
        return client.call("session/retry", **whose, tasks=tasks or None, env=context.environment)

    return go_on(context, reopen)
