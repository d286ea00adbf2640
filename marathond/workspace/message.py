"""Messages of the commits that Marathon makes."""

from collections.abc import Mapping
from typing import Final

_SUBJECT_CHARS: Final = 72


def compose_message(subject: str, body: str, trailers: Mapping[str, str]) -> str:
    """A commit message: one line, the body if there is any, and git trailers (git-interpret-trailers(1)) last.

    `subject` is shortened to 72 characters. Text that an agent or a user wrote cannot end up as a trailer: ours are a
    paragraph of their own at the end, and git reads no other.
    """
    line = " ".join(subject.split()) or "Checkpoint"
    if len(line) > _SUBJECT_CHARS:
        line = line[: _SUBJECT_CHARS - 1].rstrip() + "…"
    block = "\n".join(f"{name}: {' '.join(value.split())}" for name, value in trailers.items())
    parts = [line, body.strip(), block]
    return "\n\n".join(part for part in parts if part).replace("\0", "") + "\n"


def checkpoint_message(
    *, task: str, summary: str, session: str, contract_hash: str, head_seq: int, head_hash: str
) -> str:
    """The message of a candidate that is to become a checkpoint.

    The trailers carry the ledger's head out of the state folder: whoever has the commit can tell whether the ledger
    still holds what it held then.
    """
    trailers = {
        "Marathon-Session": session,
        "Marathon-Task": task,
        "Marathon-Contract": contract_hash,
        "Marathon-Ledger": f"{head_seq}:{head_hash}",
    }
    subject, _, body = summary.strip().partition("\n")
    return compose_message(f"{task}: {subject}" if subject else task, body, trailers)
