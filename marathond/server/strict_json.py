"""Reading JSON from a stranger: strict, bounded, and with one meaning only.

msgspec refuses NaN, numbers that overflow, invalid UTF-8 and lone surrogates (RFC 8259 leaves those open). Two things are added
here: a limit on nesting that is checked before parsing, and a refusal of objects that name a key twice, because readers
disagree about which of the two counts.
"""

import re
from typing import Any, Final

import msgspec

from marathond.domain.errors import PARSE_ERROR, MarathonError
from marathond.domain.limits import FRAME_DEPTH_MAX

_STRING: Final = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"', re.DOTALL)
_NOT_BRACKETS: Final = bytes(set(range(256)) - set(b"[]{}"))
_ONE_SHAPE: Final = bytes.maketrans(b"{}", b"[]")
_decode: Final = msgspec.json.Decoder().decode


def read_json(text: bytes, depth_max: int = FRAME_DEPTH_MAX) -> Any:
    """The value that `text` holds. Raises `MarathonError(PARSE_ERROR)`."""
    outside_strings = _STRING.sub(b"", text) if b'"' in text else text
    if _is_deeper(outside_strings, depth_max):
        raise _refusal(f"brackets are nested more than {depth_max} deep, or do not match")
    try:
        value = _decode(text)
    except RecursionError:
        raise _refusal("brackets are nested too deep") from None
    except UnicodeDecodeError:
        raise _refusal("the text is not valid UTF-8") from None
    except (msgspec.DecodeError, ValueError) as exc:
        raise _refusal(_plain(exc)) from None
    if outside_strings.count(b":") != _count_keys(value):
        raise _refusal("an object names the same key twice")
    return value


def _is_deeper(outside_strings: bytes, depth_max: int) -> bool:
    """Whether brackets nest deeper than `depth_max`: each round strips the innermost pairs, at the speed of C."""
    if outside_strings.count(b"[") + outside_strings.count(b"{") <= depth_max:
        return False
    brackets = outside_strings.translate(_ONE_SHAPE, _NOT_BRACKETS)
    for _ in range(depth_max):
        brackets = brackets.replace(b"[]", b"")
    return bool(brackets)


def _count_keys(value: object) -> int:
    if isinstance(value, dict):
        return len(value) + sum(map(_count_keys, value.values()))
    if isinstance(value, list):
        return sum(map(_count_keys, value))
    return 0


def _plain(exc: Exception) -> str:
    reason = str(exc).removeprefix("JSON is malformed: ").rstrip(".")
    return reason[:1].lower() + reason[1:]


def _refusal(reason: str) -> MarathonError:
    return MarathonError(PARSE_ERROR, reason=reason)
