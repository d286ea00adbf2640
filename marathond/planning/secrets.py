"""Finds secrets that were written into a contract, where they would be kept for ever.

Three things are told: tokens in the formats that their makers publish, private keys in PEM, and a value of high entropy
right beside a word such as `token`. What is found is never repeated; only its kind and place are.
"""

import math
import re
from collections import Counter
from collections.abc import Iterator
from typing import Final, NamedTuple

from marathond.planning.problems import KeyPath, Problems

_FORMATS: Final = {
    "Anthropic key": r"sk-ant-[A-Za-z0-9_-]{20,}",
    "OpenAI key": r"sk-(?:proj-|svcacct-|admin-)?[A-Za-z0-9_-]{32,}",
    "GitHub token": r"gh[opusr]_[A-Za-z0-9]{36,}|github_pat_[A-Za-z0-9_]{50,}",
    "GitLab token": r"glpat-[A-Za-z0-9_-]{20,}",
    "AWS access key": r"(?:AKIA|ASIA)[A-Z0-9]{16}",
    "Google API key": r"AIza[A-Za-z0-9_-]{35}",
    "Slack token": r"xox[abeoprs]-[A-Za-z0-9-]{10,}",
    "npm token": r"npm_[A-Za-z0-9]{36}",
    "PyPI token": r"pypi-[A-Za-z0-9_-]{50,}",
    "Hugging Face token": r"hf_[A-Za-z0-9]{30,}",
    "Stripe key": r"[rs]k_live_[A-Za-z0-9]{20,}",
    "JSON Web Token": r"eyJ[A-Za-z0-9_-]{10,}\.eyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{10,}",
}
_GROUPS: Final = {f"f{number}": kind for number, kind in enumerate(_FORMATS)}
_PREFIXED: Final = re.compile(
    r"(?<![A-Za-z0-9])(?:" + "|".join(f"(?P<f{n}>{form})" for n, form in enumerate(_FORMATS.values())) + ")"
)
_PEM: Final = re.compile(r"-----BEGIN [A-Z ]{0,40}PRIVATE KEY-----")
_BESIDE_WORD: Final = re.compile(
    r"(?:key|token|secret|passwd|password|credential)s?[\"']?\s{0,4}(?:[:=]|\bis\b)\s{0,4}[\"']?([A-Za-z0-9+/_=-]{20,200})",
    re.IGNORECASE,
)
_BEARER: Final = re.compile(r"\bBearer\s+([A-Za-z0-9+/_=.-]{20,})")
_ENTROPY_MIN: Final = 3.7
"""Bits per character; words and paths of twenty characters stay below, random base64 and long hex come out above."""


class Secret(NamedTuple):
    """Something that looks like a secret: what kind, and how many lines into the text."""

    kind: str
    line: int


def find_secrets(text: str) -> list[Secret]:
    """Everything in `text` that looks like a secret, in order of appearance."""
    return [Secret(kind, text.count("\n", 0, at)) for at, kind in sorted(_hits(text))]


def check_secrets(texts: Iterator[tuple[KeyPath, str]], problems: Problems, *, allowed: bool) -> None:
    """Refuses each text that holds a secret; where they are `allowed`, warns of it."""
    for path, text in texts:
        for kind in dict.fromkeys(secret.kind for secret in find_secrets(text)):
            what = f"contains what looks like a secret ({kind})"
            if allowed:
                problems.warn(path, what)
            else:
                problems.add(
                    path,
                    f"{what}, which a contract would keep for ever: hand it over by env; --allow-secrets overrides",
                )


def texts_of(value: object, path: KeyPath = ()) -> Iterator[tuple[KeyPath, str]]:
    """Each text in plain data with its place; the value of a variable is preceded by the variable's name."""
    if isinstance(value, str):
        named = path[:1] == ("variables",) and isinstance(path[-1], str)
        yield path, f"{path[-1]}={value}" if named else value
    elif isinstance(value, dict):
        for key, each in value.items():
            yield from texts_of(each, (*path, key))
    elif isinstance(value, (list, tuple)):
        for index, each in enumerate(value):
            yield from texts_of(each, (*path, index))


def _hits(text: str) -> Iterator[tuple[int, str]]:
    covered = -1
    for match in _PREFIXED.finditer(text):
        covered = match.end()
        yield match.start(), _GROUPS[match.lastgroup or ""]
    for match in _PEM.finditer(text):
        yield match.start(), "private key"
    for pattern in (_BESIDE_WORD, _BEARER):
        for match in pattern.finditer(text):
            if match.start(1) >= covered and _is_random(match[1]):
                yield match.start(1), "random value beside a key word"


def _is_random(value: str) -> bool:
    if not (re.search(r"\d", value) and re.search(r"[A-Za-z]", value)):
        return False
    counts = Counter(value)
    bits = -sum(n / len(value) * math.log2(n / len(value)) for n in counts.values())
    return bits >= (_ENTROPY_MIN if not re.fullmatch(r"[0-9a-fA-F-]+", value) else 3.0)
