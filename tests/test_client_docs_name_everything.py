"""docs/cli.md: every verb, option, exit code and JSON field is there, and nothing that is not."""

import argparse
import importlib
import re

import pytest

from marathonctl.cli import INTERRUPTED, PIPE_CLOSED, Parser
from marathonctl.commands import names
from marathonctl.follow import ENDINGS
from marathond.domain.errors import REGISTRY
from tests.support.ctl import REPOSITORY
from tests.support.sessions import INFO, status

DOCS = (REPOSITORY / "docs" / "cli.md").read_text()
SECTIONS = {s.split("\n", 1)[0]: s for s in re.split(r"^### ", DOCS, flags=re.MULTILINE)[1:]}


def options(verb: str) -> set[str]:
    """The long options of a verb, without the global ones."""
    parser = Parser(prog=verb, add_help=False)
    importlib.import_module(f"marathonctl.commands.{verb}").arguments(parser)
    return {flag for action in parser._actions for flag in action.option_strings if flag.startswith("--")}


def test_every_verb_has_its_section_and_no_other_word_has() -> None:
    """The verbs of the program and the sections of the page are the same, in the same order."""
    assert list(SECTIONS) == names()


@pytest.mark.parametrize("verb", names())
def test_every_option_is_in_its_verbs_section_and_none_is_invented(verb: str) -> None:
    """An option that is missing from the page, or that no longer exists, fails here."""
    mentioned = set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", SECTIONS[verb]))
    if verb == "run":
        assert "options of start" in SECTIONS[verb]
        mentioned |= options("start")
    others = {"--json", "--no-spawn"} | (options("run") if verb in ("resume", "retry") else set())
    others |= {"--no-follow"} if verb == "show" else set()
    assert options(verb) <= mentioned
    assert mentioned - options(verb) <= others


def test_every_positional_form_is_shown() -> None:
    """Each verb's form is written out."""
    for verb, section in SECTIONS.items():
        assert f"    marathonctl {verb}" in section


def test_every_exit_code_is_in_the_tables() -> None:
    """Codes of errors, of endings and of signals are all explained."""
    explained = {int(code) for code in re.findall(r"^\| (\d+) \|", DOCS, flags=re.MULTILINE)}
    used = {kind.exit for kind in REGISTRY.values()} | set(ENDINGS.values()) | {PIPE_CLOSED, INTERRUPTED}
    assert used == explained


@pytest.mark.parametrize(
    ("verb", "fields"),
    [("status", [*status("running"), *status("running")["tasks"][0]]), ("daemon", [*INFO])],
)
def test_every_field_of_the_json_is_named(verb: str, fields: list[str]) -> None:
    """The fields that the daemon answers are listed where the verb is described."""
    words = set(re.findall(r"[a-z_]+", SECTIONS[verb]))
    assert set(fields) <= words


def test_global_options_are_listed() -> None:
    """The options that every verb takes have their own table."""
    from marathonctl.cli import _parse

    parser = Parser(prog="x")
    _parse(parser, [])
    flags = {flag for action in parser._actions for flag in action.option_strings if flag.startswith("--")}
    assert all(f"| `{flag}" in DOCS for flag in flags)
    assert isinstance(parser, argparse.ArgumentParser)
