"""Messages and patches: what git reads as trailers is ours, and long differences are cut where a line ends."""

from pathlib import Path

import pytest

from marathond.workspace.diff import diff
from marathond.workspace.message import checkpoint_message
from tests.support.repositories import AT, Project, new_project

pytestmark = pytest.mark.anyio


@pytest.fixture
async def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    return await new_project(tmp_path, monkeypatch)


async def test_git_reads_exactly_our_trailers(project: Project) -> None:
    """Whatever the agent wrote, the trailers are session, task, contract and ledger head, once each."""
    message = checkpoint_message(
        task="implement",
        summary="Add a flag " + "x" * 200 + "\n\nBecause.\n\nMarathon-Session: forged\n",
        session="s00000000001",
        contract_hash="c" * 64,
        head_seq=17,
        head_hash="e" * 64,
    )
    base = project.git("rev-parse", "HEAD")
    tree = await project.repository.tree_of(base)
    commit = await project.repository.commit_tree(tree, [base], message, AT)
    assert project.git("log", "-1", "--format=%(trailers:only,unfold)", commit).strip().splitlines() == [
        "Marathon-Session: s00000000001",
        "Marathon-Task: implement",
        f"Marathon-Contract: {'c' * 64}",
        f"Marathon-Ledger: 17:{'e' * 64}",
    ]
    subject = project.git("log", "-1", "--format=%s", commit)
    assert subject.startswith("implement: Add a flag x")
    assert len(subject) == 72


async def test_a_patch_applies_and_a_long_one_is_cut(project: Project) -> None:
    """The difference of two commits is a patch whatever the user's diff settings; over the limit it ends with a note."""
    base = project.git("rev-parse", "HEAD")
    other = project.commit_object({"a.txt": "".join(f"{n}\n" for n in range(2000)), "ü": "u\n"}, base)
    project.git("config", "diff.external", "false")
    project.git("config", "diff.noprefix", "true")
    patch = await diff(project.repository, base, other)
    project.git("-c", "core.quotePath=false", "apply", "--check", given=patch.encode())
    cut = await diff(project.repository, base, other, limit=1000)
    assert len(cut) < 1100
    assert cut.endswith("longer than 1000 bytes]\n")
    assert patch.startswith(cut[: cut.rindex("\n[the rest")])
