"""`marathonctl answer [SESSION] yes|no`: answers what a held session asks."""

from argparse import ArgumentParser

from marathonctl.context import Context
from marathonctl.render import json
from marathonctl.usage import usage

EXAMPLE = "  marathonctl answer k3f9 yes"


def arguments(parser: ArgumentParser) -> None:
    """The session and the answer."""
    parser.add_argument(
        "words", metavar="[SESSION] yes|no", nargs="+", help="yes grants the same again, no fails what asked"
    )
    parser.add_argument("--question", metavar="ID", help="which question, when there are several (`marathonctl why`)")


def run(context: Context) -> int:
    """Returns when the answer is on record."""
    *session, answer = context.args.words
    if answer not in ("yes", "no") or len(session) > 1:
        raise usage("the answer is yes or no, after at most one session", "marathonctl answer")
    with context.changer() as client:
        whose = context.whose(session[0] if session else None)
        told = client.call("session/answer", **whose, answer=answer, question=context.args.question)
    if context.json:
        json.emit(told)
    else:
        context.say(
            f"Session {told['session_id']} got {told['answer']} to question {told['question']} and is {told['state']}."
        )
    return 0
