"""Who follows a job's output sees every character once, as it comes."""

from pathlib import Path

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from marathond.attempt.lifecycle import launch, wait
from marathond.attempt.output import OutputWatch, read_page, read_tail
from tests.support.jobs import ENV, shell_job

pytestmark = pytest.mark.anyio


@given(st.text(max_size=60), st.integers(4, 9), st.integers(0, 200))
def test_pages_join_to_the_whole(tmp_path_factory: pytest.TempPathFactory, text: str, size: int, written: int) -> None:
    """Pages of any size, read while the file is still growing, join to the text: no character is cut or lost."""
    path = tmp_path_factory.mktemp("pages") / "output"
    data = text.encode()
    path.write_bytes(data[:written])
    joined, at = "", 0
    for final in (False, True):
        while page := read_page(path, at, bytes_max=size, final=final).text:
            joined += page
            at = read_page(path, at, bytes_max=size, final=final).next
        path.write_bytes(data)
    assert (joined, at) == (text, len(data))


def test_what_is_no_text_is_shown_as_such(tmp_path: Path) -> None:
    """Bytes that are no UTF-8 become replacement characters and never stop a reader; a missing file is empty."""
    path = tmp_path / "output"
    assert read_page(path, 0) == ("", 0, 0)
    path.write_bytes(b"\xff\xfe ok \x80\x80\x80\x80\x80 \xf0\x9f")
    page = read_page(path, 0)
    assert page.text == "\ufffd\ufffd ok \ufffd\ufffd\ufffd\ufffd\ufffd "
    assert read_page(path, page.next) == ("", page.next, page.next)
    assert read_page(path, page.next, final=True).text == "\ufffd"


def test_a_tail_begins_with_a_line(tmp_path: Path) -> None:
    """The end of a file is given from a line's beginning, or from a character's where the line is too long."""
    path = tmp_path / "errors"
    assert read_tail(path, 10) == ""
    path.write_text("one\ntwo\nthree\n")
    assert read_tail(path, 100) == "one\ntwo\nthree\n"
    assert read_tail(path, 8) == "three\n"
    path.write_text("ä" * 20)
    assert read_tail(path, 5) == "ää"


async def test_followers_are_woken_by_what_a_job_prints(tmp_path: Path) -> None:
    """Followers of two jobs, one of which has printed nothing yet, each see all of their job's lines as they come."""
    script = "echo 1; while [ ! -e go1 ]; do sleep 0.01; done; echo 2; while [ ! -e go2 ]; do sleep 0.01; done; echo 3"
    seen: dict[str, str] = {"a": "", "b": ""}
    watch = OutputWatch()

    async def follow(name: str) -> None:
        path, at = tmp_path / name / "job/output", 0
        while seen[name] != "1\n2\n3\n":
            await watch.changed(path, at)
            page = read_page(path, at)
            seen[name], at = seen[name] + page.text, page.next
            if seen[name].count("\n") in (1, 2):
                (tmp_path / name / f"go{seen[name].count(chr(10))}").touch()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(watch.run)
        with anyio.fail_after(20):
            async with anyio.create_task_group() as jobs:
                for name in seen:
                    (tmp_path / name).mkdir()
                    job = shell_job(tmp_path / name, script, id=f"{tmp_path.name[:40]}/{name}/1")
                    started = await launch(tmp_path / name / "job", job, env=ENV)
                    jobs.start_soon(wait, tmp_path / name / "job", started)
                    jobs.start_soon(follow, name)
        tasks.cancel_scope.cancel()
    assert seen == {"a": "1\n2\n3\n", "b": "1\n2\n3\n"}


@pytest.mark.parametrize("others", [0, 1])
async def test_a_follower_may_come_before_the_folder(tmp_path: Path, others: int) -> None:
    """Who follows from the intent on is woken by the first output, although the folder was made later; beside others too."""
    watch = OutputWatch()
    (tmp_path / "other").mkdir()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(watch.run)
        for _ in range(others):
            tasks.start_soon(watch.changed, tmp_path / "other/output", 0)
        with anyio.fail_after(10):
            async with anyio.create_task_group() as followers:
                followers.start_soon(watch.changed, tmp_path / "job/output", 0)
                await anyio.wait_all_tasks_blocked()
                (tmp_path / "job").mkdir()
                (tmp_path / "job/output").write_text("x")
        tasks.cancel_scope.cancel()


async def test_nothing_is_watched_while_nobody_follows(tmp_path: Path) -> None:
    """The watch stands only as long as somebody waits, and a follower who leaves is forgotten."""
    watch = OutputWatch()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(watch.run)
        with anyio.move_on_after(0.2) as left:
            await watch.changed(tmp_path / "output", 0)
        assert left.cancelled_caught
        assert watch.folders == []
        (tmp_path / "output").write_text("x")
        with anyio.fail_after(5):
            await watch.changed(tmp_path / "output", 0)
        tasks.cancel_scope.cancel()
