"""docs/protocol.md: its tables are what the code gives, and its words about hashes and limits are true."""

import importlib.util
import re
import sys
from types import ModuleType

import pytest

from marathond.domain import limits
from marathond.domain.entries import KINDS
from marathond.domain.errors import REGISTRY
from marathond.server.router import METHODS
from tests.support.box import Box, script, write
from tests.support.sources import REPOSITORY

PAGE = (REPOSITORY / "docs" / "protocol.md").read_text()


@pytest.fixture(scope="module")
def generator() -> ModuleType:
    """docs/generate.py, which is no package."""
    spec = importlib.util.spec_from_file_location("docs_generate", REPOSITORY / "docs" / "generate.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_committed_page_is_the_current_one(generator: ModuleType) -> None:
    """`make docs` would change nothing."""
    assert generator.page(PAGE) == PAGE


def test_every_part_is_used(generator: ModuleType) -> None:
    """No table is generated and then shown nowhere."""
    assert re.findall(r"<!-- generated: ([a-z-]+) -->", PAGE) == list(generator.PARTS)


def test_everything_has_its_place() -> None:
    """Each method has a section, each kind of entry and each error a row."""
    assert set(re.findall(r"^### (\w+/\w+|rpc\.discover)$", PAGE, re.MULTILINE)) == set(METHODS)
    rows = set(re.findall(r"^\| `([a-z_.]+)` \|", PAGE, re.MULTILINE))
    assert set(KINDS) <= rows
    assert set(REGISTRY) <= rows


def test_every_link_inside_the_page_leads_somewhere(generator: ModuleType) -> None:
    """The anchors of the lists are those of the headings."""
    anchors = {generator._anchor(title) for title in re.findall(r"^#+ (.*)$", PAGE, re.MULTILINE)}
    assert set(re.findall(r"\]\(#([^)]+)\)", PAGE)) <= anchors


def test_the_limits_in_the_page_are_the_real_ones() -> None:
    """The numbers of the table of limits are those of the code."""
    table = PAGE.split("| limit | value |")[1].split("\n\n")[0]
    told = [int(number.replace(",", "")) for number in re.findall(r"\b\d[\d,]*", table)]
    assert told == [
        limits.FRAME_BYTES_MAX // 2**20,
        limits.FRAME_DEPTH_MAX,
        limits.BATCH_ITEMS_MAX,
        int(limits.FRAME_UNFINISHED_SECONDS_MAX),
        limits.CONNECTIONS_MAX,
        limits.CONNECTIONS_UNFINISHED_MAX,
        limits.REQUESTS_PENDING_MAX,
        limits.FEEDS_MAX,
    ]


def test_the_ten_lines_that_check_a_ledger_work(box: Box, capsys: pytest.CaptureFixture[str]) -> None:
    """The Python of the page, run on a real ledger, finds every hash and link right, and notices a changed record."""
    session = box.start(f'[[task]]\nid = "a"\nagent = "scripted"\nprompt = {script(write("a.txt", "ä"))}\n')
    box.wait(session, "done")
    lines = box.ctl("tail", "--all", "--json", "--no-follow").out.splitlines()
    program = re.search(r"```python\n(.*?)```", PAGE, re.DOTALL)
    assert program

    def check(rows: list[str]) -> None:
        code = re.sub(r"^lines = .*$", "lines = ROWS", program[1], flags=re.MULTILINE)
        exec(compile(code, "docs/protocol.md", "exec"), {"ROWS": rows})

    check(lines)
    for changed in ([line.replace("scripted", "scripteD") for line in lines], lines[1:], [*lines[:3], *lines[4:]]):
        with pytest.raises(AssertionError):
            check(changed)
    assert sys.modules.get("docs_generate") is None
    assert capsys.readouterr().out == ""
