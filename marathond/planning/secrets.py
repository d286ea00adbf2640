"""Refuses secrets that were written into a contract, where they would be kept for ever.

What is found is never repeated; only its kind and its place are told.
"""

from collections.abc import Iterable, Iterator

from marathond.attempt.redact import find_secrets
from marathond.planning.problems import KeyPath, Problems


def check_secrets(texts: Iterable[tuple[KeyPath, str]], problems: Problems, *, allowed: bool) -> None:
    """Refuses each text that holds a secret; where they are `allowed`, warns of it."""
    listed = list(texts)
    # one pass over everything costs a fraction of a pass over each, and nearly always finds nothing
    if not find_secrets(_encodable("\n\n".join(text for _, text in listed))):
        return
    for path, text in listed:
        several_lines = "\n" in text.rstrip("\n")
        for finding in find_secrets(_encodable(text)):
            where = f", in its line {finding.line}" if several_lines else ""
            what = f"contains what looks like a secret ({finding.name}){where}"
            if allowed:
                problems.warn(path, what)
            else:
                problems.add(path, f"{what}: hand it over by env; --allow-secrets keeps it in the contract")


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


def _encodable(text: str) -> str:
    return text.encode("utf-8", "replace").decode()
