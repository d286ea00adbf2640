"""`marathonctl tail [SESSION]`: the ledger's entries as they come, across restarts of the daemon."""

from argparse import ArgumentParser
from collections.abc import Iterator
from typing import Any

from marathonctl.client import Client
from marathonctl.context import Context
from marathonctl.follow import conclusion
from marathonctl.render import json
from marathonctl.render.row import row_line
from marathonctl.streams import EntryStream, Reconnector, Row, read_pages
from marathonctl.usage import usage, whole
from marathond.domain.errors import MarathonError

EXAMPLE = """\
  marathonctl tail
  marathonctl tail k3f9 --json --no-follow"""

_ENDED = ("done", "failed", "aborted")


def arguments(parser: ArgumentParser) -> None:
    """Which entries, from where, and until when."""
    parser.add_argument("session", metavar="SESSION", nargs="?", help="an id or a unique prefix")
    parser.add_argument("--after", metavar="SEQ", type=whole(0), default=0, help="only entries after this seq")
    parser.add_argument("--no-follow", action="store_true", help="print what there is and exit")
    parser.add_argument("--system", action="store_true", help="the stream of the machine: daemons, slots, pools")
    parser.add_argument("--all", action="store_true", help="every stream, in seq order")
    parser.add_argument(
        "--exit-code", action="store_true", help="exit as `run` would, as soon as the session goes on no more by itself"
    )


def run(context: Context) -> int:
    """Prints entries until the session ends; Ctrl-C only detaches (130)."""
    args = context.args
    if sum(map(bool, (args.session, args.system, args.all))) > 1:
        raise usage("give one of SESSION, --system and --all", "marathonctl tail")
    if args.exit_code and (args.system or args.all):
        raise usage("--exit-code is about one session", "marathonctl tail")
    client = context.reader()
    if args.system or args.all:
        return _Tail(context, {"stream": "system"} if args.system else {}, None).run(client)
    session = client.call("session/status", **context.whose(args.session))["session_id"]
    return _Tail(context, {"session": session}, session).run(client)


class _Tail:
    """Prints the entries of one scope; `session` is the one whose end ends it."""

    def __init__(self, context: Context, scope: dict[str, Any], session: str | None) -> None:
        self._context = context
        self._scope = scope
        self._session = session
        self._cursor: int = context.args.after

    def run(self, client: Client) -> int:
        back = Reconnector(self._context.reader, None, self._context.note)
        while True:
            try:
                with client:
                    return self._print_all(client, back)
            except MarathonError as error:
                if self._context.args.no_follow:
                    raise  # whoever wants what there is now does not want to wait
                client = back.after(error)

    def _print_all(self, client: Client, back: Reconnector) -> int:
        if self._context.args.no_follow:
            self._print(read_pages(client, self._cursor, self._scope))
            return self._exit_code(client) or 0
        stream = EntryStream(client, self._cursor, self._scope)
        while True:
            code = self._exit_code(client)
            back.progressed()
            if code is not None:  # entries of the end may still be on their way: read them
                self._print(read_pages(client, self._cursor, self._scope))
                return code
            self._print(_batch(stream))

    def _exit_code(self, client: Client) -> int | None:
        """The exit code once the tail is over; None while there is more to come."""
        if self._session is None:
            return None
        status = client.call("session/status", session=self._session)
        if self._context.args.exit_code:
            return conclusion(status, no_wait=False)
        return 0 if status["state"] in _ENDED else None

    def _print(self, rows: Iterator[Row]) -> None:
        for row in rows:
            self._cursor = row["seq"]
            if self._context.json:
                json.emit(json.entry(row))
            else:
                self._context.say(row_line(row, self._context.style, with_stream=self._session is None))


def _batch(stream: EntryStream) -> Iterator[Row]:
    """Waits for one entry, then gives it and all others that are already there."""
    row = stream.next()
    while row is not None:
        yield row
        row = stream.next(0)
