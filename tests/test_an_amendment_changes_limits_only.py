"""A revision differs from the contract before it in its limits and in nothing else."""

import json
from pathlib import Path

import pytest

from marathond.domain import canonical
from marathond.domain.contract import thaw
from marathond.domain.errors import USAGE, MarathonError
from marathond.planning.amend import Amendment, amended, parse_amendment
from tests.support.plans import make_repository, plan_text

TEXT = 'name = "x"\n[limits]\nwall = "1h"\nparallel = 3\n[[task]]\nid = "a"\nprompt = "ü"\n[[task.check]]\nfile = "x"\n'


def test_limits_change(tmp_path: Path) -> None:
    """Limits that are given change, those that are not stay, and the hash is that of the new text."""
    before = plan_text(TEXT, make_repository(tmp_path / "repo")).frozen
    after = amended(before, wall_ms=7_200_000, deadline=1_900_000_000_000_000)
    old, new = json.loads(before.text), json.loads(after.text)
    assert new["limits"] == {"wall_ms": 7_200_000, "parallel": 3, "deadline": 1_900_000_000_000_000}
    assert {k: v for k, v in new.items() if k != "limits"} == {k: v for k, v in old.items() if k != "limits"}
    assert after.hash == canonical.contract_hash(after.text) != before.hash
    assert thaw(after.text) == after
    assert amended(after, wall_ms=3_600_000).contract.limits.wall_ms == 3_600_000
    assert amended(before) == before


def test_other_versions_stay(tmp_path: Path) -> None:
    """What a contract says that this version does not know is still there in its next revision."""
    before = plan_text(TEXT, make_repository(tmp_path / "repo")).frozen
    newer = thaw(canonical.encode_contract(json.loads(before.text) | {"later": [1]}))
    assert json.loads(amended(newer, parallel=5).text)["later"] == [1]


def test_parsing() -> None:
    """Amendments are written as under `[limits]`."""
    assert parse_amendment({"wall": "8h", "deadline": None}) == Amendment(wall_ms=28_800_000)
    assert parse_amendment({"deadline": "2030-01-01T01:00:00+01:00", "parallel": 4}) == Amendment(
        deadline=1_893_456_000_000_000, parallel=4
    )


@pytest.mark.parametrize(
    ("limits", "message"),
    [
        ({}, "at least one of wall, deadline, parallel"),
        ({"wall": None}, "at least one"),
        ({"wall": "8"}, "wall '8' is not a duration"),
        ({"wall": 8}, 'wall must be a duration such as "40m", not an integer ("8s"?)'),
        ({"parallel": 0}, "parallel must be from 1 to 64 (1?)"),
        ({"prompt": "x", "wal": "1h"}, "wal is not a key that Marathon knows (wall?)"),
        ({"deadline": "soon"}, "deadline must be a time"),
    ],
)
def test_refusals(limits: dict[str, object], message: str) -> None:
    """Everything that is wrong is told, as a mistake of usage."""
    with pytest.raises(MarathonError) as caught:
        parse_amendment(limits)
    assert caught.value.kind is USAGE
    assert message in str(caught.value)
