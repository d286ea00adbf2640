"""The command line: global options, the choice of the verb, help, and how errors leave the program."""

import argparse
import importlib
import os
import sys
from collections.abc import Sequence
from typing import NoReturn, Protocol, cast

from marathonctl.commands import ELSEWHERE, VERBS, names, summary
from marathonctl.context import Context
from marathonctl.render.style import columns
from marathonctl.stdio import discard, open_streams
from marathonctl.usage import did_you_mean, usage
from marathond.domain.errors import INTERNAL, OUTPUT_UNWRITABLE, USAGE, MarathonError

PIPE_CLOSED = 141
"""The exit code when whoever read our output went away: what a shell shows for a program ended by SIGPIPE."""

INTERRUPTED = 130

_EXIT_CODES = """\
Exit codes: 0 done · 1 lock held · 2 resume invalid · 3 partial artifacts · 4 failed · 5 held, a person must answer
  64 usage or refused by state · 65 bad contract · 66 no such session · 69 daemon unreachable · 70 internal
  77 not permitted · 130 halted or aborted by the user"""


class Verb(Protocol):
    """What a module of `marathonctl.commands` offers."""

    EXAMPLE: str

    def arguments(self, parser: argparse.ArgumentParser) -> None:
        """Adds the verb's arguments."""

    def run(self, context: Context) -> int:
        """Does it and returns the exit code."""


def _formatter(prog: str) -> argparse.HelpFormatter:
    """argparse's own, told the width: asking for it costs argparse an import of shutil, each time."""
    return argparse.RawDescriptionHelpFormatter(prog, width=columns() - 2)


class Parser(argparse.ArgumentParser):
    """argparse with our errors: exit 64, one sentence, and the nearest right word."""

    def error(self, message: str) -> NoReturn:
        """Raises `usage`."""
        raise usage(message, self.prog, _nearest_choice(message))


def _nearest_choice(message: str) -> str:
    """The hint for argparse's "invalid choice: 'stat' (choose from 'info', 'start')"; empty for other complaints."""
    word, _, choices = message.partition("invalid choice: ")[2].rstrip(")").partition(" (choose from ")
    return did_you_mean(word.strip("'"), choices.replace("'", "").split(", ")) if choices else ""


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command line and returns its exit code; never raises."""
    words = list(sys.argv[1:] if argv is None else argv)
    as_json = "--json" in words
    open_streams()
    try:
        code = _run(words)
        sys.stdout.flush()
    except BrokenPipeError:
        discard(sys.stdout)
        return PIPE_CLOSED
    except KeyboardInterrupt:
        return INTERRUPTED
    except MarathonError as error:
        if error.kind is OUTPUT_UNWRITABLE:
            discard(sys.stdout)
            return _refuse(error, as_json=False)
        return _refuse(error, as_json=as_json)
    except FileNotFoundError as error:
        return _refuse(_no_folder() or _unforeseen(error), as_json=as_json)
    except Exception as error:  # noqa: BLE001 - the last resort: a user never sees a traceback
        return _refuse(_unforeseen(error), as_json=as_json)
    return code


def _no_folder() -> MarathonError | None:
    """The error for a current folder that was removed; None when it is there."""
    try:
        os.getcwd()  # noqa: PTH109 - pathlib costs more
    except FileNotFoundError:
        return usage("the current folder does not exist any more", hint="Go to another one.")
    return None


def _run(words: list[str]) -> int:
    before, rest = _split(words)
    if rest[:1] == ["help"]:
        before, rest = ([*before, "--help"], []) if not rest[1:] else (before, [rest[1], "--help"])
    if "--version" in before:
        from marathonctl.commands import version

        return version.run(Context(_parse(Parser(prog="marathonctl"), [w for w in before if w != "--version"])))
    if {"-h", "--help"} & set(before):
        sys.stdout.write(_help())
        return 0
    if not rest:
        _parse(Parser(prog="marathonctl"), before)
        sys.stderr.write(_help())
        return USAGE.exit
    verb = _verb(rest[0])
    parser = Parser(
        prog=f"marathonctl {rest[0]}",
        description=f"{summary(rest[0])[:1].upper()}{summary(rest[0])[1:]}.",
        epilog=f"example:\n{verb.EXAMPLE}",
        formatter_class=_formatter,
        allow_abbrev=False,
    )
    verb.arguments(parser)
    try:
        args = _parse(parser, before + rest[1:])
    except SystemExit:  # --help has printed
        return 0
    return verb.run(Context(args))


def _split(words: list[str]) -> tuple[list[str], list[str]]:
    """The global options before the verb, and the verb with everything after it."""
    position = 0
    while position < len(words) and words[position].startswith("-"):
        position += 2 if words[position] == "--socket" else 1
    return words[:position], words[position:]


def _verb(name: str) -> Verb:
    if name not in names():
        near = f"Did you mean `{ELSEWHERE[name]}`?" if name in ELSEWHERE else did_you_mean(name, names())
        raise usage(f"there is no verb {name!r}", hint=near or "See `marathonctl --help`.")
    return cast("Verb", importlib.import_module(f"marathonctl.commands.{name}"))


def _parse(parser: argparse.ArgumentParser, words: list[str]) -> argparse.Namespace:
    common = parser.add_argument_group("global options")
    common.add_argument("--json", action="store_true", help="print JSON for programs")
    common.add_argument("--no-spawn", action="store_true", help="never start a daemon")
    common.add_argument("--socket", metavar="PATH", help="the daemon's socket (default: $MARATHON_SOCKET)")
    args, unknown = parser.parse_known_intermixed_args(words)
    options = [word for word in unknown if word.startswith("-") and word != "-"]
    if options:
        name = options[0].partition("=")[0]
        known = [flag for action in parser._actions for flag in action.option_strings]
        raise usage(f"there is no option {name}", parser.prog, did_you_mean(name, known))
    if unknown:
        raise usage(f"there is no room for {unknown[0]!r}", parser.prog)
    return args


def _help() -> str:
    lines = [
        "Marathon runs long AI coding jobs so that nothing is lost and nothing is done twice.",
        "",
        "usage: marathonctl [--json] [--no-spawn] [--socket PATH] VERB …",
        "       marathonctl VERB --help | --version",
    ]
    for group, verbs in VERBS.items():
        lines += ["", group]
        lines += [f"  {name:<8} {text}" for name, text in verbs.items()]
    lines += [
        "",
        "A SESSION is an id or a unique prefix of one; without it the newest session of this repository is meant.",
    ]
    return "\n".join([*lines, "", _EXIT_CODES, ""])


def _refuse(error: MarathonError, *, as_json: bool) -> int:
    """Tells the user and returns the error's exit code. What standard output does not take is told in words on standard error."""
    if as_json and _told_as_json(error):
        return error.kind.exit
    from marathonctl.render.errors import lines
    from marathonctl.render.style import style_for

    try:
        sys.stdout.flush()  # what was said before comes first
    except (OSError, MarathonError):
        discard(sys.stdout)
    try:
        sys.stderr.write("\n".join(lines(error, style_for(sys.stderr))) + "\n")
        sys.stderr.flush()
    except OSError:  # nobody can be told: the exit code says it
        discard(sys.stderr)
    return error.kind.exit


def _told_as_json(error: MarathonError) -> bool:
    """Prints the error as an object; False when standard output does not take it."""
    from marathonctl.render import json

    try:
        json.emit(json.refusal(error))
    except (OSError, MarathonError):
        discard(sys.stdout)
        return False
    return True


def _unforeseen(error: Exception) -> MarathonError:
    """Keeps the traceback in a file of the state folder and makes an error that names it."""
    import traceback

    from marathond.places import find_places

    incident = os.urandom(4).hex()
    told = MarathonError(INTERNAL, incident=incident)
    log = find_places().state / "marathonctl.log"
    try:
        log.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        with os.fdopen(descriptor, "a") as file:
            file.write(f"incident {incident}\n{''.join(traceback.format_exception(error))}\n")
        told.hint = f"The details are in {log} under that incident."
    except OSError:  # nowhere to write: the type at least
        told.hint = f"It was a {type(error).__name__}, and {log} cannot be written."
    return told
