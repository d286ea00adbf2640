"""The layers hold: each module imports from its own layer and from those below, and the lowest knows nothing of the world."""

import ast
import sys

import pytest

from tests.support.sources import imports, modules, tree

LAYERS = (
    ("marathond.__main__",),
    ("marathond.app",),
    ("marathond.server",),
    ("marathond.engine",),
    ("marathond.planning", "marathond.validation", "marathond.delivery"),
    ("marathond.attempt",),
    ("marathond.agents",),
    ("marathond.workspace",),
    ("marathond.store",),
    ("marathond.config", "marathond.logs", "marathond.notify"),
    ("marathond.domain",),
    ("marathond.places",),
    ("marathond",),
)
"""From the top. `config`, `logs` and `notify` lean on nothing but the domain's words; `places` and the version on nothing at all."""

STANDARD_LIBRARY_ONLY = ("marathond", "marathond.places", "marathond.domain.errors", "marathond.domain.limits")
"""What the client may import too: it starts in milliseconds because it imports nothing heavier."""

CLIENT_MAY_IMPORT = {*STANDARD_LIBRARY_ONLY, "marathond.__version__"}
CLIENT_WITHOUT_DAEMON = "marathonctl.local"
"""`init`, `check` and `verify` need no daemon: this module does their work, with imports that it makes when it is called."""

PURE = {
    "bisect",
    "collections",
    "datetime",
    "decimal",
    "difflib",
    "hashlib",
    "heapq",
    "itertools",
    "re",
    "typing",
    "immutables",
    "msgspec",
    "rfc8785",
    "marathond",
}
"""What the domain may import. No file, socket, process, clock or randomness is among them."""

IMPURE_CALLS = {"open", "print", "input", "now", "today", "utcnow", "urandom"}


def layer(module: str) -> int:
    """How far from the top a module of the daemon is."""
    fitting = [
        (len(name), depth)
        for depth, names in enumerate(LAYERS)
        for name in names
        if f"{module}.".startswith(f"{name}.")
    ]
    return max(fitting)[1]


DAEMON = sorted(name for name in modules() if name.split(".")[0] == "marathond")
CLIENT = sorted(name for name in modules() if name.split(".")[0] == "marathonctl")


@pytest.mark.parametrize("module", DAEMON)
def test_a_module_imports_only_from_its_layer_and_below(module: str) -> None:
    """No import of the daemon's runs upwards, not even inside a function; the daemon never imports its client."""
    used = {name for name, _ in imports(modules()[module])}
    assert not {name for name in used if name.split(".")[0] == "marathonctl"}
    upwards = {n for n in used if n.split(".")[0] == "marathond" and layer(n) < layer(module)}
    assert not upwards, f"{module} imports {upwards}, which is above it"


def test_siblings_of_the_middle_layer_stay_apart() -> None:
    """Planning, validation and delivery share a layer and not a line: the engine is who brings them together."""
    for module in DAEMON:
        package = ".".join(module.split(".")[:2])
        if package in LAYERS[4]:
            used = {".".join(name.split(".")[:2]) for name, _ in imports(modules()[module])}
            assert not (used & set(LAYERS[4])) - {package}


@pytest.mark.parametrize("module", [name for name in DAEMON if name.startswith("marathond.domain")])
def test_the_domain_is_pure(module: str) -> None:
    """The core imports no I/O, clock or randomness, and does not reach for them by a built-in either."""
    path = modules()[module]
    assert {name.split(".")[0] for name, _ in imports(path)} <= PURE
    called = {
        node.func.id if isinstance(node.func, ast.Name) else node.func.attr
        for node in ast.walk(tree(path))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name | ast.Attribute)
    }
    assert not called & IMPURE_CALLS


@pytest.mark.parametrize("module", STANDARD_LIBRARY_ONLY)
def test_what_the_client_shares_needs_the_standard_library_only(module: str) -> None:
    """Places, errors and limits import nothing that has to be installed."""
    for name, _ in imports(modules()[module]):
        assert name.split(".")[0] in sys.stdlib_module_names, name


@pytest.mark.parametrize("module", CLIENT)
def test_the_client_is_thin(module: str) -> None:
    """The client imports the standard library, itself, and what it shares; all else only where no daemon is needed."""
    for name, at_once in imports(modules()[module]):
        top = name.split(".")[0]
        if top in sys.stdlib_module_names or top == "marathonctl":
            continue
        if module != CLIENT_WITHOUT_DAEMON:
            assert name in CLIENT_MAY_IMPORT, name
        elif name not in CLIENT_MAY_IMPORT:
            assert not at_once, f"{name} is imported by verbs that do not use it"
