"""What people see: it fits the terminal, no agent can play tricks on it, and every entry has its sentence."""

import io
import json
import os
import pty
import re
import signal
import struct
import subprocess
import sys
import termios
import unicodedata
from fcntl import ioctl
from pathlib import Path
from typing import Any, get_args, get_origin, get_type_hints

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from marathonctl.render import entries, text
from marathonctl.render.live import LiveView
from marathonctl.render.progress import Progress
from marathonctl.render.session import list_lines, status_lines
from marathonctl.render.style import Style, style_for
from marathonctl.render.table import table
from marathond.domain.entries import KINDS
from tests.support.ctl import ctl, environment, until
from tests.support.scripted_daemon import ScriptedDaemon
from tests.support.sessions import SESSION, Played, row, socket_in, status, task

PLAIN = Style(colour=False, unicode=True)
COLOUR = Style(colour=True, unicode=True)
NOW = text.epoch("2026-11-25T16:00:00.000000Z")
ESCAPES = re.compile(r"\x1b\[[0-9;]*m")


def busy() -> dict[str, Any]:
    """A session with a task in every state and words that are too long."""
    long = "数据 and a very long sentence that does not end where the line does, " * 3
    return status(
        "running",
        task("plan", "done", checkpoint="3f2a91c0aa11"),
        task(
            "implement-the-whole-thing-from-scratch",
            "running",
            started_at="2026-11-25T15:59:00.000000Z",
            last_words=long,
        ),
        task("docs", "waiting", reason=long, due_at="2026-11-25T23:00:00.000000Z"),
        task("lint", "pending", needs=["implement-the-whole-thing-from-scratch", "docs"], attempts=0),
        task("again", "retrying", reason="a check failed", due_at="2026-11-25T16:01:00.000000Z"),
        task("bad", "failed", reason=long),
        task("gone", "skipped", reason="bad did not get done"),
        reasons=[
            {"kind": "quota", "task": "docs", "text": long, "due_at": "2026-11-25T23:00:00.000000Z", "command": None}
        ],
        goal=long,
        name="a-name-that-is-much-longer-than-anybody-would-ever-give-to-a-thing-of-this-kind-really",
    )


# --- text ---------------------------------------------------------------------------------------------


@given(st.text(), st.integers(0, 40))
def test_cut_text_is_never_wider_than_asked(words: str, columns: int) -> None:
    """Whatever the characters, `fit` keeps to the columns, and text that fits is left alone."""
    clean = text.clean(words)
    shown = text.fit(clean, columns)
    assert text.width(shown) <= columns
    assert shown == clean or text.width(clean) > columns


@given(st.text(alphabet=st.characters(blacklist_categories=())))
def test_cleaned_text_holds_nothing_that_a_terminal_obeys(words: str) -> None:
    """No control character, escape sequence, line break or mark that turns the direction of text survives."""
    shown = text.clean(words)
    assert not any(unicodedata.category(c) == "Cc" for c in shown)
    assert not set(shown) & set("\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


@pytest.mark.parametrize(
    "attack",
    [
        "\x1b]0;title\x07",
        "\x1b[2J",
        "\x1b[10;10H",
        "\x1bP1;2q\x1b\\",
        "\x1b]8;;http://x\x1b\\",
        "\x9b2J",
        "\x1bc",
        "a\rb",
        "\x08" * 9,
    ],
)
def test_logs_on_a_terminal_keep_lines_and_colours_only(attack: str) -> None:
    """What an agent writes cannot move the cursor, retitle the window or hide itself."""
    shown = text.clean_lines(f"\x1b[31mred\x1b[0m\tone\r\ntwo{attack}\n", colours=True)
    assert shown.startswith("\x1b[31mred\x1b[0m\tone\ntwo")
    assert not set(ESCAPES.sub("", shown)) & {chr(n) for n in (*range(9), *range(11, 32), *range(127, 160))}
    assert "\x1b" not in text.clean_lines(f"\x1b[31m{attack}", colours=False)


@pytest.mark.parametrize(
    ("ms", "shown"),
    [
        (0, "0s"), (400, "0.4s"), (9_940, "9.9s"), (9_960, "10s"), (59_600, "1m00s"), (61_000, "1m01s"),
        (3_599_600, "1h00m"), (3_720_000, "1h02m"), (90_000_000, "1d01h"), (-5, "0s"),
    ],
)  # fmt: skip
def test_durations_are_short(ms: int, shown: str) -> None:
    """Two units at most, and no sixty of anything."""
    assert text.duration(ms) == shown


@given(st.integers(0, 2**33), st.integers(0, 999_999))
def test_timestamps_are_read_exactly(seconds: int, micros: int) -> None:
    """The client's own reading of a timestamp agrees with the calendar's."""
    from marathond.domain.instants import format_instant

    assert abs(text.epoch(format_instant(seconds * 1_000_000 + micros)) - (seconds + micros / 1e6)) < 1e-5


# --- pages --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("columns", [40, 80, 132])
@pytest.mark.parametrize("style", [PLAIN, COLOUR])
def test_the_status_page_fits(columns: int, style: Style) -> None:
    """No line of `status` is wider than the terminal, with and without colour."""
    for line in status_lines(busy(), style, columns):
        assert text.width(ESCAPES.sub("", line)) <= columns, line


def test_a_pipe_cuts_nothing(tmp_path: Path) -> None:
    """`status | grep` and `list | grep` find every word; only `$COLUMNS` gives such output an edge."""
    played = Played()
    played.state = busy()
    listed = {
        "session_id": SESSION, "name": "n" * 64, "state": "waiting", "repo": "/a/" * 60,
        "created_at": "2026-11-25T15:00:00.000000Z", "due_at": None, "tasks_done": 3, "tasks_total": 9, "branch": None,
    }  # fmt: skip
    handlers = played.handlers() | {"session/list": lambda p, c: {"sessions": [listed]}}
    with ScriptedDaemon(socket_in(tmp_path), handlers):
        shown, narrow = ctl(tmp_path, "status", COLUMNS=""), ctl(tmp_path, "status", COLUMNS="60")
        table_, _ = ctl(tmp_path, "list", COLUMNS=""), shown.check_returncode()
    assert "…" not in shown.stdout + table_.stdout
    assert text.clean(busy()["goal"]) in shown.stdout
    assert all(word in shown.stdout for t in busy()["tasks"] for word in (t["id"], text.clean(t["last_words"])))
    assert all(listed[name] in table_.stdout for name in ("name", "repo"))
    assert f"  {busy()['name']}".strip() + f"  {SESSION}  running" == shown.stdout.splitlines()[0]
    assert all(text.width(line) <= 60 for line in narrow.stdout.splitlines())


def test_colour_changes_no_character() -> None:
    """The page with colour reads exactly like the one without."""
    plain, painted = status_lines(busy(), PLAIN, 80), status_lines(busy(), COLOUR, 80)
    assert [ESCAPES.sub("", line).rstrip() for line in painted] == [line.rstrip() for line in plain]


def test_the_list_fits_and_an_empty_one_says_how_to_begin() -> None:
    """`list` keeps to the width, and says what to do when there is nothing to list."""
    session = {
        "session_id": SESSION, "name": "n" * 64, "state": "waiting", "repo": "/a/" * 60,
        "created_at": "2026-11-25T15:00:00.000000Z", "due_at": None, "tasks_done": 3, "tasks_total": 10_000, "branch": None,
    }  # fmt: skip
    assert all(text.width(line) <= 80 for line in list_lines([session], PLAIN, 80))
    assert "marathonctl init" in list_lines([], PLAIN, 80)[0]


@given(
    st.lists(st.tuples(st.text(max_size=9), st.text(max_size=30), st.text(max_size=80)), min_size=1), st.integers(1, 90)
)
def test_a_table_fits_whatever_is_in_it(rows: list[tuple[str, str, str]], columns: int) -> None:
    """Cells give way, the last one first; no line is too wide."""
    cleaned = [tuple(text.clean(cell) for cell in row) for row in rows]
    assert all(text.width(line) <= columns for line in table(cleaned, columns))


@pytest.mark.parametrize("columns", [12, 30, 39, 60, 79, 200])
@pytest.mark.parametrize("rows", [4, 5, 9, 50])
def test_the_live_picture_fits_the_screen(columns: int, rows: int) -> None:
    """At most as many lines as there are rows, none too wide, the telling tasks first to stay."""
    lines = Progress().lines(busy(), COLOUR, columns, rows, NOW, "note")
    assert len(lines) <= rows
    for plain, painted in lines:
        assert text.width(plain) <= columns
        assert text.width(ESCAPES.sub("", painted)) == text.width(plain)
    assert any("impl" in plain for plain, _ in lines)


@pytest.mark.parametrize("columns", [12, 20, 39, 79])
def test_the_live_picture_shows_each_tasks_own_sign_however_narrow(columns: int) -> None:
    """A task that runs never looks like one that failed."""
    tasks = [task("t" * 40, state, attempts=1) for state in ("running", "done", "failed", "waiting")]
    lines = Progress().lines(status("running", *tasks), Style(colour=False, unicode=True), columns, 20, NOW)[1:5]
    assert [painted.split()[0] for _, painted in lines] == ["●", "✓", "✗", "◷"]


def test_the_live_picture_counts_attempts_and_time() -> None:
    """A running task shows attempt n/m and the time of all its attempts."""
    progress = Progress()
    progress.learn(json.dumps({"tasks": [{"id": "a", "attempts": 3}]}))
    progress.absorb(
        json.loads(row(1, "attempt.finished", task="a", attempt=1, outcome="error", elapsed_ms=60_000)["record"])
    )
    running = task("a", "running", attempts=2, started_at="2026-11-25T15:59:30.000000Z", last_words="Testing")
    line = progress.lines(status("running", running), PLAIN, 79, 20, NOW)[1][0]
    assert line.split() == ["x", "a", "1m30s", "2/3", "Testing"]


# --- terminals ----------------------------------------------------------------------------------------


def test_only_a_terminal_that_wants_it_gets_colour() -> None:
    """NO_COLOR, TERM=dumb and anything that is no terminal are plain."""

    class Terminal(io.StringIO):
        encoding = "utf-8"

        def isatty(self) -> bool:
            return True

    assert style_for(Terminal(), {"TERM": "xterm"}).colour
    assert not style_for(Terminal(), {"TERM": "xterm", "NO_COLOR": "1"}).colour
    assert not style_for(Terminal(), {"TERM": "dumb"}).colour
    assert not style_for(io.StringIO(), {"TERM": "xterm"}).colour


class Screen:
    """The terminal that a live view needs: it understands what the view writes, and nothing else."""

    def __init__(self, columns: int) -> None:
        self.columns = columns
        self.lines: list[str] = [""]
        self.row = 0

    def feed(self, data: str) -> None:
        """Obeys text, newlines, cursor up, clear to the end, and cursor on/off."""
        for part in re.split(r"(\x1b\[[?0-9;]*[A-Za-z]|\r|\n)", ESCAPES.sub("", data)):
            if up := re.fullmatch(r"\x1b\[(\d+)A", part):
                self.row = max(0, self.row - int(up[1]))
            elif part == "\x1b[J":
                del self.lines[self.row :]
                self.lines.append("")
            elif part == "\n":
                self.row += 1
                self.lines += [""] * (self.row + 1 - len(self.lines))
            elif part and part != "\r" and not part.startswith("\x1b[?25"):
                assert "\x1b" not in part, part
                assert text.width(part) < self.columns, "the terminal would wrap it"
                self.lines[self.row] += part


def test_a_live_view_draws_over_itself_and_gives_the_cursor_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """Many drawings leave one picture, also when it shrinks, and the last thing written shows the cursor."""
    monkeypatch.setenv("COLUMNS", "80")
    stream = io.StringIO()
    view = LiveView(COLOUR, stream, now=lambda: NOW)
    for state in (busy(), status("running"), busy(), status("done")):
        view.status(state)
    view.close()
    screen = Screen(80)
    screen.feed(stream.getvalue())
    assert [line.split()[0] for line in screen.lines if line.strip()] == ["add-json-export", "✓", "1"]
    assert stream.getvalue().startswith("\x1b[?25l")
    assert stream.getvalue().endswith("\x1b[?25h")


def test_run_on_a_real_terminal_is_live_and_follows_its_size(tmp_path: Path) -> None:
    """On a pty `run` draws the live view in the width of the moment, and leaves the summary and a visible cursor."""
    played = Played()
    (tmp_path / "plan.toml").write_text("")
    ours, theirs = pty.openpty()
    ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 100, 0, 0))
    seen = b""
    with ScriptedDaemon(socket_in(tmp_path), played.handlers()):
        process = subprocess.Popen(
            [sys.executable, "-m", "marathonctl", "run", "plan.toml"],
            env=environment(tmp_path, TERM="xterm", PYTHONIOENCODING="utf-8"),
            cwd=tmp_path,
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
        )
        os.close(theirs)
        try:
            until(lambda: played.followers)
            seen += os.read(ours, 65536)
            ioctl(ours, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 40, 0, 0))
            played.end("done", "session.completed")
            while True:
                try:
                    data = os.read(ours, 65536)
                except OSError:  # EIO: the other side is closed
                    break
                if not data:
                    break
                seen += data
            assert process.wait(10) == 0
        finally:
            process.kill()
            process.wait()
            os.close(ours)
    shown = seen.decode()
    last = shown.rpartition("\x1b[J")[2]
    assert "\x1b[?25h" in last
    assert "0 of 1 task" in last
    assert all(text.width(ESCAPES.sub("", line)) <= 40 for line in last.split("\x1b[?25h")[0].splitlines())


def test_an_interrupt_leaves_the_picture_of_the_end(tmp_path: Path) -> None:
    """After Ctrl-C the live view is drawn once more from the last status: nothing on the screen says that it still runs."""
    played = Played()
    (tmp_path / "plan.toml").write_text("")
    ours, theirs = pty.openpty()
    ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    seen = b""
    with ScriptedDaemon(socket_in(tmp_path), played.handlers()):
        process = subprocess.Popen(
            [sys.executable, "-m", "marathonctl", "run", "plan.toml"],
            env=environment(tmp_path, TERM="xterm", PYTHONIOENCODING="utf-8"),
            cwd=tmp_path,
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
        )
        os.close(theirs)
        try:
            while b"Ctrl-C halts" not in seen:
                seen += os.read(ours, 65536)
            process.send_signal(signal.SIGINT)
            while True:
                try:
                    seen += os.read(ours, 65536)
                except OSError:  # EIO: the other side is closed
                    break
            assert process.wait(10) == 130
        finally:
            process.kill()
            process.wait()
            os.close(ours)
    assert b"again: leave at once" in seen
    screen = Screen(80)
    screen.feed(seen.decode().replace("\x1b[?25h", ""))
    assert screen.lines[0].split()[-1] == "halted"
    left = "\n".join(screen.lines)
    assert left.count("add-json-export") == 1
    assert not any(word in left for word in ("Ctrl-C", "Halting"))


# --- entries ------------------------------------------------------------------------------------------


def example(kind: type) -> Any:
    """A value of a type, for bodies: the first choice of a Literal, one element in a list."""
    origin, inner = get_origin(kind), get_args(kind)
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        return {name: example(hint) for name, hint in get_type_hints(kind).items() if not name.startswith("__")}
    if origin is list:
        return [example(inner[0])]
    if inner and origin is not None and "Literal" in str(origin):
        return inner[0]
    if inner:
        return example(inner[0])
    return {str: "word", int: 3, bool: True}[kind]


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_every_kind_of_entry_has_a_sentence(kind: str) -> None:
    """Each kind is told in words, from all its fields and from the required ones alone."""
    whole = {f.name: example(f.type) for f in msgspec.structs.fields(KINDS[kind])}
    required = {f.name: whole[f.name] for f in msgspec.structs.fields(KINDS[kind]) if f.required}
    for body in (whole, required):
        said = entries.sentence(kind, body)
        assert "does not know" not in said
        assert "\n" not in said
        assert len(said.split()) >= 2


def test_no_sentence_is_left_over() -> None:
    """A kind that is gone takes its sentence with it."""
    assert set(entries.SENTENCES) <= set(KINDS)


def test_an_entry_from_a_newer_daemon_is_named() -> None:
    """A kind or form that this version does not know is shown by name and breaks nothing."""
    assert entries.sentence("session.teleported", {}).startswith("session.teleported")
    assert entries.sentence("task.done", {"odd": 1}).startswith("task.done")
