"""The client's connection: framing, notifications between answers, typed errors, and a daemon that is not there."""

import json
import socket
from pathlib import Path
from typing import Any

import pytest

from marathonctl import Client
from marathonctl.client import RemoteError
from marathond.domain.errors import (
    DAEMON_SILENT,
    DAEMON_UNREACHABLE,
    NO_SESSION,
    SOCKET_PATH_TOO_LONG,
    MarathonError,
)
from tests.support.scripted_daemon import Connection, Handler, ScriptedDaemon


def serve(tmp_path: Path, **handlers: Handler) -> ScriptedDaemon:
    """A daemon at tmp_path/s whose methods are named without a slash."""
    return ScriptedDaemon(tmp_path / "s", handlers)


def test_an_answer_is_returned_and_none_parameters_are_not_sent(tmp_path: Path) -> None:
    """A call returns the result, and parameters that are None never reach the wire."""
    with serve(tmp_path, echo=lambda p, c: {"got": p}) as daemon, Client(daemon.path) as client:
        assert client.call("echo", a=1, b=None, c=False) == {"got": {"a": 1, "c": False}}


def test_answers_in_pieces_and_several_in_one_piece_are_read(tmp_path: Path) -> None:
    """Where the stream is cut says nothing about the messages."""

    def pieces(_params: dict[str, Any], connection: Connection) -> None:
        push = json.dumps({"jsonrpc": "2.0", "method": "n", "params": {"text": "ü" * 40_000}}).encode() + b"\n"
        answer = json.dumps({"jsonrpc": "2.0", "id": 1, "result": {"ok": True}}).encode() + b"\n"
        data = push + push + answer + push
        for start in range(0, len(data), 7_001):
            connection.send_bytes(data[start : start + 7_001])

    with serve(tmp_path, pieces=pieces) as daemon, Client(daemon.path) as client:
        assert client.call("pieces") == {"ok": True}
        found = [client.notification(5) for _ in range(3)]
        assert [len(n["params"]["text"]) for n in found if n] == [40_000] * 3
        assert client.notification(0) is None


def test_an_answer_to_an_abandoned_request_is_passed_over(tmp_path: Path) -> None:
    """An answer that comes too late never counts as the answer to the next request."""

    def late(_params: dict[str, Any], connection: Connection) -> None:
        connection.send({"jsonrpc": "2.0", "id": 77, "result": {"stale": True}})
        connection.send({"jsonrpc": "2.0", "id": 1, "result": {"fresh": True}})

    with serve(tmp_path, late=late) as daemon, Client(daemon.path) as client:
        assert client.call("late") == {"fresh": True}


def test_an_error_is_the_registered_kind_with_the_daemons_words(tmp_path: Path) -> None:
    """An error object becomes a MarathonError of its kind, with message, hint and details as the daemon gave them."""

    def refuse(_params: dict[str, Any], _connection: Connection) -> None:
        raise MarathonError(NO_SESSION, session="zz", data={"near": ["zx"]})

    with (
        serve(tmp_path, refuse=refuse) as daemon,
        Client(daemon.path) as client,
        pytest.raises(MarathonError) as caught,
    ):
        client.call("refuse")
    assert caught.value.kind is NO_SESSION
    assert caught.value.message == "There is no session zz."
    assert caught.value.data == {"near": ["zx"]}
    assert str(caught.value) == caught.value.message


def test_an_error_that_this_client_does_not_know_still_has_its_exit_code() -> None:
    """A newer daemon's errors keep their code, slug, words and exit code."""
    data = {"slug": "brand_new", "hint": "Do this.", "exit": 42, "gate": []}
    error = RemoteError({"code": -32999, "message": "It is {odd}.", "data": data})
    assert (error.kind.slug, error.kind.code, error.kind.exit) == ("brand_new", -32999, 42)
    assert (error.message, error.hint, error.data) == ("It is {odd}.", "Do this.", {"gate": []})


def test_a_daemon_that_hangs_up_is_silent_and_names_the_path(tmp_path: Path) -> None:
    """A connection that ends instead of an answer is `daemon_silent`, exit 69."""
    with (
        serve(tmp_path, die=lambda p, c: c.hang_up()) as daemon,
        Client(daemon.path) as client,
        pytest.raises(MarathonError) as caught,
    ):
        client.call("die")
    assert caught.value.kind is DAEMON_SILENT
    assert str(daemon.path) in caught.value.message


def test_a_daemon_that_turns_a_client_away_is_quoted() -> None:
    """What the daemon said before it hung up is told, not the broken pipe that the client met."""
    ours, theirs = socket.socketpair()
    refusal = {"code": -32039, "message": "Full.", "data": {"slug": "too_many_connections", "hint": "", "exit": 69}}
    theirs.sendall(json.dumps({"jsonrpc": "2.0", "error": refusal, "id": None}).encode() + b"\n")
    theirs.close()
    with Client("/any", connect=lambda _path: ours) as client, pytest.raises(RemoteError) as caught:
        client.call("session/list")
    assert caught.value.kind.slug == "too_many_connections"


def test_a_daemon_that_does_not_answer_in_time_is_silent(tmp_path: Path) -> None:
    """No answer within `answer_seconds` is `daemon_silent` too."""
    with (
        serve(tmp_path, mute=lambda p, c: None) as daemon,
        Client(daemon.path, answer_seconds=0.05) as client,
        pytest.raises(MarathonError) as caught,
    ):
        client.call("mute")
    assert caught.value.kind is DAEMON_SILENT
    assert "0.05 s" in caught.value.message


@pytest.mark.parametrize("bytes_sent", [b"not json\n", b"[1]\n", b"\xff\n"])
def test_nonsense_from_the_daemon_is_an_error_and_no_traceback(tmp_path: Path, bytes_sent: bytes) -> None:
    """Bytes that are no JSON-RPC message are `daemon_silent`, whatever they are."""
    with (
        serve(tmp_path, babble=lambda p, c: c.send_bytes(bytes_sent)) as daemon,
        Client(daemon.path) as client,
        pytest.raises(MarathonError) as caught,
    ):
        client.call("babble")
    assert caught.value.kind is DAEMON_SILENT


def test_no_socket_and_a_dead_socket_are_told_apart(tmp_path: Path) -> None:
    """`daemon_unreachable` says whether there is no socket or nobody behind it."""
    with pytest.raises(MarathonError) as caught:
        Client(tmp_path / "none")
    assert caught.value.kind is DAEMON_UNREACHABLE
    assert "there is no socket" in caught.value.message
    dead = socket.socket(socket.AF_UNIX)
    dead.bind(str(tmp_path / "dead"))
    dead.close()
    with pytest.raises(MarathonError, match="nothing listens there"):
        Client(tmp_path / "dead")


def test_a_path_that_no_socket_can_have_is_explained(tmp_path: Path) -> None:
    """A path over 107 bytes is `socket_path_too_long` with the remedy, not an OSError."""
    with pytest.raises(MarathonError) as caught:
        Client(tmp_path / ("x" * 108))
    assert caught.value.kind is SOCKET_PATH_TOO_LONG
    assert "MARATHON_SOCKET" in caught.value.hint


def test_the_transport_is_injectable() -> None:
    """`connect` may bring any stream socket."""
    ours, theirs = socket.socketpair()
    with theirs, Client("somewhere", connect=lambda path: ours) as client:
        theirs.sendall(b'{"jsonrpc":"2.0","id":1,"result":{"path":"any"}}\n')
        assert client.call("x/y") == {"path": "any"}
        assert json.loads(theirs.recv(1000)) == {"jsonrpc": "2.0", "id": 1, "method": "x/y", "params": {}}
