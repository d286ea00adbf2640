"""docs/agents.md and the code say the same."""

import re
import tomllib
from pathlib import Path
from typing import get_args

from marathond.agents import registry, script
from marathond.agents.profile import (
    PLACEHOLDERS,
    SYNONYMS,
    TABLES,
    LimitKind,
    LimitRule,
    Profile,
    ReaderName,
    Scope,
    canonical_keys,
    check,
)
from marathond.agents.readers import READERS

DOCS = (Path(__file__).parents[1] / "docs/agents.md").read_text()


def rows(heading: str) -> set[str]:
    """The names in the first column of the tables under a heading."""
    section = re.split(r"\n#+ ", DOCS.partition(f"# {heading}\n")[2])[0]
    found = set()
    for line in section.splitlines():
        if line.startswith("| `"):
            found |= {match.partition(" ")[0] for match in re.findall(r"`([^`]+)`", line.split("|")[1])}
    return found


def test_every_key_is_documented_and_every_documented_key_exists() -> None:
    """The table of keys holds exactly the keys that a profile may have."""
    keys = {"extends", *Profile.__struct_fields__} - set(TABLES)
    keys |= {f"{table}.{key}" for table, struct in TABLES.items() for key in struct.__struct_fields__}
    assert rows("Keys") == keys
    assert rows("Limits") == set(LimitRule.__struct_fields__)


def test_every_word_is_documented() -> None:
    """Readers, scopes, kinds of limits, placeholders, synonyms and actions are all explained."""
    assert rows("Readers") == set(get_args(ReaderName)) == set(READERS)
    assert rows("`scripted`") == set(script.ACTIONS)
    words = [
        *get_args(Scope),
        *get_args(LimitKind),
        *SYNONYMS,
        *script.USAGE_FIELDS,
        *(f"{{{name}}}" for name in PLACEHOLDERS),
    ]
    assert [word for word in words if f"`{word}`" not in DOCS] == []
    assert get_args(LimitKind) == script.LIMIT_KINDS
    assert [name for name in registry.load(None).names() if f"| `{name}` |" not in DOCS] == []


def test_the_examples_are_right() -> None:
    """Every TOML example is a profile without mistakes, or a script that can be played."""
    examples = re.findall(r"```toml\n(.*?)```", DOCS, re.DOTALL)
    assert len(examples) >= 4
    for example in examples:
        if "[[do]]" in example:
            assert script.problems(example) == []
        else:
            assert check(canonical_keys(tomllib.loads(example)), "example") == []
