"""The branch of a delivery is made from the session's name, and is accepted exactly when git accepts it."""

import re
import subprocess

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from marathond.planning.branches import branch_name, slug


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("add-json-export", "add-json-export"),
        ("Füge JSON hinzu!", "fuge-json-hinzu"),
        ("  a__b//c  ", "a-b-c"),
        ("日本語", "session"),
        ("v1.2", "v1-2"),
    ],
)
def test_slug(name: str, expected: str) -> None:
    """A name becomes something that reads well in a branch."""
    assert slug(name) == expected
    assert branch_name("marathon/{name}", name) == f"marathon/{expected}"


@given(st.text(max_size=64))
def test_slug_keeps_to_its_letters(name: str) -> None:
    """Every slug is in [a-z0-9-], never empty, and makes a branch that git takes."""
    assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", slug(name))
    assert branch_name("marathon/{name}", name)


@settings(max_examples=200, deadline=None)
@given(st.text(st.sampled_from("ab-/.@~^:?*[\\ \t\x7flock{é"), min_size=1, max_size=12))
@example("a.lock")
@example("a.lock/b")
@example("HEAD")
@example("-a")
@example("a@{b")
@example("a/.b")
@example("a.")
def test_git_agrees(branch: str) -> None:
    """What is accepted here is accepted by `git check-ref-format --branch`, and the other way round."""
    assume(branch != "@")  # git takes it for a branch and everywhere else reads it as HEAD
    git = subprocess.run(["git", "check-ref-format", "--branch", branch], capture_output=True, check=False)
    try:
        assert branch_name(branch, "x") == branch
        accepted = True
    except ValueError:
        accepted = False
    assert accepted == (git.returncode == 0), branch
