"""No silent skips: with `CI` set, what would be skipped fails and says why."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[1]
MODULES = {
    "test_marked.py": "import pytest\n\n@pytest.mark.skip(reason='no reason at all')\ndef test_it(): pass\n",
    "test_inside.py": "import pytest\n\ndef test_it(): pytest.skip('not today')\n",
    "test_whole.py": "import pytest\n\npytest.importorskip('no_such_module_anywhere')\n",
    "test_expected.py": "import pytest\n\n@pytest.mark.xfail\ndef test_it(): assert False\n",
}


def run(folder: Path, ci: str, workers: int) -> str:
    """What pytest says about the modules, with our plugin, `CI` as given, and as many worker processes (0: none)."""
    for name, text in MODULES.items():
        (folder / name).write_text(text)
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "tests.support.no_skips",
        "-p",
        "no:cacheprovider",
        "-n",
        str(workers),
    ]
    command += ["-c", os.devnull, "--rootdir", str(folder), "--continue-on-collection-errors", str(folder)]
    env = {**os.environ, "CI": ci}
    return subprocess.run(command, cwd=REPOSITORY, env=env, capture_output=True, text=True, check=False).stdout


@pytest.mark.parametrize("workers", [0, 2])
def test_a_skip_fails_and_says_why(tmp_path: Path, workers: int) -> None:
    """A mark, a call and a module that skips all fail under CI, in workers too; what is expected to fail is not a skip."""
    said = run(tmp_path, "true", workers)
    assert all(count in said for count in ("1 failed", "1 xfailed", "2 errors")), said
    for reason in ("no reason at all", "not today", "no_such_module_anywhere"):
        assert reason in said


def test_a_skip_is_allowed_elsewhere(tmp_path: Path) -> None:
    """Without CI a skip is a skip."""
    assert "3 skipped, 1 xfailed" in run(tmp_path, "", 0)
