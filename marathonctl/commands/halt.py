"""`marathonctl halt [SESSION]`: stops a session's agents; it stays resumable."""

from argparse import ArgumentParser

from marathonctl.context import Context
from marathonctl.render import json

EXAMPLE = """\
  marathonctl halt
  marathonctl halt k3f9 --drain"""


def arguments(parser: ArgumentParser) -> None:
    """The session, and whether live attempts may finish."""
    parser.add_argument("session", metavar="SESSION", nargs="?", help="an id or a unique prefix")
    parser.add_argument("--drain", action="store_true", help="let attempts that are running finish first")


def run(context: Context) -> int:
    """Returns when no process of the session is left."""
    with context.changer(patient=True) as client:
        answer = client.call("session/halt", **context.whose(context.args.session), drain=context.args.drain)
    if context.json:
        json.emit(answer)
    else:
        session = answer["session_id"]
        context.say(f"Session {session} is {answer['state']}; go on with `marathonctl resume {session}`.")
    return 0
