"""`marathonctl` and `python -m marathonctl`."""

import sys


def main() -> None:
    """Runs the command line of this process and exits with its code."""
    from marathonctl.cli import main as run

    sys.exit(run())


if __name__ == "__main__":
    main()
