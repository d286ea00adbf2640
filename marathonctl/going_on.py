"""What `resume` and `retry` share: the verdict of the gate, and following."""

from collections.abc import Callable
from typing import Any

from marathonctl.client import ANSWER_SECONDS, Client
from marathonctl.context import Context
from marathonctl.follow import Follower
from marathonctl.interrupts import Interrupts
from marathonctl.render import json
from marathonctl.render.session import last_words
from marathonctl.render.text import due

Ask = Callable[[Client], dict[str, Any]]
"""Asks the daemon to let a session go on; returns {session_id, run_id, gate, state, due_at}."""


def go_on(context: Context, ask: Ask) -> int:
    """Asks and prints the answer; with `--follow` follows from there and returns the session's own exit code."""
    if context.args.follow:
        return _follow(context, ask)
    with context.changer(patient=True) as client:
        answer = ask(client)
    if context.json:
        json.emit(answer)
    else:
        context.say("\n".join(_lines(answer)))
    return 0


def _follow(context: Context, ask: Ask) -> int:
    with Interrupts() as interrupts:
        client = context.changer(patient=True)
        after = client.call("daemon/info")["ledger"]["seq"]
        answer = ask(client)
        client.answer_seconds = ANSWER_SECONDS
        follower = Follower(context, answer["session_id"], after=after, no_wait=context.args.no_wait)
        code, status = follower.to_the_end(client, interrupts)
    if context.json:
        json.emit({**status, "gate": answer["gate"], "exit": code})
    else:
        context.say("\n".join(last_words(status, context.style)))
    return code


def _lines(answer: dict[str, Any]) -> list[str]:
    session, state = answer["session_id"], answer["state"]
    run = f" as run {answer['run_id']}" if answer.get("run_id") else ""
    match state:
        case "running" if run:
            lines = [f"Session {session} goes on{run}."]
        case "held":
            lines = [
                f"Session {session} passed the gate{run} and is held: `marathonctl why {session}` shows the question."
            ]
        case _:
            lines = [f"Session {session} {f'passed the gate{run} and ' if run else ''}is {state}."]
    if answer.get("due_at"):
        lines.append(f"It goes on by itself {due(answer['due_at'])}.")
    return [*lines, f"Follow it with `marathonctl tail {session}`."]
