"""What an attempt leaves with a key in it, in files or in commits of its own, is reachable from no ref of the user's repository."""

import subprocess
from pathlib import Path

import pytest

from tests.support.box import Box, script, write

pytestmark = pytest.mark.timeout(90)

KEY = "my-proxy-pass-Zq8yy77zz"
GIT = "git -c user.name=An -c user.email=an@agent"


def objects(box: Box, *which: str) -> bytes:
    """The content of all objects that a command of git lists first on each line."""
    listed = box.git(*which)
    oids = "".join(f"{line.split()[0]}\n" for line in listed.splitlines())
    return subprocess.run(
        ["git", "cat-file", "--batch"], cwd=box.repo, env=box.env, input=oids.encode(), capture_output=True, check=True
    ).stdout


def reachable(box: Box) -> bytes:
    """All that refs, and the heads of worktrees, lead to."""
    listed = objects(box, "rev-list", "--objects", "--all")
    assert b"a repository" in listed
    return listed


def notes(box: Box, session: str) -> list[str]:
    found = [e["body"] for e in box.entries(session) if e["kind"] == "attempt.noted"]
    assert all(note["what"] == "withheld" and KEY not in note["text"] for note in found)
    return [note["text"] for note in found]


def plan(*dos: str, attempts: int = 1) -> str:
    return f"""
[[task]]
id = "a"
agent = "scripted"
attempts = {attempts}
env = ["MY_TOKEN"]
prompt = {script(*dos)}
"""


@pytest.mark.parametrize(
    "first",
    ["echo $MY_TOKEN > f; git add f; {git} commit -qm one", "{git} commit -q --allow-empty -m $MY_TOKEN; echo x > f"],
    ids=["in a file that is gone again", "in a message"],
)
def test_own_commits_of_an_attempt(tmp_path: Path, first: str) -> None:
    """Commits that hold a key are not kept, which is recorded, and the work without them is done."""
    run = f"{first.format(git=GIT)}; echo good > f; git add f; {GIT} commit -qm two"
    with Box(tmp_path, {"MY_TOKEN": KEY}) as box:
        session = box.start(plan(f'run = "{run}"'))
        status = box.wait(session, "done", "failed")
        assert status["state"] == "done", box.entries(session)
        assert notes(box, session) == ["its own commits are not kept, since they contain a secret that was handed out"]
        assert box.git("show", f"{status['branch']}:f") == "good\n"
        assert f"refs/marathon/{session}/agent" not in box.git("for-each-ref")
        assert KEY.encode() not in reachable(box)


def test_own_commits_without_a_key_are_kept(tmp_path: Path) -> None:
    """Commits of an attempt that was handed a key and did not use it stay under their ref."""
    with Box(tmp_path, {"MY_TOKEN": KEY}) as box:
        session = box.start(plan(f'run = "echo good > f; git add f; {GIT} commit -qm mine"'))
        assert box.wait(session, "done", "failed")["state"] == "done"
        assert notes(box, session) == []
        assert box.git("log", "-1", "--format=%s", f"refs/marathon/{session}/agent/a/1") == "mine\n"


def test_a_branch_that_the_attempt_made_is_named(tmp_path: Path) -> None:
    """Marathon moves no branch that is not its own, so it says where the key still is."""
    run = f"git checkout -qb mine; echo $MY_TOKEN > f; git add f; {GIT} commit -qm one; echo good > f"
    with Box(tmp_path, {"MY_TOKEN": KEY}) as box:
        session = box.start(plan(f'run = "{run}"'))
        assert box.wait(session, "done", "failed")["state"] == "done"
        assert notes(box, session)[0].endswith("; refs/heads/mine still holds them")


def test_refused_work_is_kept_without_the_key(tmp_path: Path) -> None:
    """Files with a key were never in the repository; a fresh start keeps the others under a ref, records what it leaves out, and
    removes it."""
    bad = 'run = "echo $MY_TOKEN > config.ini; echo $MY_TOKEN >> README; echo long work > work"\nattempt = 1'
    with Box(tmp_path, {"MY_TOKEN": KEY}) as box:
        session = box.start(plan(bad, write("f", "x") + "\nattempt = 2", attempts=2))
        box.wait(session, "waiting")
        assert "candidate.refused" in box.kinds(session)
        assert KEY.encode() not in objects(box, "cat-file", "--batch-check", "--batch-all-objects")
        assert box.ctl("resume", session).code == 0
        assert box.wait(session, "done", "failed")["state"] == "done"
        (note,) = notes(box, session)
        assert note.endswith(": README, config.ini")
        rescue = f"refs/marathon/{session}/rescue/a/2"
        assert box.git("ls-tree", "--name-only", rescue).split() == ["README", "work"]
        assert box.git("show", f"{rescue}:README") == "a repository\n"
        assert KEY.encode() not in objects(box, "cat-file", "--batch-check", "--batch-all-objects")
        box.until(lambda: not list((box.repo / ".git/objects").glob("tmp_*")), "nothing is left apart")


def test_a_workspace_that_stays_leads_to_no_key(tmp_path: Path) -> None:
    """A failed attempt's commits with a key are let go of: its workspace stays, files and all, and its HEAD is where it began."""
    run = f"echo $MY_TOKEN > f; git add f; {GIT} commit -qm one; exit 1"
    with Box(tmp_path, {"MY_TOKEN": KEY}) as box:
        session = box.start(plan(f'run = "{run}"'))
        box.wait(session, "failed")
        place = box.state / "workspaces" / session / "a"
        base = box.git("rev-parse", "HEAD")
        box.until(lambda: box.git("-C", str(place), "rev-parse", "HEAD") == base, "it is let go")
        assert (place / "f").read_text() == f"{KEY}\n"
        assert KEY.encode() not in reachable(box)
        assert not (box.state / "env" / f"{session}.json").exists()


def test_in_the_users_checkout_nothing_is_deleted(tmp_path: Path) -> None:
    """With isolation none, what no ref may hold is moved out of the checkout into the state folder."""
    bad = 'run = "echo $MY_TOKEN > config.ini; echo long work > work"\nattempt = 1'
    text = plan(bad, write("f", "x") + "\nattempt = 2", attempts=2)
    with Box(tmp_path, {"MY_TOKEN": KEY}) as box:
        session = box.start(f'{text}\n[workspace]\nrepo = "repo"\nisolation = "none"\n')
        box.wait(session, "waiting")
        assert box.ctl("resume", session).code == 0
        assert box.wait(session, "done", "failed")["state"] == "done"
        assert not (box.repo / "config.ini").exists()
        aside = box.state / "workspaces" / session / "a.withheld-1/config.ini"
        assert aside.read_text() == f"{KEY}\n"
        assert KEY.encode() not in objects(box, "cat-file", "--batch-check", "--batch-all-objects")
