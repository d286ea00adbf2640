"""`start --from` and `retry`: what is done stays done, what failed gets another life."""

from typing import Any

from tests.support.box import Box, append, script


def _plan(box: Box, second: str = "ok", name: str = "carry") -> str:
    """`second` and `third` fail until a file of the test's is there."""
    return f"""
name = "{name}"
[defaults]
agent = "scripted"
attempts = 1
[[task]]
id = "first"
prompt = {script('say = "some words"', append("f", "first"))}
[[task.check]]
run = "echo first >> {box.root}/checked; grep -q first f"
[[task]]
id = "second"
needs = ["first"]
run = "test -e {box.root}/{second} && echo second >> f"
[[task]]
id = "third"
needs = ["first"]
run = "test -e {box.root}/third && echo third > g"
[[task]]
id = "last"
needs = ["second", "third"]
prompt = {script('run = "cat f g > h; echo {{ task.first.text }} >> h"')}
"""


def _attempts(status: dict[str, Any]) -> dict[str, int]:
    return {t["id"]: t["attempts"] for t in status["tasks"]}


def _states(status: dict[str, Any]) -> dict[str, str]:
    return {t["id"]: t["state"] for t in status["tasks"]}


def test_a_new_session_carries_the_last_checkpoint_on(box: Box) -> None:
    """Tasks that the new contract says the same about are not repeated; changed ones run on the old tip; unsound ones carry nothing."""
    old = box.start(_plan(box))
    before = box.wait(old, "failed")
    assert _states(before) == {"first": "done", "second": "failed", "third": "failed", "last": "skipped"}
    (box.root / "fine").touch()
    (box.root / "third").touch()
    new = box.start(_plan(box, second="fine"), "--from", old)
    status = box.wait(new, "done", "failed")
    assert status["state"] == "done", status
    assert _attempts(status) == {"first": 0, "second": 1, "third": 1, "last": 1}
    created = box.entries(new)[0]["body"]
    assert (created["carried_from"], created["carried_tasks"]) == (old, ["first"])
    assert created["tip"] == before["tasks"][0]["checkpoint"]
    assert (box.root / "checked").read_text() == "first\n", "its checks did not run again"
    assert box.git("show", f"{status['branch']}:h") == "first\nsecond\nthird\nsome words\n"
    assert status["branch"] == "marathon/carry-2", "the old session's branch has the name"
    assert before["branch"] == "marathon/carry"
    assert box.ctl("verify", "--json").json["ok"]
    assert box.ctl("start", str(box.write_plan(_plan(box))), "--from", "nosuch").code == 66


def test_only_what_verifies_is_carried(box: Box) -> None:
    """A moved ref, a changed contract and a broken chain end in quarantine, not in a dead end; a checkpoint that is gone does."""
    old = box.start(_plan(box))
    checkpoint = box.wait(old, "failed")["tasks"][0]["checkpoint"]
    again = str(box.write_plan(_plan(box, name="on")))
    box.git("update-ref", f"refs/marathon/{old}/tip", "HEAD")
    moved = box.ctl("start", again, "--from", old, "--json")
    assert moved.code == 0, moved
    assert box.entries(moved.json["session_id"])[0]["body"]["carried_tasks"] == ["first"], "the ref is not what counts"
    box.wait(moved.json["session_id"], "failed")
    box.stop_daemon()
    box.tamper(f"UPDATE contracts SET record = replace(record, 'third', 'thjrd') WHERE session_id = '{old}'")
    box.daemon_up()
    unfrozen = box.ctl("start", again, "--from", old, "--json")
    assert unfrozen.code == 0, unfrozen
    created = box.entries(unfrozen.json["session_id"])[0]["body"]
    assert (created["tip"], created["carried_tasks"]) == (checkpoint, []), (
        "the commit holds, what the tasks were told does not"
    )
    (box.repo / ".git/objects" / checkpoint[:2] / checkpoint[2:]).unlink()
    gone = box.ctl("start", again, "--from", old, "--json")
    assert gone.code == 64, gone
    assert "checkpoint" in gone.json["error"]["hint"]
    box.stop_daemon()
    box.tamper(
        f"UPDATE ledger SET record = replace(record, 'attempt', 'attempu') WHERE stream = 'session:{old}' AND n = 4",
    )
    box.daemon_up()
    broken = box.ctl("start", again, "--from", old, "--json")
    assert broken.code == 0, broken
    created = box.entries(broken.json["session_id"])[0]["body"]
    assert created["tip"] == created["base"], "what comes after the break is not believed"


def test_retry_tries_what_failed_and_no_more(box: Box) -> None:
    """One task or all that failed; what they blocked is pending again; the session's own branch moves forward."""
    session = box.start(_plan(box, name="again"))
    before = box.wait(session, "failed")
    tip = box.git("rev-parse", before["branch"]).strip()
    assert box.ctl("retry", session, "nosuch", "--json").code == 66
    assert box.ctl("retry", session, "first", "--json").code == 64, "it is done"
    (box.root / "ok").touch()
    one = box.ctl("retry", session, "second", "--json")
    assert one.code == 0, one
    assert one.json["run_id"] == f"{session}.2"
    assert [p["verdict"] for p in one.json["gate"]] == ["pass"] * 6
    status = box.wait(session, "failed", "done")
    assert _states(status) == {"first": "done", "second": "done", "third": "failed", "last": "skipped"}
    assert _attempts(status) == {"first": 1, "second": 2, "third": 1, "last": 0}
    assert status["branch"] == before["branch"]
    assert box.git("show", f"{status['branch']}:f") == "first\nsecond\n"
    (box.root / "third").touch()
    followed = box.ctl("retry", session, "--follow", "--json")
    assert (followed.code, followed.json["state"]) == (0, "done"), followed
    assert _attempts(followed.json) == {"first": 1, "second": 2, "third": 2, "last": 1}
    assert followed.json["branch"] == before["branch"]
    box.git("merge-base", "--is-ancestor", tip, followed.json["branch"])
    assert len(box.git("branch", "--list", "marathon/*").split()) == 1
    assert box.ctl("retry", session).code == 64, "a session that is done is not retried"
    assert box.ctl("verify", "--json").json["ok"]


def test_a_branch_of_others_is_left_alone_and_that_is_said(box: Box) -> None:
    """A name that is taken gets `-2`, in the status, in the entry and in the words of `run`; a retry moves that one."""
    box.git("branch", "marathon/taken")
    box.daemon_up()
    (box.root / "ok").touch()
    result = box.ctl("run", str(box.write_plan(_plan(box, name="taken"))))
    assert result.code == 4, result
    assert "marathon/taken-2" in result.out
    session = box.ctl("status", "--json").json["session_id"]
    made = [e["body"]["branch"] for e in box.entries(session) if e["kind"] == "delivery.made"]
    assert made == ["marathon/taken-2"]
    assert box.git("rev-parse", "marathon/taken") == box.git("rev-parse", "HEAD")
    (box.root / "third").touch()
    assert box.ctl("retry", session, "--follow").code == 0
    assert box.status(session)["branch"] == "marathon/taken-2"
    assert sorted(box.git("branch", "--format=%(refname:short)", "--list", "marathon/*").split()) == [
        "marathon/taken", "marathon/taken-2",
    ]  # fmt: skip


def test_what_is_carried_on_survives_a_clean_up_of_the_repository(box: Box) -> None:
    """The old session's refs and branch may go, and git may collect what no ref holds, before the new one has a checkpoint."""
    old = box.start(_plan(box))
    before = box.wait(old, "failed")
    waits = f"until test -e {box.root}/fine; do sleep 0.02; done"
    new = box.start(
        _plan(box).replace(f"test -e {box.root}/ok", waits).replace(f"test -e {box.root}/third", waits), "--from", old
    )
    assert box.ctl("halt", new).code == 0
    assert box.git("rev-parse", f"refs/marathon/{new}/begin").strip() == before["tasks"][0]["checkpoint"]
    assert box.stop_daemon() == 0
    box.git("branch", "-D", before["branch"])
    for ref in box.git("for-each-ref", "--format=%(refname)", f"refs/marathon/{old}").split():
        box.git("update-ref", "-d", ref)
    box.git("worktree", "prune")
    box.git("gc", "--prune=now", "--quiet")
    (box.root / "fine").touch()
    box.daemon_up()
    assert box.ctl("resume", new).code == 0
    assert box.wait(new, "done", "failed")["state"] == "done"
    assert box.ctl("verify", new, "--json").json["ok"]
