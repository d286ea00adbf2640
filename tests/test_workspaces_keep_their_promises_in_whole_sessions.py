"""Workspaces as a whole session sees them: hooks, includes, setup, odd repositories, odd files, and what stays at the end."""

import subprocess
from typing import Any

import pytest

from tests.support.box import Box, script, write

HOOKS = (
    "post-checkout",
    "pre-commit",
    "post-commit",
    "reference-transaction",
    "post-index-change",
    "prepare-commit-msg",
)


def _bodies(box: Box, session: str, kind: str) -> list[dict[str, Any]]:
    return [e["body"] for e in box.entries(session) if e["kind"] == kind]


def _trees(box: Box, session: str) -> list[str]:
    folder = box.state / "workspaces" / session
    return sorted(p.name for p in folder.iterdir()) if folder.exists() else []


def test_a_session_in_a_rich_repository(box: Box) -> None:
    """Hooks never run for us; an agent's commits are squashed and kept; includes stay out; setup runs once per workspace; every
    kind of file arrives; and at the end no worktree, no setup marker and no environment file is left."""
    marker = box.root / "hook-ran"
    for name in HOOKS:
        hook = box.repo / ".git/hooks" / name
        hook.write_text(f"#!/bin/sh\necho {name} $PWD >> {marker}\n")
        hook.chmod(0o755)
    (box.repo / ".worktreeinclude").write_text("local.env\n")
    (box.repo / ".gitignore").write_text("local.env\nbuild/\n")
    (box.repo / "local.env").write_text("LOCAL=1\n")
    for name, text in (("old.txt", "old\n"), ("gone.txt", "gone\n"), ("moved.txt", "moved " * 50)):
        (box.repo / name).write_text(text)
    box.git("add", "-A")
    box.git("-c", "core.hooksPath=/dev/null", "commit", "-qm", "rich")
    before = [box.git("status", "--porcelain"), (box.repo / ".git/index").read_bytes(), box.git("reflog")]
    marker.unlink(missing_ok=True)
    files = " && ".join(
        (
            "grep -q LOCAL=1 local.env", "ln -s old.txt link", "printf '#!/bin/sh\\n' > tool", "chmod +x tool", "rm gone.txt",
            "mv moved.txt 'näme ☃.txt'", "head -c 3000000 /dev/urandom > big.bin", "echo more >> old.txt", "mkdir -p build",
            "echo x > build/x", "printf 'a\\0b' > 'a new\\nline'",
        )
    )  # fmt: skip
    commit = "git -c core.hooksPath=/dev/null -c user.name=agent -c user.email=a@b commit -q"
    commits = f"{commit} --allow-empty -m mine1; echo own > own; git -c core.hooksPath=/dev/null add own; {commit} -m mine2; echo later > later"
    (box.root / "commits").write_text(commits)
    session = box.start(
        f"""
[workspace]
repo = "repo"
setup = ["echo set up >> {box.root}/setup-$(basename $PWD)"]
[defaults]
agent = "scripted"
[[task]]
id = "files"
run = '''{files}'''
[[task.check]]
run = "test -x tool && test -L link && test ! -e gone.txt && test -e 'näme ☃.txt'"
[[task]]
id = "commits"
needs = ["files"]
attempts = 2
prompt = {script(f'run = "sh {box.root}/commits"', write("right", "yes") + chr(10) + "attempt = 2")}
[[task.check]]
file = "right"
[[task.check]]
file = "own"
"""
    )
    box.wait(session, "waiting", "done", "failed")
    assert box.ctl("resume", session).code == 0
    status = box.wait(session, "done", "failed")
    assert status["state"] == "done", box.ctl("tail", session, "--no-follow").out
    branch = status["branch"]
    listed = box.git("-c", "core.quotePath=false", "ls-tree", "-r", "-z", branch).split("\0")
    modes = {line.partition("\t")[2]: line[:6] for line in listed if line}
    assert modes["tool"] == "100755"
    assert modes["link"] == "120000"
    assert {"näme ☃.txt", "big.bin", "a new\\nline", "own", "later", "right"} <= set(modes)
    assert not {"gone.txt", "moved.txt", "local.env", "build/x"} & set(modes)
    assert int(box.git("cat-file", "-s", f"{branch}:big.bin")) == 3_000_000
    assert len(box.git("rev-list", f"main..{branch}").split()) == 2
    agents = box.git("for-each-ref", "--format=%(subject)", f"refs/marathon/{session}/agent/commits").split()
    assert "mine2" in agents
    for task in ("files", "commits"):
        assert (box.root / f"setup-{task}").read_text() == "set up\n"
    assert not marker.exists(), marker.read_text()
    assert [box.git("status", "--porcelain"), (box.repo / ".git/index").read_bytes(), box.git("reflog")] == before
    box.until(lambda: _trees(box, session) == [], "nothing is left of the workspaces", 10, lambda: _trees(box, session))
    assert len(box.git("worktree", "list").splitlines()) == 1
    assert list((box.state / "env").glob("*")) == []


def test_what_is_unsaved_stays(box: Box) -> None:
    """At the end of a failed session the tree with unsaved work stays, one whose files are its candidate's goes; a failed setup
    says so."""
    session = box.start(
        f"""
[limits]
parallel = 3
[defaults]
agent = "scripted"
attempts = 1
[[task]]
id = "unsaved"
run = "echo precious > precious; exit 1"
[[task]]
id = "saved"
prompt = {script(write("f", "wrong"))}
[[task.check]]
file = "f"
contains = "right"
"""
    )
    assert box.wait(session, "failed")["state"] == "failed"
    box.until(lambda: _trees(box, session) == ["unsaved"], "one tree is left", 10, lambda: _trees(box, session))
    assert (box.state / "workspaces" / session / "unsaved/precious").read_text() == "precious\n"
    second = box.start(
        '[workspace]\nrepo = "repo"\nsetup = ["echo no compiler >&2; exit 3"]\n'
        '[[task]]\nid = "a"\nrun = "true"\nattempts = 1\n'
    )
    status = box.wait(second, "failed")
    assert "setup" in status["tasks"][0]["reason"]
    assert "exit 3" in status["tasks"][0]["reason"]
    assert "no compiler" in status["tasks"][0]["reason"]


def test_work_in_the_checkout_is_exclusive(box: Box) -> None:
    """`isolation = "none"`: a dirty checkout is refused with 64; HEAD and index stay the user's; a second session waits its turn and
    costs no attempt."""

    def plan(name: str, run: str) -> str:
        return f"""
name = "{name}"
[workspace]
repo = "repo"
isolation = "none"
[defaults]
attempts = 1
[[task]]
id = "{name}"
run = "{run}"
"""

    box.daemon_up()
    (box.repo / "dirt").write_text("dirt\n")
    assert box.ctl("start", str(box.write_plan(plan("first", "true")))).code == 64
    (box.repo / "dirt").unlink()
    head, index = box.git("rev-parse", "HEAD"), box.git("ls-files", "--stage")
    first = box.start(plan("first", f"while ! test -e {box.root}/go; do sleep 0.05; done"))
    box.until(lambda: box.running(first, "first"), "the first works")
    second = box.start(plan("second", "echo second > second.txt"))
    assert f"session {first} is at work in the checkout" in box.ctl("why", second).out
    assert box.status(second)["tasks"][0]["attempts"] == 0
    (box.root / "go").touch()
    assert box.wait(first, "done", "failed")["state"] == "done"
    status = box.wait(second, "done", "failed", "held")
    assert status["state"] == "done", box.ctl("tail", second, "--no-follow").out
    assert status["tasks"][0]["attempts"] == 1
    assert (box.repo / "second.txt").read_text() == "second\n"
    assert box.git("show", f"{status['branch']}:second.txt") == "second\n"
    assert box.git("rev-parse", "HEAD") == head
    assert box.git("ls-files", "--stage") == index


@pytest.mark.parametrize("base", ["v1", "side"])
def test_any_base_and_any_head_will_do(box: Box, base: str) -> None:
    """A tag or a branch as base, a sub-folder as repository, a submodule in it, HEAD detached or unborn."""
    library = box.root / "library"
    library.mkdir()
    with (box.root / "home/gitconfig").open("a") as config:
        config.write('[protocol "file"]\n\tallow = always\n')
    for command in (["init", "-q", "."], ["commit", "-qm", "library", "--allow-empty"]):
        subprocess.run(["git", *command], cwd=library, env=box.env, check=True)
    add = ["git", "submodule", "--quiet", "add", str(library), "lib"]
    subprocess.run(add, cwd=box.repo, env=box.env, check=True)
    (box.repo / "sub").mkdir()
    (box.repo / "sub/file").write_text("in sub\n")
    box.git("add", "-A")
    box.git("commit", "-qm", "with a submodule")
    box.git("tag", "-a", "v1", "-m", "one")
    box.git("branch", "side")
    box.git("checkout", "-q", "--detach") if base == "v1" else box.git("checkout", "-q", "--orphan", "unborn")
    status_before = box.git("status", "--porcelain", check=False)
    plan = box.root / "plan.toml"
    plan.write_text(
        f"""
[workspace]
repo = "repo/sub"
base = "{base}"
[[task]]
id = "a"
run = "test -e sub/file && echo a > sub/a"
"""
    )
    box.daemon_up()
    result = box.ctl("run", str(plan), timeout=60)
    assert result.code == 0, result
    session = box.ctl("status", "--json").json
    assert box.git("show", f"{session['branch']}:sub/a") == "a\n"
    assert box.git("ls-tree", session["branch"], "lib").startswith("160000 commit")
    assert box.git("status", "--porcelain", check=False) == status_before
