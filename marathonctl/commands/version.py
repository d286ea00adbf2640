"""`marathonctl --version`: this side, and the daemon's when one answers."""

from marathonctl.context import Context
from marathonctl.render import json
from marathond import __version__
from marathond.domain.errors import MarathonError
from marathond.domain.limits import PROTOCOL_MAX, PROTOCOL_MIN


def run(context: Context) -> int:
    """Prints both versions; a daemon that does not answer is no error here."""
    try:
        with context.reader() as client:
            info = client.call("daemon/info")
    except MarathonError:
        info = None
    if context.json:
        json.emit({"client": __version__, "daemon": info and info["version"]})
        return 0
    context.say(f"marathonctl {__version__}")
    context.say(f"marathond   {info['version']} (pid {info['pid']})" if info else "marathond   does not answer")
    if info and (info["protocol"]["max"] < PROTOCOL_MIN or info["protocol"]["min"] > PROTOCOL_MAX):
        context.say("These two do not speak the same protocol: restart the daemon with `marathonctl daemon stop`.")
    return 0
