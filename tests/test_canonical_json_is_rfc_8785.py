"""Contracts are hashed over RFC 8785 canonical JSON, proved by the vectors of the specification's authors."""

import json
from pathlib import Path

import pytest

from marathond.domain import canonical

VECTORS = Path(__file__).parent / "data" / "jcs"
NAMES = sorted(path.stem for path in (VECTORS / "input").glob("*.json"))


def test_vectors_are_there() -> None:
    """All six published vectors are looked at."""
    assert NAMES == ["arrays", "french", "structures", "unicode", "values", "weird"]


@pytest.mark.parametrize("name", NAMES)
def test_vector(name: str) -> None:
    """The canonical form of each input is byte for byte the published output."""
    given = json.loads((VECTORS / "input" / f"{name}.json").read_text(encoding="utf-8"))
    produced = canonical.encode_contract(given)
    assert produced == (VECTORS / "output" / f"{name}.json").read_bytes()
    assert produced == bytes.fromhex((VECTORS / "outhex" / f"{name}.txt").read_text())
