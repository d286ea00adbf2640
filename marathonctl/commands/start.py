"""`marathonctl start FILE`: freezes the contract, starts its session and returns."""

from argparse import ArgumentParser

from marathonctl.context import Context
from marathonctl.render import json
from marathonctl.render.text import short
from marathonctl.sources import file_params, start_arguments, start_session

EXAMPLE = "  marathonctl start plan.toml --key nightly-2026-11-25"


def arguments(parser: ArgumentParser) -> None:
    """FILE and the options of a start."""
    parser.add_argument("file", metavar="FILE", help="the contract, TOML or JSON")
    start_arguments(parser)


def run(context: Context) -> int:
    """Prints the session's id; with `--json` the answer of `session/start`."""
    client, started = start_session(context, file_params(context.args.file))
    client.close()
    if context.json:
        json.emit(started)
        return 0
    for warning in started.get("warnings", ()):
        context.note(f"warning: {warning}")
    session = started["session_id"]
    how = "started" if started["created"] else "was already started under this key"
    context.say(f"Session {session} ({started['name']}) {how}; contract {short(started['contract_hash'])}.")
    context.say(f"Follow it with `marathonctl tail {session}`.")
    return 0
