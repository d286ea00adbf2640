"""`marathonctl resume [SESSION]`: lets a halted, waiting or quarantined session go on, if the gate agrees."""

from argparse import ArgumentParser

from marathonctl.context import Context
from marathonctl.going_on import go_on

EXAMPLE = """\
  marathonctl resume
  marathonctl resume k3f9 --follow"""


def arguments(parser: ArgumentParser) -> None:
    """The session, and how impatient its user is."""
    parser.add_argument("session", metavar="SESSION", nargs="?", help="an id or a unique prefix")
    parser.add_argument("--now", action="store_true", help="do not wait for a quota's reset either")
    parser.add_argument("--follow", action="store_true", help="follow it to its end, as `run` does")
    parser.add_argument(
        "--no-wait", action="store_true", help="with --follow: exit 0 when it waits for a quota or backoff"
    )


def run(context: Context) -> int:
    """Prints the gate's verdict and the new run, or follows."""
    return go_on(
        context,
        lambda client: client.call(
            "session/resume",
            **context.whose(context.args.session),
            now=context.args.now,
            env=context.environment,
            spawned=context.started_daemon,
        ),
    )
