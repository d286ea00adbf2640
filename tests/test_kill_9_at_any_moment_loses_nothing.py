"""`kill -9` of the daemon, whenever it strikes: what was checkpointed stays, what runs is adopted, nothing is done twice."""

import os
import random
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.box import Box, append, script

KILLS_SECONDS_MAX = 0.8


def chain(tasks: int, seconds: float) -> str:
    """Tasks in a row; each takes its time, appends a line to one file, and has a check that takes a moment too."""
    parts = ['name = "chain"', "[defaults]", 'agent = "scripted"']
    for k in range(1, tasks + 1):
        needs = f'needs = ["t{k - 1}"]' if k > 1 else ""
        prompt = script(f'sleep = "{seconds}s"', append("lines", f"line {k}"))
        check = f"""[[task.check]]\nrun = 'sleep 0.2; test "$(wc -l < lines)" = {k}'"""
        parts.append(f'[[task]]\nid = "t{k}"\n{needs}\nprompt = {prompt}\n{check}')
    return "\n".join(parts)


def assert_nothing_twice(box: Box, session: str, tasks: int) -> list[dict[str, Any]]:
    """The branch holds a line of each task, and each task took one attempt, whose every step was recorded once."""
    status = box.wait(session, "done", "failed", "held", "quarantined", seconds=120)
    assert status["state"] == "done", box.ctl("tail", session, "--no-follow").out
    lines = "".join(f"line {k}\n" for k in range(1, tasks + 1))
    assert box.git("show", f"{status['branch']}:lines") == lines
    assert [t["attempts"] for t in status["tasks"]] == [1] * tasks
    entries = box.entries(session)
    for kind in ("attempt.intended", "attempt.started", "attempt.finished", "check.finished", "checkpoint.committed"):
        assert sum(e["kind"] == kind for e in entries) == tasks, kind
    assert len(box.git("rev-list", f"main..{status['branch']}").split()) == tasks
    assert box.ctl("verify").code == 0
    return entries


def kill_at_random(box: Box, session: str, kills: int, seed: int) -> int:
    """Kills the daemon at random moments and starts the next one; how many kills fell into the session's life."""
    chance = random.Random(seed)
    done = 0
    while done < kills:
        time.sleep(chance.uniform(0, KILLS_SECONDS_MAX))
        box.kill_daemon()
        box.daemon_up()
        done += 1
        if box.status(session)["state"] not in ("running", "waiting"):
            break
    return done


def test_six_kills_cost_nothing(box: Box) -> None:
    """Six kills at random moments of a chain of six tasks: six lines, six attempts."""
    seed = int.from_bytes(os.urandom(4), "big")
    print(f"seed {seed}")
    session = box.start(chain(6, 0.7))
    assert kill_at_random(box, session, 6, seed) == 6
    assert_nothing_twice(box, session, 6)


# --- by what the daemon itself has started ------------------------------------------------------------------

KILL_ONCE = """#!/bin/sh
# Kills the daemon the first time it is called as $1, and counts the calls.
echo called >> {root}/$1
[ "$(wc -l < {root}/$1)" = 1 ] && kill -9 "$(cat {root}/state/marathond.lock)"
true
"""
KILLER = """
extends = "command"
command = ["/bin/sh", "-c", "{kill} agent; while ! test -e {root}/go; do sleep 0.05; done; echo x >> f"]
version = ["{kill}", "version"]
"""


def test_a_kill_from_inside_costs_nothing(box: Box) -> None:
    """Killed between the intent and the start, at the agent's first breath, and while a check runs: the agent and the check live on,
    are adopted, and ran once."""
    kill = box.root / "kill"
    kill.write_text(KILL_ONCE.format(root=box.root))
    kill.chmod(0o755)
    (box.config / "agents").mkdir()
    (box.config / "agents/killer.toml").write_text(KILLER.format(kill=kill, root=box.root))
    check = f"{kill} check; sleep 0.5"
    plan = f'[[task]]\nid = "a"\nprompt = "x"\nagent = "killer"\n[[task.check]]\nrun = "{check}"\n[[task.check]]\nfile = "f"\n'
    session = box.start(plan)

    def over() -> bool:
        box.daemon_spawned()
        if "attempt.adopted" in box.ctl("tail", session, "--json", "--no-follow").out:
            (box.root / "go").touch()
        found = box.ctl("status", session, "--json")
        return found.code == 0 and found.json["state"] in ("done", "failed", "held")

    box.until(over, "the session has ended", more=lambda: box.log[-3000:])
    status = box.status(session)
    assert status["state"] == "done", box.ctl("tail", session, "--no-follow").out
    assert status["tasks"][0]["attempts"] == 1
    assert [(box.root / name).read_text().count("called") for name in ("version", "agent", "check")] == [2, 1, 1]
    assert box.git("show", f"{status['branch']}:f") == "x\n"
    assert box.kinds(session).count("run.started") == 4


# --- at every git command -----------------------------------------------------------------------------------

GIT_THAT_KILLS = """#!/bin/sh
# At the git command that is next in the queue, kills the daemon: before the command, while it runs, or after it.
read daemon < {root}/state/marathond.lock 2> /dev/null
[ "$PPID" = "$daemon" ] && read when word pause < {root}/queue || exec {git} "$@"
case " $* " in *" $word "*) ;; *) exec {git} "$@" ;; esac
tail -n +2 {root}/queue > {root}/queue.new; mv {root}/queue.new {root}/queue
case $when in
  before) kill -9 $PPID ;;
  during) kill -9 $PPID; sleep ${{pause:-0.5}}; exec {git} "$@" ;;
  after) {git} "$@"; code=$?; kill -9 $PPID; exit $code ;;
esac
"""
MOMENTS = ("before", "during", "after")
STEPS = (
    "worktree", "read-tree", "add", "diff-index", "write-tree", "commit-tree", "update-ref", "ls-files", "update-ref", "diff-tree",
    "cat-file", "update-ref",
)  # fmt: skip
"""What git does for one task, from its workspace to its checkpoint."""
DELIVERY = ("for-each-ref", "update-ref", "ls-files", "worktree")


@pytest.fixture
def killing_box(tmp_path: Path) -> Iterator[Box]:
    """A box whose daemon uses a git that kills it, as `queue` says."""
    shims = tmp_path / "shims"
    shims.mkdir()
    git = shutil.which("git")
    (shims / "git").write_text(GIT_THAT_KILLS.format(root=tmp_path, git=git))
    (shims / "git").chmod(0o755)
    with Box(tmp_path, {"PATH": f"{shims}:{os.environ['PATH']}"}) as box:
        yield box


def kill_at(box: Box, kills: list[tuple[str, str]]) -> None:
    """Runs a chain while the daemon is killed at each of `kills`, a moment and a word of a git command, and started again."""
    tasks = 2
    session = box.start(chain(tasks, 0.1))
    queue = box.root / "queue"
    queue.with_suffix(".made").write_text("".join(f"{when} {word}\n" for when, word in kills))
    queue.with_suffix(".made").rename(queue)

    def over() -> bool:
        box.daemon_spawned()
        return not queue.read_text() and box.ctl("tail", session, "--no-follow").code == 0

    box.until(over, "all kills have struck", 100, lambda: f"{queue.read_text()}\n{box.log[-3000:]}")
    assert_nothing_twice(box, session, tasks)


def test_a_kill_at_any_git_command_costs_nothing(killing_box: Box) -> None:
    """Killed while a workspace, a candidate, a checkpoint or the branch is made: the next daemon ends it, and nothing is done twice."""
    kill_at(
        killing_box,
        [
            ("during", "worktree"), ("during", "read-tree"), ("after", "commit-tree"), ("during", "update-ref"),
            ("before", "diff-tree"), ("after", "update-ref"), ("during", "for-each-ref"), ("after", "update-ref"),
        ],
    )  # fmt: skip


def test_git_that_outlives_its_daemon_harms_nobody(killing_box: Box) -> None:
    """A git command that goes on after the daemon was killed has ended before the next one gives its workspace to an agent."""
    box = killing_box
    (box.root / "queue").write_text("during read-tree 3\n")
    prompt = script(append("README", "the work"), 'sleep = "3s"')
    check = '[[task.check]]\nrun = "grep -q work README"'
    session = box.start(f'[[task]]\nid = "a"\nagent = "scripted"\nprompt = {prompt}\n{check}\n')
    box.until(
        lambda: box.daemon is not None and box.daemon.poll() is not None, "it was killed while git puts files in place"
    )
    box.daemon_up()
    status = box.wait(session, "done", "failed", "waiting")
    assert status["state"] == "done", box.ctl("tail", session, "--no-follow").out
    assert status["tasks"][0]["attempts"] == 1


@pytest.mark.drill
@pytest.mark.parametrize("when", MOMENTS)
def test_a_kill_at_each_git_command_costs_nothing(killing_box: Box, when: str) -> None:
    """The same at each command of the two tasks of a session, and of its delivery."""
    kill_at(killing_box, [(when, step) for step in (*STEPS, *DELIVERY)])


@pytest.mark.drill
@pytest.mark.timeout(600)
def test_fifty_kills_cost_nothing(tmp_path: Path) -> None:
    """Fifty kills at random moments of chains of six tasks, each of which takes some seconds."""
    seed, struck, round_ = int.from_bytes(os.urandom(4), "big"), 0, 0
    print(f"seed {seed}")
    while struck < 50:
        round_ += 1
        with Box(tmp_path / str(round_)) as box:
            session = box.start(chain(6, 3))
            struck += kill_at_random(box, session, 50 - struck, seed + round_)
            entries = assert_nothing_twice(box, session, 6)
            assert any(entry["kind"] == "attempt.adopted" for entry in entries)
