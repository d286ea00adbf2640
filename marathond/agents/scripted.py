"""The scripted agent: plays a list of actions, for demos, tests and fault drills.

It reads its script (see `script.py`) from stdin, works in the current folder, and writes one JSON object a line, which
the `scripted` reader understands. Started by path with `python -I -S`, so that it is up in a few milliseconds; standard
library only. The number of the attempt is the last part of `MARATHON_ATTEMPT`.

How it ends:

- after the last action, or at `exit = 0`: a `finished` line that says ok, exit code 0;
- at `exit = N`, at a `run` whose command fails, or with a bad script: a `finished` line that says why, exit code N, 1, 2;
- at `limit`: a `limit` line with the reset in microseconds since the epoch, exit code 1;
- at `crash`: by SIGKILL, without another word; at `hang`: never, until a signal ends it.
"""

import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn

if __name__ == "__main__":  # started by path: our own package is two folders up
    sys.path.append(str(Path(__file__).resolve().parents[2]))

from marathond.agents.script import Action, parse, problems
from marathond.domain.instants import parse_duration

__all__ = ["main", "problems"]

LINE_BYTES_MAX = 1024 * 1024  # a longer line of a command is passed on in pieces


class ScriptEnded(Exception):  # noqa: N818 - it is no error when the exit code is 0
    """The script ends here, with this exit code and error."""

    def __init__(self, code: int, error: str = "") -> None:
        self.code = code
        self.error = error
        super().__init__(error)


def main() -> int:
    """Plays the script on stdin. `argv` is `--thread ID` or `--resume ID`. Returns the exit code."""
    resumed, thread = sys.argv[1:2] == ["--resume"], (sys.argv[2:3] or [""])[0]
    emit("started", thread=thread, resumed=resumed)
    said = ""
    try:
        for action in _script():
            if action.name == "say":
                said = action.value
            _play(action)
    except ScriptEnded as stop:
        emit("finished", ok=stop.code == 0, text=said, error=stop.error)
        return stop.code
    emit("finished", ok=True, text=said, error="")
    return 0


def emit(kind: str, /, **fields: object) -> None:
    """Writes one event."""
    sys.stdout.write(json.dumps({"type": kind, **fields}, ensure_ascii=False) + "\n")
    sys.stdout.flush()


def _script() -> list[Action]:
    actions, wrong = parse(sys.stdin.buffer.read().decode("utf-8", "replace"))
    if wrong:
        sys.stderr.write("".join(f"scripted: {problem}\n" for problem in wrong))
        raise ScriptEnded(2, "; ".join(wrong))
    number = os.environ.get("MARATHON_ATTEMPT", "1").rpartition("/")[2]
    attempt = int(number) if number.isdecimal() else 1
    return [action for action in actions if action.attempt in (None, attempt)]


def _play(action: Action) -> None:
    match action.name:
        case "say":
            emit("said", text=action.value)
        case "write":
            _write(action.value["path"], action.value["text"], "w", "write")
        case "append":
            _write(action.value["path"], action.value["text"], "a", "append")
        case "run":
            _run(action.value)
        case "sleep":
            emit("tool", name="sleep", summary=action.value)
            time.sleep(parse_duration(action.value) / 1000)
        case "usage":
            emit("usage", **action.value)
        case "limit":
            _limit(action.value)
        case "exit":
            raise ScriptEnded(action.value, f"the script said exit {action.value}" if action.value else "")
        case "hang":
            _hang()
        case _:
            os.kill(os.getpid(), signal.SIGKILL)


def _write(path: str, text: str, mode: str, name: str) -> None:
    emit("tool", name=name, summary=path)
    target = Path(path)
    if not target.resolve().is_relative_to(Path.cwd().resolve()):
        raise ScriptEnded(1, f"{name} {path}: a symbolic link leads out of the workspace")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with target.open(mode, encoding="utf-8") as file:
            file.write(text)
    except OSError as error:
        raise ScriptEnded(1, f"{name} {path}: {error.strerror}") from error


def _run(line: str) -> None:
    """Runs a shell line and passes on what it prints, line by line; a command that fails ends the script."""
    emit("tool", name="run", summary=line)
    process = subprocess.Popen(  # noqa: S602 - the script's author asked for a shell line
        line, shell=True, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    for text in _lines(process):
        emit("output", text=text)
    code = process.wait()
    if code != 0:
        how = f"exited with {code}" if code > 0 else f"was ended by signal {-code}"
        raise ScriptEnded(1, f"run {line!r} {how}")


def _lines(process: "subprocess.Popen[bytes]") -> Iterator[str]:
    """What the process prints, until it has ended: a child it left in the background may hold the pipe for ever."""
    assert process.stdout is not None
    pipe, ended, pending = process.stdout.fileno(), os.pidfd_open(process.pid), b""
    os.set_blocking(pipe, False)
    try:
        while True:
            ready, _, _ = select.select([pipe, ended], [], [])
            data = _available(pipe)
            *lines, pending = (pending + (data or b"")).split(b"\n")
            if len(pending) > LINE_BYTES_MAX:
                lines, pending = [*lines, pending], b""
            yield from (each.decode("utf-8", "replace") for each in lines)
            if data == b"" or (data is None and ended in ready):
                break
    finally:
        os.close(ended)
    if pending:
        yield pending.decode("utf-8", "replace")


def _available(descriptor: int) -> bytes | None:
    """What can be read now: None when there is nothing yet, empty at the end."""
    try:
        return os.read(descriptor, 65536)
    except BlockingIOError:
        return None


def _limit(value: dict[str, Any]) -> NoReturn:
    reset = None
    if "reset_in" in value:
        reset = time.time_ns() // 1000 + parse_duration(value["reset_in"]) * 1000
    kind = value.get("kind", "quota")
    emit("limit", kind=kind, reset=reset)
    raise ScriptEnded(1, f"limit reached: {kind}")


def _hang() -> NoReturn:
    while True:
        signal.pause()


if __name__ == "__main__":
    sys.exit(main())
