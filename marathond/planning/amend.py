"""Amendments: a new revision of a contract in which nothing but the limits differs."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import msgspec

from marathond.domain import canonical
from marathond.domain.contract import Frozen, thaw
from marathond.domain.errors import USAGE, MarathonError
from marathond.planning.draft import LIMITS_KEYS, LimitsDraft, table
from marathond.planning.problems import Problems

_HINT = "For example: marathonctl amend SESSION --wall 8h --parallel 4."


class Amendment(NamedTuple):
    """New limits; None leaves a limit as it is. `deadline` is in microseconds since the epoch."""

    wall_ms: int | None = None
    deadline: int | None = None
    parallel: int | None = None


def parse_amendment(limits: Mapping[str, Any]) -> Amendment:
    """Reads `{wall?: "8h", deadline?: "2026-12-01T08:00:00Z", parallel?: 4}`, written as under `[limits]`.

    A key whose value is None counts as absent. Raises MarathonError USAGE that tells everything that is wrong.
    """
    given = {key: value for key, value in limits.items() if value is not None}
    if not given:
        raise MarathonError(USAGE, reason="An amendment changes at least one of wall, deadline, parallel", hint=_HINT)
    problems = Problems()
    read = table(LimitsDraft, LIMITS_KEYS)(problems, (), given)
    if problems or read is None:
        faults = [f"{p.path} {p.message}{f' ({p.suggestion}?)' if p.suggestion else ''}" for p in problems.all()]
        raise MarathonError(USAGE, reason="; ".join(faults), hint=_HINT)
    return Amendment(read.wall_ms, read.deadline, read.parallel)


def amended(
    frozen: Frozen, *, wall_ms: int | None = None, deadline: int | None = None, parallel: int | None = None
) -> Frozen:
    """The next revision: `frozen` with these limits changed.

    The stored text is edited rather than written anew, so that whatever else it says stays as it was approved.
    """
    contract = msgspec.json.decode(frozen.text)
    changes = {"wall_ms": wall_ms, "deadline": deadline, "parallel": parallel}
    contract["limits"] |= {key: value for key, value in changes.items() if value is not None}
    return thaw(canonical.encode_contract(contract))
