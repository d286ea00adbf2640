"""What a verb is given: its arguments, the places, and the ways to the daemon and to the user."""

import os
import sys
from argparse import Namespace
from pathlib import Path
from typing import Any

from marathonctl.client import Client
from marathonctl.render.style import Style, style_for
from marathond.places import Places, find_places


class Context:
    """One invocation of `marathonctl`. `args` holds the verb's own arguments and the global ones."""

    def __init__(self, args: Namespace) -> None:
        self.args = args
        self.json: bool = args.json
        self.may_start: bool = not args.no_spawn
        self.places = _places(args.socket)
        self.style: Style = style_for(sys.stdout)
        self.started_daemon = False

    @property
    def cwd(self) -> str:
        """The folder whose repository is meant when no session is named."""
        return str(Path.cwd())

    @property
    def environment(self) -> dict[str, str]:
        """The variables that the daemon may choose from; values that are not text cannot travel as JSON."""
        return {name: value for name, value in os.environ.items() if _is_text(name + value)}

    def reader(self) -> Client:
        """A connection for a verb that reads. Raises `daemon_unreachable` (69) when no daemon answers."""
        return Client(self.places.socket)

    def changer(self, *, patient: bool = False) -> Client:
        """A connection for a verb that changes something: a daemon is started when none answers and one may be.

        `patient`: answers may take as long as processes take to end.
        """
        from marathonctl.spawn import connect_or_start

        client, started = connect_or_start(self.places, os.environ, may_start=self.may_start)
        self.started_daemon |= started
        if patient:
            client.answer_seconds = None
        return client

    def whose(self, session: str | None) -> dict[str, Any]:
        """The parameters that say which session is meant: the one named, else the newest of this repository."""
        return {"session": session} if session else {"cwd": self.cwd}

    def say(self, text: str = "") -> None:
        """Prints a line for people on standard output."""
        sys.stdout.write(text + "\n")

    def note(self, text: str) -> None:
        """Prints a remark on standard error, out of the way of data."""
        sys.stdout.flush()
        sys.stderr.write(text + "\n")
        sys.stderr.flush()


def _places(socket: str | None) -> Places:
    places = find_places()
    return places._replace(socket=Path(socket).absolute()) if socket else places


def _is_text(value: str) -> bool:
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True
