"""One module per verb. Each has `EXAMPLE`, `arguments(parser)` and `run(context) -> exit code`.

Only the chosen verb's module is imported: a client that answers in milliseconds cannot afford the others.
"""

from typing import Final

VERBS: Final[dict[str, dict[str, str]]] = {
    "Begin": {
        "init": "write a commented starter contract",
        "check": "check a contract and show what would run",
        "start": "start a session and return",
        "run": "start a session and follow it to its end",
    },
    "Steer": {
        "resume": "let a session go on",
        "retry": "reopen a failed session",
        "halt": "stop a session's agents; it stays resumable",
        "abort": "end a session for good",
        "answer": "answer a session's question",
        "amend": "change a session's limits",
    },
    "Look": {
        "status": "where a session stands",
        "list": "the sessions on this machine",
        "why": "what keeps a session from going on",
        "tail": "the ledger's entries as they come",
        "logs": "what a task's agent says",
        "show": "a contract, ledger, task, transcript or diff",
    },
    "Keep": {
        "verify": "check every hash, link and checkpoint",
        "daemon": "the daemon itself: info, start, stop",
    },
}
"""Group → verb → summary, in the order of the help."""

ELSEWHERE: Final[dict[str, str]] = {
    "cancel": "abort",
    "continue": "resume",
    "info": "daemon info",
    "kill": "abort",
    "ls": "list",
    "pause": "halt",
    "ps": "list",
    "stop": "halt",
    "validate": "check",
    "watch": "tail",
}
"""What other tools call it → what it is here, for hints."""


def summary(verb: str) -> str:
    """The one-line summary of a verb. Raises KeyError for a word that is none."""
    return {name: text for group in VERBS.values() for name, text in group.items()}[verb]


def names() -> list[str]:
    """All verbs, in the order of the help."""
    return [name for group in VERBS.values() for name in group]
