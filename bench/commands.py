"""How long a daemon takes until it answers, and what a command costs. Prints; asserts nothing.

python bench/commands.py
"""

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

_TIMES = 10


def _ms(command: list[str], env: dict[str, str]) -> float:
    """The median of several runs, in milliseconds."""
    took = []
    for _ in range(_TIMES):
        begin = time.perf_counter()
        subprocess.run(command, env=env, stdout=subprocess.DEVNULL, check=True)
        took.append((time.perf_counter() - begin) * 1e3)
    return sorted(took)[_TIMES // 2]


def main() -> None:
    """Starts a daemon of its own in a temporary folder, measures, and stops it."""
    client = [sys.executable, "-m", "marathonctl"]
    with tempfile.TemporaryDirectory(prefix="mb-") as folder:
        places = {
            "MARATHON_STATE_DIR": str(Path(folder) / "state"),
            "MARATHON_CONFIG_DIR": str(Path(folder) / "config"),
        }
        env = {**os.environ, **places}
        print(f"python: {_ms([sys.executable, '-c', ''], env):.0f} ms for an empty program, to compare with")
        print(f"client: {_ms([*client, '--help'], env):.0f} ms for --help")
        begin = time.perf_counter()
        subprocess.run([*client, "daemon", "start"], env=env, stdout=subprocess.DEVNULL, check=True)
        print(f"daemon: {(time.perf_counter() - begin) * 1e3:.0f} ms until a new one answers")
        try:
            print(f"client: {_ms([*client, 'list'], env):.0f} ms for list")
        finally:
            subprocess.run([*client, "daemon", "stop", "--halt"], env=env, stdout=subprocess.DEVNULL, check=True)


if __name__ == "__main__":
    main()
