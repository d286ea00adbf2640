"""`make demo`: a session of four tasks whose daemon is killed half-way. Nothing is lost, and nothing is done twice.

Everything is real (the repository, the daemon, the kill, the ledger) except the agents: they are `scripted`, so that it
needs no account. It takes about fifteen seconds and leaves nothing behind.
"""

import re
import subprocess
import sys
import threading
import time
from collections import Counter

from screen import command, diff, heading, output, paint, remark, say
from stage import Stage, end, until

PARALLEL = {"count", "title"}
BREATH_SECONDS = 1.5
"""How long the agents are watched at work before the daemon is killed."""


def main() -> int:
    """Plays it; 0 when everything that it claims was seen."""
    started = time.monotonic()
    with Stage() as stage:
        try:
            set_up(stage)
            run_with_a_crash(stage)
            show_branch(stage)
            prove(stage)
        except KeyboardInterrupt:
            say("\nInterrupted; ending the demo's processes.")
            return 130
        except (subprocess.CalledProcessError, TimeoutError, AssertionError) as error:
            say(paint(f"\nThe demo did not go as it should: {error}", "red"))
            say(getattr(error, "stderr", None) or "")
            return 1
    with_claude(time.monotonic() - started)
    return 0


def set_up(stage: Stage) -> None:
    """The repository and the contract."""
    heading("1  A small repository, and a contract of four tasks")
    stage.make_repository()
    command("git log --oneline")
    output(stage.git("log", "--oneline"))
    command("marathonctl check plan.toml")
    output(stage.ctl("check", str(stage.plan)))


def run_with_a_crash(stage: Stage) -> None:
    """`marathonctl run`, shown line by line, with a daemon that is killed while two agents work."""
    heading("2  The run, with a daemon that is killed half-way")
    command("marathonctl run plan.toml")
    run = stage.ctl_process("run", str(stage.plan))
    created = threading.Event()

    def relay() -> None:
        for line in run.stdout or ():
            output(line)
            if found := re.search(r"session (\w+) .*was created", line):
                stage.session = found[1]
                created.set()

    reader = threading.Thread(target=relay, daemon=True)
    reader.start()
    try:
        until(lambda: created.is_set() or run.poll() is not None, "the session is created")
        crash(stage)
        code = run.wait(timeout=60)
        reader.join(timeout=5)
        assert code == 0, f"marathonctl run exited {code}"
    finally:
        if run.poll() is None:
            run.kill()
            run.wait()


def crash(stage: Stage) -> None:
    """`kill -9` of the daemon while two agents work; they go on, and the next daemon finds them."""
    until(lambda: at_work(stage) >= PARALLEL, "two agents are at work")
    time.sleep(BREATH_SECONDS)
    daemon, agents = stage.daemon(), stage.agents()
    assert daemon is not None, "there is no daemon to kill"
    assert set(agents) >= PARALLEL, f"the agents have ended too early: {agents}"
    remark(f"Two agents are at work. Now the daemon gets a `kill -9 {daemon}`.")
    end(daemon)
    until(lambda: stage.daemon() is None, "the daemon is gone")
    alive = {task: pid for task, pid in stage.agents().items() if agents.get(task) == pid}
    assert set(alive) >= PARALLEL, f"agents died with the daemon: {agents} → {alive}"
    remark(
        f"No daemon lives. The agents work on: {', '.join(f'{task} (pid {pid})' for task, pid in sorted(alive.items()))}."
    )
    until(lambda: stage.daemon() not in (None, daemon), "the next daemon is there")
    remark(f"`marathonctl run` started the next daemon: pid {stage.daemon()}.")


def at_work(stage: Stage) -> set[str]:
    """The tasks that the ledger says are running."""
    return {task["id"] for task in stage.status()["tasks"] if task["state"] == "running"}


def show_branch(stage: Stage) -> None:
    """What the session leaves: a branch with a checked commit for each task, and the user's own checkout as it was."""
    heading("3  The branch: one checked commit for each task; your checkout was not touched")
    branch = stage.status()["branch"]
    command(f"git log --graph --oneline {branch}")
    output(stage.git("log", "--graph", "--oneline", "--decorate", branch))
    command(f"git diff --stat main {branch}")
    output(stage.git("diff", "--stat", "main", branch))
    command(f"git diff main {branch} -- README.md wordtools/count.py")
    diff(stage.git("diff", "main", branch, "--", "README.md", "wordtools/count.py"))
    command("git status --short   # nothing: the work was done in worktrees of its own")
    untouched = stage.git("status", "--short")
    assert not untouched, untouched


def prove(stage: Stage) -> None:
    """The ledger is intact, and it says that no attempt ran twice."""
    heading("4  The proof")
    command("marathonctl verify")
    output(stage.ctl("verify"))
    command("marathonctl tail --json --no-follow   # counted")
    entries = stage.entries()
    begun = Counter(entry["body"]["task"] for entry in entries if entry["kind"] == "attempt.intended")
    adopted = [entry["body"]["task"] for entry in entries if entry["kind"] == "attempt.adopted"]
    runs = sum(entry["kind"] == "run.started" for entry in entries)
    output(f"attempts begun: {', '.join(f'{task} {count}' for task, count in begun.items())}")
    output(f"adopted alive by the next daemon: {', '.join(sorted(adopted))}; runs: {runs}")
    assert set(begun.values()) == {1}, "an attempt ran twice"
    assert set(adopted) == PARALLEL, "the agents were not adopted"
    output(paint("✓ Four tasks, four attempts: the crash cost nothing, and nothing ran twice.", "green"))


def with_claude(seconds: float) -> None:
    """How to do the same for real."""
    heading("The same with Claude Code, in a repository of yours")
    command("marathonctl init                          # a contract to start from: plan.toml")
    command("$EDITOR plan.toml                         # say what is to be done, and which checks decide")
    command('marathonctl run plan.toml --unsandboxed   # agent = "claude"; you consent that it acts without asking')
    say(paint(f"\n{seconds:.0f} seconds; the demo's folder and processes are gone.", "dim"))


if __name__ == "__main__":
    sys.exit(main())
