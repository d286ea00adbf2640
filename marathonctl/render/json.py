"""`--json`: one stable object on standard output, or one a line for streams. Readers ignore fields they do not know."""

import json
import sys
from typing import Any

from marathond.domain.errors import MarathonError


def emit(value: dict[str, Any]) -> None:
    """Prints one object on one line and flushes, so that a pipe sees it at once."""
    sys.stdout.write(json.dumps(value, separators=(",", ":")) + "\n")
    sys.stdout.flush()


def refusal(error: MarathonError) -> dict[str, Any]:
    """The object for an error: `error{code, slug, message, hint, exit}`, and beside it what else it carries.

    What else: `problems` of a contract; `session_id`, `run_id` and `gate` of a refused resume.
    """
    kind = error.kind
    told = {"code": kind.code, "slug": kind.slug, "message": error.message, "hint": error.hint, "exit": kind.exit}
    return {**error.data, "error": told}


def entry(row: dict[str, Any]) -> dict[str, Any]:
    """A ledger row for `tail --json`: the exact record with its hashes, and the decoded fields people filter by."""
    record = json.loads(row["record"])
    kept = {name: row[name] for name in ("seq", "hash", "link", "link_prev", "record")}
    return kept | {name: record[name] for name in ("stream", "n", "at", "kind", "body")}
