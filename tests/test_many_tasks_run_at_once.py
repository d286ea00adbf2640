"""Width and depth: many tasks in parallel all arrive in one branch, and templates carry words across a restart."""

import pytest

from tests.support.box import Box, append, script, write


def _task(name: str, *needs: str, more: str = "", body: str = "") -> str:
    listed = ", ".join(f'"{need}"' for need in needs)
    body = body or f'run = "echo {name} > {name}.txt"'
    return f'[[task]]\nid = "{name}"\nneeds = [{listed}]\n{body}\n{more}\n'


@pytest.mark.drill
def test_thirty_tasks_wide_and_deep_all_arrive(box: Box) -> None:
    """A first task, four arms of six, a join and three at the end, four at a time: thirty tasks, one attempt each, one line of commits."""
    parts = ["[limits]\nparallel = 4\n", _task("first")]
    for arm in "abcd":
        for k in range(6):
            parts.append(_task(f"{arm}{k}", f"{arm}{k - 1}" if k else "first"))
    parts.append(_task("join", *(f"{arm}5" for arm in "abcd")))
    parts += [_task(f"end{k}", "join") for k in range(4)]
    session = box.start("".join(parts))
    status = box.wait(session, "done", "failed", "held", seconds=90)
    assert status["state"] == "done", box.ctl("tail", session, "--no-follow").out
    assert len(status["tasks"]) == 30
    assert {t["attempts"] for t in status["tasks"]} == {1}
    listed = box.git("ls-tree", "--name-only", status["branch"]).split()
    assert len([name for name in listed if name.endswith(".txt")]) == 30
    assert len(box.git("rev-list", f"main..{status['branch']}").split()) == 30
    assert box.git("rev-list", "--merges", f"main..{status['branch']}") == ""
    live = most = 0
    for kind in box.kinds(session):
        live += {"attempt.started": 1, "attempt.finished": -1}.get(kind, 0)
        most = max(most, live)
    assert 2 <= most <= 4


def test_what_is_empty_and_what_is_said(box: Box) -> None:
    """Eight arms at once; an agent that changes nothing fails unless that is allowed; a template gives the words of a finished task,
    after a restart too."""
    odd = "{braces} & ünïcode $HOME"
    bodies = {
        "idle": script('say = "nothing to do"'),
        "speaker": script(f"say = '{odd}'"),
        "listener": script(write("heard", "{{ task.speaker.text }}")),
    }
    prompts = {name: f"prompt = {body}" for name, body in bodies.items()}
    wait = f'run = "while ! test -e {box.root}/go; do sleep 0.05; done"'
    parts = ['[limits]\nparallel = 8\n[defaults]\nagent = "scripted"\nattempts = 1\n']
    parts += [_task(f"arm{k}", body=f"prompt = {script(append(f'arm{k}', 'x'))}") for k in range(8)]
    parts += [_task("idle", body=prompts["idle"]), _task("speaker", body=prompts["speaker"], more="allow_empty = true")]
    parts += [_task("gate", "speaker", body=wait), _task("listener", "gate", "speaker", body=prompts["listener"])]
    session = box.start("".join(parts))
    box.until(lambda: box.running(session, "gate"), "the speaker is done")
    box.kill_daemon()
    (box.root / "go").touch()
    box.daemon_up()
    status = box.wait(session, "done", "failed", "held")
    states = {t["id"]: t["state"] for t in status["tasks"]}
    assert states.pop("idle") == "failed"
    assert "changed nothing" in box.task(session, "idle")["reason"]
    assert set(states.values()) == {"done"}, box.ctl("tail", session, "--no-follow").out
    assert {f"arm{k}" for k in range(8)} <= set(box.git("ls-tree", "--name-only", status["branch"]).split())
    assert box.git("show", f"{status['branch']}:heard") == f"{odd}\n"
