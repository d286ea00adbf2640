"""The documentation holds together: links lead somewhere, examples are valid, and nothing that it names is missing."""

import json
import re
from pathlib import Path

import pytest

from marathond import __version__
from tests.support.box import Box
from tests.support.sources import REPOSITORY

PAGES = sorted([*REPOSITORY.glob("*.md"), *(REPOSITORY / "docs").rglob("*.md")])
DECISIONS = sorted((REPOSITORY / "docs" / "decisions").glob("[0-9]*.md"))


def anchors(page: Path) -> set[str]:
    """The anchors that the headings of a page get."""
    titles = re.findall(r"^#+ (.*)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^a-z0-9 _-]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(REPOSITORY)))
def test_links_lead_somewhere(page: Path) -> None:
    """Every relative link names a file of the repository, and its anchor a heading there."""
    text = re.sub(r"^```.*?^```", "", page.read_text(), flags=re.DOTALL | re.MULTILINE)
    for link in re.findall(r"\]\(([^)\s]+)\)", text):
        if re.match(r"[a-z]+:", link):
            continue
        name, _, anchor = link.partition("#")
        target = (page.parent / name).resolve() if name else page
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), link


def test_every_page_can_be_found() -> None:
    """Each page of the documentation is linked from another one."""
    linked = {
        (page.parent / link.partition("#")[0]).resolve()
        for page in PAGES
        for link in re.findall(r"\]\(([^)\s]+)\)", page.read_text())
    }
    assert not {str(page) for page in PAGES if page not in linked and page.name != "README.md"}


def test_decisions_have_their_form() -> None:
    """Decisions are numbered without gap, and each says context, decision and consequence."""
    assert [int(page.name[:4]) for page in DECISIONS] == list(range(1, len(DECISIONS) + 1))
    for page in DECISIONS:
        assert re.findall(r"^## (.*)$", page.read_text(), re.MULTILINE) == ["Context", "Decision", "Consequence"]
        assert page.read_text().startswith(f"# {page.name[:4]} ")


def test_decisions_that_the_source_names_exist() -> None:
    """A number of a decision in a comment is that of a page."""
    sources = [*(REPOSITORY / "marathond").rglob("*.py"), REPOSITORY / "pyproject.toml"]
    named = {n for path in sources for n in re.findall(r"decisions/(\d{4})", path.read_text())}
    assert named <= {page.name[:4] for page in DECISIONS}


def test_the_contract_in_the_readme_is_valid(box: Box) -> None:
    """The short contract of the front page passes `check` as it stands."""
    example = re.search(r"```toml\n(.*?)```", (REPOSITORY / "README.md").read_text(), re.DOTALL)
    assert example
    assert len(example[1].splitlines()) <= 10
    (box.repo / "plan.toml").write_text(example[1])
    result = box.ctl("check", "plan.toml", "--json")
    assert result.code == 0, result
    assert [task["id"] for task in result.json["tasks"]] == ["implement", "lint"]


def test_the_make_targets_that_are_named_exist() -> None:
    """`make X` in a page, in .ci/run or in a message is a target."""
    makefile = (REPOSITORY / "Makefile").read_text()
    targets = set(re.findall(r"^([a-z-]+):", makefile, re.MULTILINE))
    said = [*PAGES, REPOSITORY / ".ci" / "run", REPOSITORY / "Makefile", REPOSITORY / "demo" / "run.py"]
    named = {
        word for path in said for word in re.findall(r"(?:^|`|\$ )make ([a-z]+)\b", path.read_text(), re.MULTILINE)
    }
    assert named - {"deps"} <= targets


def test_the_versions_agree() -> None:
    """The package, the program and the changelog speak of the same version."""
    assert f'version = "{__version__}"' in (REPOSITORY / "pyproject.toml").read_text()
    assert __version__ in (REPOSITORY / "CHANGELOG.md").read_text()
    assert json.loads((REPOSITORY / "docs" / "openrpc.json").read_text())["info"]["version"] == __version__
