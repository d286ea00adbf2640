"""What works without a daemon, on the daemon's own code: slow to import, so only `init`, `check` and `verify` come here."""

from pathlib import Path
from typing import Any

from marathond.domain.errors import NOT_PERMITTED, MarathonError
from marathond.places import Places


def check(places: Places, path: str, *, allow_secrets: bool) -> dict[str, Any]:
    """What `contract/check` answers, worked out here. Raises `contract_invalid` with all problems, or `no_such_file`."""
    import time

    from marathond.agents import registry
    from marathond.planning.freeze import plan
    from marathond.planning.source import read_source

    known = registry.load(places.config)
    agents, wrong = known.names(), known.wrong()
    now = time.time_ns() // 1000
    source = read_source(Path(path))
    planned = plan(source, agents=agents, wrong_agents=wrong, allow_secrets=allow_secrets, now=now)
    contract = planned.frozen.contract
    return {
        "contract_hash": planned.frozen.hash,
        "name": contract.name,
        "tasks": [{"id": task.id, "needs": list(task.needs), "agent": task.agent} for task in contract.tasks],
        "warnings": list(planned.warnings),
    }


def verify(places: Places, session: str | None) -> dict[str, Any]:
    """What `ledger/verify` answers, worked out here. Raises also NOT_PERMITTED where the state folder cannot be read."""
    from marathond.engine.audit import verify_all

    try:
        return verify_all(places, session)
    except OSError as error:
        reason = f"The state folder {places.state} cannot be read ({error.strerror})"
        raise MarathonError(
            NOT_PERMITTED, reason=reason, hint="Set MARATHON_STATE_DIR to a folder of yours."
        ) from error


def starter(folder: Path) -> str:
    """A commented starter contract for the project in `folder`."""
    from marathond.planning.starter import starter as text_for

    return text_for(folder)
