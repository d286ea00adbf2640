"""`marathonctl abort [SESSION]`: ends a session for good."""

from argparse import ArgumentParser

from marathonctl.context import Context
from marathonctl.render import json

EXAMPLE = "  marathonctl abort k3f9"


def arguments(parser: ArgumentParser) -> None:
    """The session."""
    parser.add_argument("session", metavar="SESSION", nargs="?", help="an id or a unique prefix")


def run(context: Context) -> int:
    """Returns when no process of the session is left."""
    with context.changer(patient=True) as client:
        answer = client.call("session/abort", **context.whose(context.args.session))
    if context.json:
        json.emit(answer)
    else:
        context.say(f"Session {answer['session_id']} is {answer['state']}.")
    return 0
