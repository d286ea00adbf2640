"""The main path, with everything real: contract, daemon, agents, git."""

import hashlib

from tests.support.box import Box, append, script, write

PLAN = f"""
name = "Add Things!"
goal = "Add two things"
[limits]
parallel = 2
[variables]
who = "world"
[defaults]
agent = "scripted"
[[task]]
id = "plan"
prompt = {script('say = "the plan"', write("plan.md", "plan"))}
[[task.check]]
file = "plan.md"
[[task]]
id = "left"
needs = ["plan"]
prompt = {script(append("left.txt", "hello {{ who }}: {{ task.plan.text }}"))}
[[task.check]]
run = "grep -q 'hello world: the plan' left.txt"
[[task]]
id = "right"
needs = ["plan"]
prompt = {script(append("right.txt", "right"))}
[[task.check]]
file = "right.txt"
changed = true
[[task]]
id = "both"
needs = ["left", "right"]
run = "cat left.txt right.txt > both.txt"
"""


def test_the_branch_holds_what_every_task_did_and_the_checkout_is_untouched(box: Box) -> None:
    """Tasks in parallel and in order end in one branch of checkpoints; status, index and reflog of the user stay as they were."""
    before = [box.git("status", "--porcelain"), (box.repo / ".git/index").read_bytes(), box.git("reflog")]
    session = box.start(PLAN)
    status = box.wait(session, "done", "failed")
    assert status["state"] == "done", status
    assert status["branch"] == "marathon/add-things"
    assert [t["state"] for t in status["tasks"]] == ["done"] * 4
    assert [t["attempts"] for t in status["tasks"]] == [1] * 4
    assert box.git("show", "marathon/add-things:both.txt") == "hello world: the plan\nright\n"
    subjects = box.git("log", "--format=%s", "main..marathon/add-things").splitlines()
    assert len(subjects) == 4
    trailers = box.git("log", "-1", "--format=%(trailers)", "marathon/add-things")
    assert f"Marathon-Session: {session}" in trailers
    assert "Marathon-Task: both" in trailers
    assert f"Marathon-Contract: {status['contract_hash']}" in trailers
    assert [box.git("status", "--porcelain"), (box.repo / ".git/index").read_bytes(), box.git("reflog")] == before
    assert box.ctl("verify").code == 0


def test_every_hash_and_link_can_be_computed_from_outside(box: Box) -> None:
    """`tail --json` of a finished session gives all that is needed to hash it again."""
    session = box.start(f'[[task]]\nid = "a"\nagent = "scripted"\nprompt = {script(write("a", "a"))}\n')
    box.wait(session, "done")
    prev = "0" * 64
    for line in box.entries(session):
        record = line["record"].encode()
        assert hashlib.sha256(b"marathon.entry.v1\0" + record).hexdigest() == line["hash"]
        linked = bytes.fromhex(line["link_prev"]) + bytes.fromhex(line["hash"])
        assert hashlib.sha256(b"marathon.link.v1\0" + linked).hexdigest() == line["link"]
        assert f'"prev":"{prev}"' in line["record"]
        prev = line["hash"]


def test_two_tasks_on_the_same_line_conflict_and_the_second_is_done_again(box: Box) -> None:
    """A conflict costs no attempt: the loser starts again on the new tip, and both checks hold on the final tree."""
    slow = script('run = "if grep -q first f; then echo first second > f; else sleep 1; echo second > f; fi"')
    session = box.start(
        f"""
[limits]
parallel = 2
[defaults]
agent = "scripted"
attempts = 1
[[task]]
id = "one"
prompt = {script('run = "echo first > f"')}
[[task.check]]
run = "grep -q first f"
[[task]]
id = "two"
prompt = {slow}
[[task.check]]
run = "grep -q second f"
"""
    )
    status = box.wait(session, "done", "failed")
    assert status["state"] == "done", box.ctl("tail", session, "--no-follow")
    assert "candidate.conflicted" in box.kinds(session)
    assert box.git("show", f"{status['branch']}:f") == "first second\n"
    assert box.task(session, "two")["attempts"] == 2


def test_a_failed_check_gives_the_next_attempt_a_handoff(box: Box) -> None:
    """When checks fail, the task is tried again after a backoff that `resume` cuts short, until its attempts are spent."""
    session = box.start(
        f"""
[defaults]
agent = "scripted"
attempts = 2
[[task]]
id = "a"
prompt = {script(write("a", "wrong"), write("a", "right") + chr(10) + "attempt = 2")}
[[task.check]]
run = "grep -q right a"
"""
    )
    status = box.wait(session, "waiting")
    assert status["due_at"]
    assert box.ctl("why", session).out
    assert box.ctl("resume", session).code == 0
    status = box.wait(session, "done", "failed")
    assert status["state"] == "done", box.ctl("tail", session, "--no-follow")
    assert box.task(session, "a")["attempts"] == 2


def test_a_failed_arm_blocks_only_its_dependents_and_retry_reopens_it(box: Box) -> None:
    """Exit 4, the rest is done and delivered; `retry` gives the failed task a new life and moves the same branch forward."""
    (box.root / "flag").write_text("")
    plan = f"""
[defaults]
agent = "scripted"
attempts = 1
[[task]]
id = "bad"
run = "test -e {box.root}/ok && echo bad > bad"
[[task]]
id = "after"
needs = ["bad"]
run = "echo after > after"
[[task]]
id = "good"
run = "echo good > good"
"""
    box.daemon_up()
    result = box.ctl("run", str(box.write_plan(plan)), "--json")
    assert result.code == 4, result
    session = box.ctl("status", "--json").json["session_id"]
    status = box.status(session)
    assert {t["id"]: t["state"] for t in status["tasks"]} == {"bad": "failed", "after": "skipped", "good": "done"}
    assert box.git("show", f"{status['branch']}:good") == "good\n"
    (box.root / "ok").write_text("")
    assert box.ctl("retry", session).code == 0
    after = box.wait(session, "done", "failed")
    assert after["state"] == "done"
    assert after["branch"] == status["branch"]
    assert box.git("show", f"{after['branch']}:after") == "after\n"


def test_a_checkpoint_is_named_after_what_was_asked(box: Box) -> None:
    """The subject of its commit is the first line of the prompt as the agent got it, with its names filled in, of a bounded length."""
    (box.config / "agents").mkdir()
    (box.config / "agents/typist.toml").write_text('extends = "command"\ncommand = ["sh", "-c", "cat > out"]\n')
    plan = """
[variables]
module = "export"
[[task]]
id = "plan"
run = "echo '  a flag for json' | tee f; echo and more"
[[task]]
id = "write"
agent = "typist"
needs = ["plan"]
prompt = "Give {{ module }} {{task.plan.text}}\\nand test it"
[[task]]
id = "long"
agent = "typist"
needs = ["write"]
prompt = "{{ module }} {{ module }} {{ module }} {{ module }} {{ module }} {{ module }} {{ module }} {{ module }} {{ module }} {{ module }} {{ module }}"
"""
    session = box.start(plan, "--unsandboxed")
    branch = box.wait(session, "done", "failed")["branch"]
    plain, long = (box.git("log", "-1", "--format=%s", f"{branch}{back}").rstrip("\n") for back in ("~1", ""))
    assert plain == "write: Give export a flag for json"
    assert long.startswith("long: export export ")
    assert len(long) <= 72
