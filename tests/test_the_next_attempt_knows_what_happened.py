"""How an attempt starts after another one: continue, cold or fresh, and what its agent is told."""

from pathlib import Path
from typing import Any

from tests.support.box import Box, script, write

PROFILE = """
extends = "command"
command = ["/bin/sh", "{agent}"]
"""
AGENT = """
n=${{MARATHON_ATTEMPT##*/}}
cat > {root}/told.$n
ls > {root}/saw.$n
echo "words of $n"
. {root}/act.$n
"""


def _saver(box: Box, *acts: str) -> None:
    """An agent whose attempts do `acts`, one each, and keep what they were told and what they found."""
    (box.root / "agent.sh").write_text(AGENT.format(root=box.root))
    for number, act in enumerate(acts, 1):
        (box.root / f"act.{number}").write_text(f"{act}\n")
    (box.config / "agents").mkdir(exist_ok=True)
    (box.config / "agents/saver.toml").write_text(PROFILE.format(agent=box.root / "agent.sh"))


def _told(box: Box, attempt: int) -> str:
    return (box.root / f"told.{attempt}").read_text()


def _saw(box: Box, attempt: int) -> list[str]:
    return (box.root / f"saw.{attempt}").read_text().split()


def _intents(box: Box, session: str, task: str = "a") -> list[tuple[str, str]]:
    entries: list[dict[str, Any]] = box.entries(session)
    return [
        (e["body"]["mode"], e["body"]["why"])
        for e in entries
        if e["kind"] == "attempt.intended" and e["body"]["task"] == task
    ]


def _hurry(box: Box, session: str) -> dict[str, Any]:
    """Cuts backoffs short until the session ends."""
    while (status := box.wait(session, "waiting", "done", "failed", "held"))["state"] == "waiting":
        box.ctl("resume", session)
    return status


PLAN = """
[defaults]
agent = "saver"
attempts = 3
[[task]]
id = "a"
prompt = "Make one and two."
[[task.check]]
run = "test -e one || { echo one is missing; exit 1; }"
[[task.check]]
file = "two"
"""


def test_nothing_passed_then_something_then_all(box: Box) -> None:
    """No check passed: fresh, tree set aside under a rescue ref, with a handoff. Some passed: the tree is kept, and an agent without
    threads is told the prompt and what still fails. All passed: done, in three attempts."""
    _saver(box, "echo x > wrong", "echo x > one", "echo x > two")
    session = box.start(PLAN)
    status = _hurry(box, session)
    assert status["state"] == "done", box.ctl("tail", session, "--no-follow").out
    assert _intents(box, session) == [("fresh", "first"), ("fresh", "failed"), ("cold", "failed")]
    assert _told(box, 1) == "Make one and two."
    second, third = _told(box, 2), _told(box, 3)
    for words in (
        "Make one and two.",
        "new attempt",
        "working tree is clean",
        "one is missing",
        "two does not exist",
        "words of 1",
    ):
        assert words in second, words
    assert "wrong" not in _saw(box, 2)
    assert box.git("show", f"refs/marathon/{session}/rescue/a/2:wrong") == "x\n"
    for words in ("Make one and two.", "still in the working tree", "two does not exist", "words of 2"):
        assert words in third, words
    assert "one is missing" not in third
    assert "one" in _saw(box, 3)


def test_a_conflict_hands_the_old_patch_over_and_an_interruption_keeps_the_tree(box: Box) -> None:
    """The loser of a conflict starts fresh on the new tip with its old patch in the handoff; a halted attempt finds its files again."""
    wait = f"while ! test -e {box.root}/go; do sleep 0.02; done"
    _saver(box, f"echo mine > f; {wait}", "echo both > f; echo kept > half; sleep 300", "echo both > f")
    session = box.start(
        f"""
[limits]
parallel = 2
[defaults]
agent = "saver"
attempts = 1
[[task]]
id = "a"
prompt = "Write f."
[[task.check]]
run = "grep -q both f"
[[task]]
id = "b"
agent = "scripted"
prompt = {script(write("f", "theirs"))}
[[task.check]]
file = "f"
"""
    )
    box.until(lambda: box.task(session, "b")["state"] == "done", "the other task is done")
    (box.root / "go").touch()
    box.until(lambda: Path(box.root, "saw.2").exists(), "the second attempt works")
    second = _told(box, 2)
    assert "conflicted" in second
    assert "+mine" in second
    box.until((box.state / "workspaces" / session / "a/half").exists, "it has done half")
    assert box.ctl("halt", session).code == 0
    assert box.ctl("resume", session).code == 0
    assert box.wait(session, "done", "failed", "held")["state"] == "done"
    assert _intents(box, session) == [("fresh", "first"), ("fresh", "conflict"), ("cold", "interrupted")]
    assert {"half", "f"} <= set(_saw(box, 3))
    assert "still in the working tree" in _told(box, 3)


def test_an_agent_with_a_thread_continues_in_it(box: Box) -> None:
    """An agent that has a conversation goes on in the same one when only some checks failed, and its tree is as it left it."""
    session = box.start(
        f"""
[defaults]
agent = "scripted"
attempts = 2
[[task]]
id = "a"
prompt = {script(write("one", "x"), 'run = "test -e two || echo none > seen"', write("two", "x") + chr(10) + "attempt = 2")}
[[task.check]]
file = "one"
[[task.check]]
file = "two"
"""
    )
    assert _hurry(box, session)["state"] == "done"
    entries = box.entries(session)
    intents = [e["body"] for e in entries if e["kind"] == "attempt.intended"]
    started = [e["body"] for e in entries if e["kind"] == "attempt.started"]
    assert [i["mode"] for i in intents] == ["fresh", "continue"]
    assert intents[1]["thread"] == started[0]["thread"] is not None
    assert '"resumed": true' in box.ctl("logs", session, "a", "--raw").out
