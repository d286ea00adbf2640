"""`config.toml` and the `environment` file: keys, defaults, refusals, and the page that lists them."""

import re
from pathlib import Path

import msgspec
import pytest

from marathond.config import AgentLimits, Config, load_config, load_environment
from marathond.domain.errors import MarathonError

PAGE = (Path(__file__).resolve().parents[1] / "docs" / "config.md").read_text()

OTHER_VALUES = {
    "slots": "slots = 3",
    "on_boot": 'on_boot = "ask"',
    "unsandboxed": "unsandboxed = true",
    "connections_max": "connections_max = 100",
    "log_level": 'log_level = "debug"',
    "agents.NAME.max_concurrent": "[agents.NAME]\nmax_concurrent = 2",
}


def keys() -> set[str]:
    """Every key that the configuration accepts."""
    plain = set(Config.__struct_fields__) - {"agents"}
    return plain | {f"agents.NAME.{field}" for field in AgentLimits.__struct_fields__}


def load(folder: Path, text: str) -> Config:
    """The configuration that a text gives."""
    (folder / "config.toml").write_text(text)
    return load_config(folder)


def test_the_page_lists_exactly_the_keys() -> None:
    """docs/config.md has a row for each key and for nothing else, with its default."""
    table = PAGE.split("## config.toml")[1].split("```")[0]
    rows = dict(re.findall(r"^\| `([^`]+)` \| [^|]* \| ([^|]*) \|", table, re.MULTILINE))
    assert set(rows) == keys()
    for name in ("on_boot", "unsandboxed", "connections_max", "log_level"):
        shown = msgspec.json.encode(getattr(Config(), name)).decode()
        assert rows[name] == (f"`{shown}`" if name != "connections_max" else shown)


def test_each_key_changes_what_is_loaded(tmp_path: Path) -> None:
    """No key is accepted and ignored: each one sets its own field and no other."""
    assert set(OTHER_VALUES) == keys()
    default = msgspec.structs.asdict(load_config(tmp_path))
    for key, text in OTHER_VALUES.items():
        found = msgspec.structs.asdict(load(tmp_path, text))
        assert {name for name in found if found[name] != default[name]} == {key.split(".")[0]}


@pytest.mark.parametrize("key", sorted(set(OTHER_VALUES)))
def test_each_key_is_used(key: str) -> None:
    """Some part of the daemon reads each key."""
    root = Path(__file__).resolve().parents[1] / "marathond"
    sources = "".join(path.read_text() for path in root.rglob("*.py") if path.name != "config.py")
    assert re.search(rf"\.{key.rpartition('.')[2]}\b", sources)


def test_the_example_on_the_page_loads(tmp_path: Path) -> None:
    """The TOML example is valid."""
    example = re.search(r"```toml\n(.*?)```", PAGE, re.DOTALL)
    assert example
    assert load(tmp_path, example[1]).agents == {"claude": AgentLimits(max_concurrent=2)}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("\nslotz = 3", "line 2, slotz: unknown key; did you mean 'slots'?"),
        ("colour = 3", "line 1, colour: unknown key; known are slots, on_boot"),
        ("slots = 0", "line 1, slots: expected `int` >= 1"),
        ("slots = true", "line 1, slots: expected `int`, got `bool`"),
        ('on_boot = "never"', "line 1, on_boot: invalid enum value 'never'"),
        ("[agents.claude]\nmax_concurrnt = 1", "line 2, max_concurrnt: unknown key; did you mean 'max_concurrent'?"),
        ("[agents.claude]\nmax_concurrent = 0", "line 2, max_concurrent: expected `int` >= 1"),
        ("agents = 1", "line 1, agents: expected `object`, got `int`"),
        ("slots = ", "line 1"),
        ("slots = 1\nslots = 2", "line 2"),
    ],
)
def test_a_mistake_is_named_with_its_line(tmp_path: Path, text: str, words: str) -> None:
    """Unknown keys, wrong types, values out of range and broken TOML are refused with 65, the place and the nearest word."""
    with pytest.raises(MarathonError) as caught:
        load(tmp_path, text)
    assert (caught.value.kind.slug, caught.value.kind.exit) == ("config_invalid", 65)
    assert words in caught.value.message
    assert str(tmp_path / "config.toml") in caught.value.message


def test_text_that_is_not_utf8_is_refused(tmp_path: Path) -> None:
    """Bytes that are no text, and a folder in place of the file, are named as such."""
    (tmp_path / "config.toml").write_bytes(b"\xff")
    with pytest.raises(MarathonError, match="not UTF-8"):
        load_config(tmp_path)
    (tmp_path / "environment").mkdir()
    with pytest.raises(MarathonError, match="cannot be read"):
        load_environment(tmp_path)


def test_the_environment_file_is_read_literally(tmp_path: Path) -> None:
    """Comments and blanks do not count, quotes around a value go, nothing is expanded, and a bad line is named."""
    assert load_environment(tmp_path) == {}
    (tmp_path / "environment").write_text(
        "# c\n\nA=1=2\n B = x\nC='a b'\nD=\"$A\"\nE=\nF='\n".replace(" B = x", " B=x")
    )
    assert load_environment(tmp_path) == {"A": "1=2", "B": "x", "C": "a b", "D": "$A", "E": "", "F": "'"}
    for bad in ("A", "1A=2", "A B=2", "=x"):
        (tmp_path / "environment").write_text(f"OK=1\n{bad}\n")
        with pytest.raises(MarathonError, match="line 2") as caught:
            load_environment(tmp_path)
        assert caught.value.kind.slug == "config_invalid"
