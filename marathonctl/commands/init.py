"""`marathonctl init [FILE]`: writes a commented starter contract; needs no daemon."""

from argparse import ArgumentParser
from pathlib import Path

from marathonctl.context import Context
from marathonctl.local import starter
from marathonctl.render import json
from marathond.domain.errors import USAGE, MarathonError

EXAMPLE = """\
  marathonctl init
  marathonctl init nightly.toml"""


def arguments(parser: ArgumentParser) -> None:
    """FILE, and whether an old one may go."""
    parser.add_argument("file", metavar="FILE", nargs="?", default="plan.toml", help="default: plan.toml")
    parser.add_argument("--force", action="store_true", help="write over a file that exists")


def run(context: Context) -> int:
    """Writes the file; refuses to write over one unless forced."""
    path = Path(context.args.file)
    text = starter(path.absolute().parent)
    try:
        with path.open("w" if context.args.force else "x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        reason, hint = f"{path} exists", "Use --force to write over it, or give another FILE."
        raise MarathonError(USAGE, reason=reason, hint=hint) from None
    except OSError as error:
        reason = f"{path} cannot be written: {error.strerror}"
        raise MarathonError(USAGE, reason=reason, hint="Give a FILE in a folder that exists.") from error
    if context.json:
        json.emit({"path": str(path.absolute())})
    else:
        context.say(f"Wrote {path}. Say what is to be done in it, then `marathonctl run {path}`.")
    return 0
