"""What is installed from the wheel is whole: without development dependencies and away from the source tree it runs a session."""

import json
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import venv
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[1]
DEVELOPMENT = {"pytest", "hypothesis", "mypy", "ruff", "build", "hatchling"}
PLAN = """
name = "installed"
[workspace]
repo = "repo"
[[task]]
id = "write"
agent = "scripted"
prompt = '''
[[do]]
write = { path = "hello.txt", text = "hello" }
'''
[[task.check]]
run = "grep -q hello hello.txt"
[[task]]
id = "read"
needs = ["write"]
run = "cat hello.txt"
"""

pytestmark = pytest.mark.timeout(300)


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the source distribution, and the wheel that was built from it and from nothing else."""
    folder = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(folder), str(REPOSITORY)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


@pytest.fixture
def place() -> Iterator[Path]:
    """A temporary folder with a short path: a socket is in it."""
    path = Path(tempfile.mkdtemp(prefix="mw-"))
    yield path
    shutil.rmtree(path, ignore_errors=True)


def test_the_wheel_carries_what_is_not_python(built: Path) -> None:
    """The schema, the systemd units, the agents' profiles and the license travel with the wheel; tests do not."""
    names = set(zipfile.ZipFile(next(built.glob("*.whl"))).namelist())
    units = {f"marathond/systemd/{path.name}" for path in (REPOSITORY / "systemd").iterdir()}
    profiles = {
        f"marathond/agents/profiles/{p.name}" for p in (REPOSITORY / "marathond/agents/profiles").glob("*.toml")
    }
    assert {"marathond/schema.sql", *units, *profiles} <= names
    assert any(name.endswith("/LICENSE") for name in names)
    tops = {name.split("/")[0] for name in names}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"marathond", "marathonctl"}


def test_the_source_distribution_carries_what_a_person_needs(built: Path) -> None:
    """Docs, examples, tests and the way to run them are in the source distribution; nothing that was installed is."""
    with tarfile.open(next(built.glob("*.tar.gz"))) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    for needed in (
        "Makefile",
        "README.md",
        "CHANGELOG.md",
        "CONTRIBUTING.md",
        "schema.sql",
        "docs/cli.md",
        "tests/conftest.py",
        "demo/run.py",
    ):
        assert needed in names, needed
    assert not {name for name in names if "node_modules" in name or "__pycache__" in name}


def test_a_session_runs_with_nothing_but_the_wheel(built: Path, place: Path) -> None:
    """In a clean environment, by the installed commands alone: started, checked, delivered, verified."""
    venv.create(place / "venv", with_pip=False)  # the pip that is here installs into it: one less to unpack
    bin_ = place / "venv" / "bin"
    env = {
        "PATH": f"{bin_}:{os.environ['PATH']}", "HOME": str(place), "MARATHON_STATE_DIR": str(place / "state"),
        "MARATHON_CONFIG_DIR": str(place / "config"), "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_COUNT": "2", "GIT_CONFIG_KEY_0": "user.name", "GIT_CONFIG_VALUE_0": "A User",
        "GIT_CONFIG_KEY_1": "user.email", "GIT_CONFIG_VALUE_1": "user@example.org",
    }  # fmt: skip

    def do(*words: str, environ: dict[str, str] = env) -> str:
        done = subprocess.run(words, cwd=place / "repo", env=environ, capture_output=True, text=True, check=False)
        assert done.returncode == 0, (words, done.stdout, done.stderr)
        return done.stdout

    (place / "repo").mkdir()
    (place / "plan.toml").write_text(PLAN)
    installer = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "VIRTUAL_ENV")}
    wheel = str(next(built.glob("*.whl")))
    pip = [sys.executable, "-m", "pip", "--python", str(bin_ / "python"), "--disable-pip-version-check"]
    do(*pip, "install", "--quiet", "--no-compile", wheel, environ=installer)
    installed = json.loads(do(*pip, "list", "--format", "json", environ=installer))
    assert not DEVELOPMENT & {package["name"].lower() for package in installed}

    do("git", "init", "-q", "-b", "main", ".")
    do("git", "commit", "-q", "--allow-empty", "-m", "base")
    try:
        ended = json.loads(do(str(bin_ / "marathonctl"), "run", str(place / "plan.toml"), "--json"))
        assert (ended["state"], ended["branch"], ended["exit"]) == ("done", "marathon/installed", 0)
        assert do("git", "show", "marathon/installed:hello.txt") == "hello"
        assert json.loads(do(str(bin_ / "marathonctl"), "verify", "--json"))["ok"] is True
    finally:
        do(str(bin_ / "marathonctl"), "daemon", "stop", "--halt")
    assert json.loads(do(str(bin_ / "marathonctl"), "verify", "--json", "--no-spawn"))["ok"] is True
