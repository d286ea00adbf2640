"""`marathonctl verify [SESSION]`: checks every hash, link, contract, checkpoint and blob; needs no daemon."""

from argparse import ArgumentParser
from typing import Any

from marathonctl.context import Context
from marathonctl.render import json
from marathonctl.render.text import clean, plural
from marathond.domain.errors import DAEMON_UNREACHABLE, MarathonError

EXAMPLE = """\
  marathonctl verify
  marathonctl verify --json | jq .problems"""


def arguments(parser: ArgumentParser) -> None:
    """The session."""
    parser.add_argument("session", metavar="SESSION", nargs="?", help="only this one (default: the whole ledger)")


def run(context: Context) -> int:
    """Exits 0 when all is well, 2 when anything is not."""
    result = _verified(context)
    if context.json:
        json.emit(result)
    else:
        context.say("\n".join(_lines(context, result)))
    return 0 if result["ok"] else 2


def _verified(context: Context) -> dict[str, Any]:
    try:
        with context.reader() as client:
            client.answer_seconds = None  # a long history takes its time
            return client.call("ledger/verify", session=context.args.session)
    except MarathonError as error:
        if error.kind is not DAEMON_UNREACHABLE:
            raise
    from marathonctl.local import verify

    return verify(context.places, context.args.session)


def _lines(context: Context, result: dict[str, Any]) -> list[str]:
    style = context.style
    counted = f"{plural(result['entries'], 'entry')} in {plural(result['sessions'], 'session')}"
    if result["ok"]:
        return [f"{style.sign('pass')} The ledger is intact: {counted}, head at seq {result['head_seq']}."]
    lines = [
        f"{style.sign('fail')} {plural(len(result['problems']), 'problem')} found in {counted}; the first bad entry comes first:"
    ]
    for problem in result["problems"]:
        place = f"seq {problem['seq']}" if problem.get("seq") is not None else problem.get("stream") or "ledger"
        where = f" ({problem['stream']} n {problem['n']})" if problem.get("n") is not None else ""
        lines.append(f"  {style.paint(place, 'bold')}{where}: {clean(problem['what'])}")
    return lines
