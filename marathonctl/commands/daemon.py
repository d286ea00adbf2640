"""`marathonctl daemon info|start|stop`: the daemon itself."""

from argparse import ArgumentParser
from typing import Any

from marathonctl.context import Context
from marathonctl.render import json
from marathonctl.render.text import duration, home
from marathond import __version__

EXAMPLE = """\
  marathonctl daemon info
  marathonctl daemon stop --halt"""


def arguments(parser: ArgumentParser) -> None:
    """What to do with it."""
    parser.add_argument("action", choices=("info", "start", "stop"), help="show it, start it, or stop it")
    parser.add_argument(
        "--halt", action="store_true", help="with stop: end attempts first (else they run on by themselves)"
    )


def run(context: Context) -> int:
    """Prints what the daemon says of itself."""
    match context.args.action:
        case "info":
            with context.reader() as client:
                return _show(context, client.call("daemon/info"))
        case "start":
            with context.changer() as client:
                return _show(context, client.call("daemon/info"))
        case _:
            return _stop(context)


def _stop(context: Context) -> int:
    with context.reader() as client:
        answer = client.call("daemon/stop", halt=context.args.halt)
    if context.json:
        json.emit(answer)
    else:
        context.say("The daemon stops; unfinished sessions go on when it is started again.")
    return 0


def _show(context: Context, info: dict[str, Any]) -> int:
    if context.json:
        json.emit(info)
        return 0
    sessions, slots = info["sessions"], info["slots"]
    counts = context.style.dot().join(f"{count} {state}" for state, count in sessions.items() if count) or "none"
    context.say(f"marathond {info['version']}, pid {info['pid']}, up {duration(info['uptime_ms'])}")
    context.say(f"  sessions  {counts}")
    context.say(f"  slots     {slots['used']} of {slots['total']} used")
    context.say(f"  ledger    seq {info['ledger']['seq']}, schema {info['schema']}")
    context.say(f"  state     {home(info['state_dir'])}")
    context.say(f"  socket    {home(info['socket'])}")
    if info.get("read_only"):
        context.say(context.style.paint(f"  read only: {info['read_only']}", "red"))
    if info["version"] != __version__:
        context.say(
            f"  This client is {__version__}: restart the daemon with `marathonctl daemon stop` to have it follow."
        )
    return 0
