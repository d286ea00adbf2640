"""`marathonctl run FILE`: starts a session and follows it to its end."""

from argparse import ArgumentParser
from typing import Any

from marathonctl.client import ANSWER_SECONDS
from marathonctl.context import Context
from marathonctl.follow import Follower
from marathonctl.interrupts import Interrupts
from marathonctl.render import json
from marathonctl.render.session import last_words
from marathonctl.sources import file_params, quick_params, start_arguments, start_session
from marathonctl.usage import usage

EXAMPLE = """\
  marathonctl run plan.toml
  marathonctl run --prompt "Fix the failing test" --check "pytest -q" --agent codex"""


def arguments(parser: ArgumentParser) -> None:
    """FILE or a prompt, and the options of a start."""
    parser.add_argument("file", metavar="FILE", nargs="?", help="the contract, TOML or JSON")
    parser.add_argument("--prompt", metavar="P", help="instead of FILE: what one agent is to do")
    parser.add_argument("--check", metavar="C", action="append", help="with --prompt: a shell line that must exit 0")
    parser.add_argument("--agent", metavar="A", help="with --prompt: the agent's profile (default: claude)")
    parser.add_argument("--name", metavar="N", help="with --prompt: the session's name (default: from the prompt)")
    parser.add_argument("--no-wait", action="store_true", help="exit 0 when the session waits for a quota or backoff")
    start_arguments(parser)


def run(context: Context) -> int:
    """Follows with a live view, or a line per event; with `--json` prints one final object instead."""
    params = _source(context)
    with Interrupts() as interrupts:
        client, started = start_session(context, params)
        client.answer_seconds = ANSWER_SECONDS
        for warning in started.get("warnings", ()):
            context.note(f"warning: {warning}")
        follower = Follower(context, started["session_id"], after=0, no_wait=context.args.no_wait)
        code, status = follower.to_the_end(client, interrupts)
    if context.json:
        json.emit({**status, "exit": code})
    else:
        context.say("\n".join(last_words(status, context.style)))
    return code


def _source(context: Context) -> dict[str, Any]:
    args = context.args
    if (args.file is None) == (args.prompt is None):
        raise usage("give either FILE or --prompt", "marathonctl run")
    if args.file is not None:
        if args.check or args.agent or args.name:
            raise usage("--check, --agent and --name belong to --prompt; FILE says these itself", "marathonctl run")
        return file_params(args.file)
    return quick_params(args.prompt, args.check or [], args.agent, args.name)
