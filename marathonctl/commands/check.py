"""`marathonctl check FILE`: checks a contract and shows what would run; needs no daemon."""

from argparse import ArgumentParser
from typing import Any

from marathonctl.context import Context
from marathonctl.render import json
from marathonctl.render.table import table
from marathonctl.render.text import clean, plural
from marathonctl.sources import file_params
from marathond.domain.errors import DAEMON_UNREACHABLE, MarathonError

EXAMPLE = "  marathonctl check plan.toml"


def arguments(parser: ArgumentParser) -> None:
    """FILE."""
    parser.add_argument("file", metavar="FILE", help="the contract, TOML or JSON")
    parser.add_argument("--allow-secrets", action="store_true", help="accept a contract that seems to hold a secret")


def run(context: Context) -> int:
    """Prints the tasks and the hash; all problems at once and exit 65 when there are any."""
    checked = _checked(context)
    if context.json:
        json.emit(checked)
        return 0
    for warning in checked["warnings"]:
        context.note(f"warning: {warning}")
    context.say(f"{context.style.sign('pass')} {clean(checked['name'])}: {plural(len(checked['tasks']), 'task')}")
    rows = [(clean(t["id"]), clean(t["agent"]), _needs(t)) for t in checked["tasks"]]
    context.say("\n".join(table(rows, 80, indent=4)))
    context.say(f"  contract {checked['contract_hash']}")
    return 0


def _checked(context: Context) -> dict[str, Any]:
    params = file_params(context.args.file)
    try:
        with context.reader() as client:
            return client.call("contract/check", **params, allow_secrets=context.args.allow_secrets)
    except MarathonError as error:
        if error.kind is not DAEMON_UNREACHABLE:
            raise
    from marathonctl.local import check

    return check(context.places, params["path"], allow_secrets=context.args.allow_secrets)


def _needs(task: dict[str, Any]) -> str:
    return f"needs {', '.join(task['needs'])}" if task["needs"] else ""
