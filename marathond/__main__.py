"""`marathond`: the daemon's command line."""

import argparse
import json
import logging
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NoReturn

from marathond import __version__
from marathond.app import Build, Setting, accept_head, build_services, run
from marathond.attempt.redact import Redactor
from marathond.config import load_config, load_environment
from marathond.domain.errors import INTERNAL, NOT_PERMITTED, USAGE, MarathonError
from marathond.logs import log_to
from marathond.places import Places, find_places
from marathond.server.dispatch import incident
from marathond.server.notifications import error_object

_log = logging.getLogger("marathond")


def main(
    argv: Sequence[str] | None = None,
    build: Build = build_services,
    accept: Callable[[Setting], str] = accept_head,
) -> int:
    """Runs the daemon and returns its exit code: 0 after a hand-over, else that of the error (docs/protocol.md)."""
    logging.basicConfig(handlers=[logging.NullHandler()])  # until the log is open, the line on stderr is enough
    options = _parse(argv)
    places = find_places()
    if options.socket:
        places = places._replace(socket=Path(options.socket).absolute())
    try:
        setting = _prepare(places, foreground=options.foreground or options.accept_head)
        if options.accept_head:
            print(accept(setting))
        else:
            run(setting, foreground=options.foreground, build=build)
    except (Exception, ExceptionGroup) as exc:  # noqa: BLE001 - a user sees one line and an exit code, never a traceback
        error = _registered(exc) or incident("start")
        _log.error(error.message, extra={"slug": error.kind.slug})
        print(_last_words(error, as_json=options.json), file=sys.stderr)
        return error.kind.exit
    return 0


def _last_words(error: MarathonError, *, as_json: bool) -> str:
    """The line that says why the daemon does not run: for people, or the JSON-RPC error object that a client would have got."""
    if as_json:
        return json.dumps(error_object(error))
    return f"marathond: {error.message} {error.hint}".rstrip()


class _Parser(argparse.ArgumentParser):
    """argparse with our exit code for a wrong command line: its own, 2, means something else here."""

    def error(self, message: str) -> NoReturn:
        """Exits 64."""
        self.exit(USAGE.exit, f"marathond: {message}\nSee `marathond --help`.\n")


def _parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = _Parser(
        prog="marathond",
        description="Runs long AI coding work durably. It does not go to the background by itself: "
        "marathonctl starts it detached when it needs one, and so does the systemd unit.",
        epilog="example: marathond --foreground",
    )
    parser.add_argument(
        "--foreground", action="store_true", help="log to stderr instead of marathond.log in the state folder"
    )
    parser.add_argument(
        "--accept-head",
        action="store_true",
        help="record that the ledger lost entries which the head kept beside it still names, and exit",
    )
    parser.add_argument(
        "--json", action="store_true", help="say why it cannot run as JSON, for the client that starts it"
    )
    parser.add_argument("--socket", metavar="PATH", help="listen on PATH instead of $MARATHON_SOCKET or the default")
    parser.add_argument("--version", action="version", version=f"marathond {__version__}")
    return parser.parse_args(argv)


def _prepare(places: Places, *, foreground: bool) -> Setting:
    """Makes the state folder, logs from here on, and reads the configuration."""
    _make_private(places.state)
    log_to(None if foreground else places.log, "info", clean=Redactor().redact_text)
    config = load_config(places.config)
    log_to(None if foreground else places.log, config.log_level, clean=Redactor().redact_text)
    return Setting(places, config, load_environment(places.config))


def _make_private(state: Path) -> None:
    """Makes the state folder, or closes it to others where it is empty or holds our ledger. Raises NOT_PERMITTED."""
    try:
        state.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = state.stat()
        names = {entry.name for entry in state.iterdir()}
        ours = found.st_uid == os.geteuid()
        if ours and found.st_mode & 0o077 and ("ledger.db" in names or names <= {"marathond.log", "marathonctl.log"}):
            state.chmod(0o700)
            found = state.stat()
    except OSError as exc:
        raise _unusable(state, f"cannot be used ({exc.strerror})") from None
    if not os.access(state, os.W_OK | os.X_OK):
        raise _unusable(state, "cannot be written")
    if not ours:
        raise _unusable(state, f"belongs to uid {found.st_uid}")
    if found.st_mode & 0o002:
        raise _unusable(state, "holds other things, and everybody may write there")


def _unusable(state: Path, fact: str) -> MarathonError:
    return MarathonError(
        NOT_PERMITTED, reason=f"The state folder {state} {fact}", hint="Set MARATHON_STATE_DIR to a folder of yours."
    )


def _registered(exc: BaseException) -> MarathonError | None:
    """The registered error in an exception, looked for inside groups too."""
    if isinstance(exc, BaseExceptionGroup):
        return next((found for inner in exc.exceptions if (found := _registered(inner))), None)
    return exc if isinstance(exc, MarathonError) and exc.kind is not INTERNAL else None


if __name__ == "__main__":
    sys.exit(main())
