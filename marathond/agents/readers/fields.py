"""Careful access to what agents print: any field may be missing, of another type or out of range."""

import json
import math
from typing import Any

import msgspec

from marathond.domain.limits import INTEGER_MAX

_decoder = msgspec.json.Decoder()


def decode(line: str) -> dict[str, Any] | None:
    """The JSON object on a line; None for everything else."""
    if not line.lstrip().startswith("{"):
        return None
    try:
        value = _decoder.decode(line)
    except (msgspec.DecodeError, RecursionError, UnicodeError):
        value = _decode_loosely(line)
    return value if isinstance(value, dict) else None


def _decode_loosely(line: str) -> Any:
    # JavaScript escapes halves of surrogate pairs, where output was cut inside a character; msgspec refuses those
    try:
        return json.loads(line)
    except (ValueError, RecursionError):
        return None


def at(value: Any, *path: str) -> Any:
    """The value at a path of keys; None when any of them is missing."""
    for key in path:
        if not isinstance(value, dict):
            return None
        value = value.get(key)
    return value


def text(value: Any, *path: str) -> str:
    """The text at a path, safe to encode; empty when there is none."""
    found = at(value, *path)
    return found.encode("utf-8", "replace").decode() if isinstance(found, str) else ""


def items(value: Any, *path: str) -> list[dict[str, Any]]:
    """The objects in the list at a path; empty when there is none."""
    found = at(value, *path)
    return [item for item in found if isinstance(item, dict)] if isinstance(found, list) else []


def count(value: Any, *path: str) -> int:
    """The whole number at a path, from 0 to 2^53 - 1; 0 when there is none."""
    found = at(value, *path)
    if isinstance(found, bool) or not isinstance(found, int | float) or not math.isfinite(found):
        return 0
    return min(max(0, round(found)), INTEGER_MAX)


def microusd(value: Any, *path: str) -> int:
    """Dollars at a path, as millionths."""
    found = at(value, *path)
    return count({"": found * 1_000_000}, "") if isinstance(found, int | float) and not isinstance(found, bool) else 0


def clip(value: str, bytes_max: int) -> str:
    """The text cut to at most so many bytes of UTF-8, with a mark where something was left out."""
    data = value.encode("utf-8", "replace")
    if len(data) <= bytes_max:
        return data.decode()
    return data[: bytes_max - 4].decode("utf-8", "ignore") + " …"
