"""`marathonctl amend [SESSION]`: changes a session's limits by a numbered revision of its contract."""

from argparse import ArgumentParser

from marathonctl.context import Context
from marathonctl.render import json
from marathonctl.render.text import short
from marathonctl.usage import usage, whole
from marathond.domain.limits import PARALLEL_MAX

EXAMPLE = "  marathonctl amend k3f9 --wall 8h"


def arguments(parser: ArgumentParser) -> None:
    """The session and its new limits."""
    parser.add_argument("session", metavar="SESSION", nargs="?", help="an id or a unique prefix")
    parser.add_argument("--wall", metavar="D", help="time with a live attempt, such as 8h or 1h30m")
    parser.add_argument("--deadline", metavar="T", help="an absolute time with its zone, such as 2026-12-01T08:00:00Z")
    parser.add_argument("--parallel", metavar="N", type=whole(1, PARALLEL_MAX), help="tasks at once")


def run(context: Context) -> int:
    """Returns when the revision is in force."""
    given = {name: getattr(context.args, name) for name in ("wall", "deadline", "parallel")}
    limits = {name: value for name, value in given.items() if value is not None}
    if not limits:
        raise usage("say which limit: --wall, --deadline or --parallel", "marathonctl amend")
    with context.changer() as client:
        amended = client.call("session/amend", **context.whose(context.args.session), limits=limits)
    if context.json:
        json.emit(amended)
    else:
        digest = short(amended["contract_hash"])
        context.say(
            f"Session {amended['session_id']} works under revision {amended['revision']} ({digest}) and is {amended['state']}."
        )
    return 0
