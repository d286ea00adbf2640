"""What a session is started from: a contract file, or a prompt and its checks on the command line."""

import os
import re
from argparse import ArgumentParser, Namespace
from pathlib import Path
from typing import Any

from marathonctl.client import Client
from marathonctl.context import Context
from marathond.domain.errors import DAEMON_SILENT, NO_SUCH_FILE, MarathonError

QUICK_AGENT = "claude"
"""The agent of `run --prompt` when none is named."""

_NAME_WORDS = 5
_NAME_CHARS_MAX = 40


def start_arguments(parser: ArgumentParser) -> None:
    """The options that `start` and `run` share."""
    parser.add_argument("--key", metavar="K", help="start at most one session under this key, whatever happens")
    parser.add_argument(
        "--unsandboxed", action="store_true", help="let agents act without asking and without a sandbox"
    )
    parser.add_argument("--allow-secrets", action="store_true", help="accept a contract that seems to hold a secret")
    parser.add_argument(
        "--from", dest="from_session", metavar="SESSION", help="carry on from a session's last verified checkpoint"
    )


def file_params(file: str) -> dict[str, Any]:
    """The contract file as parameters. Raises `no_such_file`."""
    path = Path(file).absolute()
    if not path.is_file():
        raise MarathonError(NO_SUCH_FILE, path=file, hint="`marathonctl init` writes a contract to begin with.")
    return {"path": str(path)}


def quick_params(prompt: str, checks: list[str], agent: str | None, name: str | None) -> dict[str, Any]:
    """A contract of one task, in the repository around the current folder."""
    literal = prompt.replace("{{", "{{{{")  # a contract's prompts are templates; this one means what it says
    first_line = prompt.strip().partition("\n")[0]
    task: dict[str, Any] = {"id": "work", "prompt": literal, "agent": agent or QUICK_AGENT}
    if checks:
        task["check"] = [{"run": check} for check in checks]
    contract = {"name": name or _slug(first_line), "goal": first_line, "workspace": {"repo": "."}, "task": [task]}
    return {"contract": contract, "root": str(Path.cwd())}


def start_session(context: Context, params: dict[str, Any]) -> tuple[Client, dict[str, Any]]:
    """Starts a session; returns the connection and the answer of `session/start`.

    Without `--key` a random one is used, so that an answer lost with the daemon can be asked for again without
    starting a second session.
    """
    args: Namespace = context.args
    params = params | {
        "env": context.environment,
        "key": args.key or f"once-{os.urandom(8).hex()}",
        "unsandboxed": args.unsandboxed,
        "allow_secrets": args.allow_secrets,
        "from_session": args.from_session,
    }
    client = context.changer(patient=True)
    try:
        return client, client.call("session/start", **params)
    except MarathonError as error:
        if error.kind is not DAEMON_SILENT:
            raise
    client.close()
    client = context.changer(patient=True)
    return client, client.call("session/start", **params)


def _slug(text: str) -> str:
    words = re.findall(r"[a-z0-9]+", text.lower())[:_NAME_WORDS]
    return "-".join(words)[:_NAME_CHARS_MAX].rstrip("-") or "quick"
