"""What a newcomer may rely on: small modules, words on everything public, and a promise on every test."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from marathond.domain import errors
from tests.support.sources import REPOSITORY, modules, tree

LINES_MAX = 400
LONGER = {
    "marathond.domain.entries": "the list of everything that can be recorded: one place, read from top to bottom",
}
TESTS = sorted((REPOSITORY / "tests").glob("test_*.py"))

Documented = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef


def public(node: Documented, prefix: str = "") -> Iterator[tuple[str, Documented]]:
    """A module or class, and what is public in it."""
    yield prefix, node
    for child in node.body:
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) and not child.name.startswith("_"):
            name = f"{prefix}.{child.name}".lstrip(".")
            if isinstance(child, ast.ClassDef):
                yield from public(child, name)
            elif not _explained_elsewhere(child):
                yield name, child


def _explained_elsewhere(function: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    """A setter or an overload says what its first form says."""
    names = {ast.unparse(decorator) for decorator in function.decorator_list}
    return any(name.endswith((".setter", "overload")) for name in names)


@pytest.mark.parametrize("module", modules())
def test_modules_are_small(module: str) -> None:
    """No module is longer than 400 lines, but for those that are named here with the reason."""
    lines = len(modules()[module].read_text().splitlines())
    assert lines <= LINES_MAX or module in LONGER


def test_the_exceptions_are_needed() -> None:
    """An exception that is no longer needed goes."""
    for module in LONGER:
        assert len(modules()[module].read_text().splitlines()) > LINES_MAX


@pytest.mark.parametrize("module", modules())
def test_everything_public_has_its_words(module: str) -> None:
    """Modules, classes, functions and methods that others may use say what they are."""
    silent = [name or "the module" for name, node in public(tree(modules()[module])) if not ast.get_docstring(node)]
    assert not silent, f"{module}: {', '.join(silent)}"


@pytest.mark.parametrize("path", TESTS, ids=lambda path: path.stem)
def test_every_test_says_what_it_promises(path: Path) -> None:
    """A test file and each of its tests begin with a sentence: what is promised."""
    whole = tree(path)
    assert ast.get_docstring(whole)
    for node in whole.body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_"):
            assert ast.get_docstring(node), node.name


def test_every_registered_error_is_raised() -> None:
    """An error that nothing raises is not documented as if it could come."""
    kinds = {name for name, value in vars(errors).items() if isinstance(value, errors.ErrorKind)}
    calls = (
        node
        for module, path in modules().items()
        if module != errors.__name__
        for node in ast.walk(tree(path))
        if isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Name)
    )
    assert kinds - {call.args[0].id for call in calls if isinstance(call.args[0], ast.Name)} == set()
