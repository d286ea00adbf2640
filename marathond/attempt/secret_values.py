"""Secrets that are known exactly: which variables hold them, and the forms in which a program may print them.

Standard library only: the supervisor imports it.
"""

import base64
import json
import os
from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase
from typing import Final
from urllib.parse import quote, quote_plus

from marathond.domain.limits import SECRET_BYTES_MIN

_TELLING_WORDS: Final = ("KEY", "TOKEN", "SECRET", "PASSWORD")
_NEVER_SECRET: Final = frozenset({"true", "false", "disabled", "enabled", "unlimited"})


def secret_values(env: Mapping[str, str], secret_names: Iterable[str] = ()) -> dict[str, str]:
    """The variables of `env` whose values are secret, by name.

    Secret are names that contain KEY, TOKEN, SECRET or PASSWORD in any case, and those that `secret_names` (names or globs, a
    profile's `secret_env`) lists. Values under 8 bytes are left out: they would match all over ordinary text.
    """
    patterns = tuple(secret_names)
    return {
        name: value
        for name, value in env.items()
        if len(os.fsencode(value)) >= SECRET_BYTES_MIN
        and value.lower() not in _NEVER_SECRET
        and (any(word in name.upper() for word in _TELLING_WORDS) or any(fnmatchcase(name, p) for p in patterns))
    }


def forms(value: str) -> set[bytes]:
    """All byte strings that give the secret `value` away.

    As it is; escaped for JSON (once and twice, ASCII-only or not, with `\\/`); percent-encoded; in hexadecimal. For Base64, which
    may be broken into lines anywhere, see `base64_forms`.
    """
    found: set[bytes] = set()
    for text, raw in _spellings(value):
        found |= {raw, *_json_forms(text), *_url_forms(raw), raw.hex().encode(), raw.hex().upper().encode()}
    return {form for form in found if len(form) >= SECRET_BYTES_MIN}


def base64_forms(value: str) -> set[bytes]:
    """The runs of Base64 characters, without line ends, that give the secret `value` away.

    In both alphabets, at each of the three alignments it can have inside a longer encoded text. Of an unaligned form the first and
    last character, which also hold bits of the neighbours, are not counted in.
    """
    found = {form for _, raw in _spellings(value) for form in _base64_forms(raw)}
    return {form for form in found if len(form) >= SECRET_BYTES_MIN}


def _spellings(value: str) -> list[tuple[str, bytes]]:
    """A value as it is, and without the space around it that a program may drop; as text and as bytes."""
    both = [(text, os.fsencode(text)) for text in {value, value.strip()}]
    return [(text, raw) for text, raw in both if len(raw) >= SECRET_BYTES_MIN]


def _json_forms(text: str) -> set[bytes]:
    once = {json.dumps(text, ensure_ascii=ascii_only)[1:-1] for ascii_only in (True, False)}
    once |= {form.replace("/", "\\/") for form in once}
    # Encoders for the web also escape these three (Go's encoding/json does by default).
    once |= {form.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026") for form in once}
    twice = {json.dumps(form)[1:-1] for form in once}
    return {os.fsencode(form) for form in once | twice}


def _url_forms(raw: bytes) -> set[bytes]:
    upper = {quote(raw, safe=""), quote(raw, safe="/"), quote_plus(raw)}
    lower = {_lower_escapes(form) for form in upper}
    return {form.encode() for form in upper | lower}


def _lower_escapes(form: str) -> str:
    first, *rest = form.split("%")
    return "%".join([first, *(part[:2].lower() + part[2:] for part in rest)])


def _base64_forms(raw: bytes) -> set[bytes]:
    found = set()
    for encode in (base64.b64encode, base64.urlsafe_b64encode):
        for offset in range(3):
            text = encode(b"\0" * offset + raw)
            first = -(-offset * 8 // 6)
            last = (offset + len(raw)) * 8 // 6
            found.add(text[first:last])
    return found
