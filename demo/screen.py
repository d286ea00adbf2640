"""How the demo speaks: headings, remarks and the lines of the programs that it runs."""

import os
import sys

_COLOUR = sys.stdout.isatty() and "NO_COLOR" not in os.environ and os.environ.get("TERM") != "dumb"
_CODES = {"bold": "1", "dim": "2", "red": "31", "green": "32", "yellow": "33", "cyan": "36"}


def paint(text: str, *names: str) -> str:
    """`text` in colour, where there are colours."""
    return f"\x1b[{';'.join(_CODES[name] for name in names)}m{text}\x1b[0m" if _COLOUR and text else text


def say(text: str = "") -> None:
    """A line, at once."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def heading(text: str) -> None:
    """A new chapter."""
    say(f"\n{paint(text, 'bold')}")


def remark(text: str) -> None:
    """What the demo itself does, between the lines of the programs."""
    say(f"  {paint('▌', 'yellow')} {paint(text, 'yellow')}")


def command(words: str) -> None:
    """A command as one would type it."""
    say(f"  {paint('$ ' + words, 'cyan')}")


def output(text: str) -> None:
    """What a program printed."""
    for line in text.rstrip().splitlines():
        say(f"  {line}")


def diff(text: str) -> None:
    """A diff, with what was added in green."""
    for line in text.rstrip().splitlines():
        added, removed = line.startswith("+") and not line.startswith("+++"), line.startswith("-") and line[:3] != "---"
        say(f"  {paint(line, 'green') if added else paint(line, 'red') if removed else paint(line, 'dim')}")
