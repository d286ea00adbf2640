"""held: a spent budget or a run of bad luck asks one question, and the answer is acted on."""

import json
import os
import signal
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from tests.support.box import Box, append, script

SLOW = f"""
[defaults]
agent = "scripted"
[limits]
wall = "1s"
[[task]]
id = "quick"
prompt = {script(append("f", "quick"))}
[[task]]
id = "slow"
needs = ["quick"]
prompt = {script(append("f", "slow"), 'sleep = "60s"' + chr(10) + "attempt = 1", 'sleep = "0.1s"', append("f", "end"))}
"""
LOST = f'[defaults]\nagent = "scripted"\n[[task]]\nid = "a"\nprompt = {script("hang = true")}\n'


def _answer(box: Box, session: str, word: str) -> str:
    result = box.ctl("answer", session, word, "--json")
    assert result.code == 0, result
    assert result.json["answer"] == word
    return str(result.json["question"])


def _question(box: Box, session: str) -> dict[str, object]:
    """The one open question that `why` names, with the command that answers it."""
    found = [r for r in box.ctl("why", session, "--json").json["reasons"] if r["kind"] == "question"]
    assert len(found) == 1, found
    assert found[0]["command"].startswith(f"marathonctl answer {session} yes|no")
    return dict(found[0])


def test_yes_grants_the_wall_budget_again_and_the_cut_off_attempt_goes_on(box: Box) -> None:
    """A spent wall budget ends attempts and holds the session; *yes* grants as much again, and the tree and thread are kept."""
    session = box.start(SLOW)
    status = box.wait(session, "held", "done", "failed")
    assert status["state"] == "held", status
    assert status["wall_used_ms"] >= 1000
    assert status["run_id"] is None
    question = _question(box, session)
    assert "1s" in str(question["text"])
    assert f"marathonctl amend {session} --wall" in str(question["command"])
    assert box.ctl("resume", session, "--json").json["state"] == "held", "a resume is no answer"
    asked = [e for e in box.entries(session) if e["kind"] == "question.asked"]
    assert _answer(box, session, "yes") == asked[0]["body"]["question"]
    status = box.wait(session, "held", "done", "failed")
    assert status["state"] == "done", box.ctl("tail", session, "--no-follow")
    assert box.git("show", f"{status['branch']}:f") == "quick\nslow\nslow\nend\n"
    intents = [
        e["body"] for e in box.entries(session) if e["kind"] == "attempt.intended" and e["body"]["task"] == "slow"
    ]
    assert [i["mode"] for i in intents] == ["fresh", "continue"]
    assert intents[1]["thread"]
    assert box.kinds(session).count("question.asked") == 1
    runs = [e["body"]["reason"] for e in box.entries(session) if e["kind"] == "run.started"]
    assert runs == ["start", "resume", "answer"]


def test_no_fails_and_what_is_done_is_delivered(box: Box) -> None:
    """*no* fails the session with the question as its reason; the checkpoints are a branch, and another answer is refused."""
    session = box.start(SLOW)
    box.wait(session, "held")
    _answer(box, session, "no")
    status = box.wait(session, "held", "done", "failed")
    assert status["state"] == "failed"
    states = {t["id"]: (t["state"], t["reason"]) for t in status["tasks"]}
    assert states["quick"][0] == "done"
    assert states["slow"][0] == "failed"
    assert "wall budget" in states["slow"][1]
    assert box.git("show", f"{status['branch']}:f") == "quick\n"
    assert box.ctl("answer", session, "yes").code == 64
    assert box.ctl("tail", session, "--exit-code").code == 4


def test_an_amendment_alone_lets_it_go_on_as_revision_2(box: Box) -> None:
    """`amend --wall` closes the question; revision 2 has its own row and hash, and later checkpoints name it."""
    session = box.start(SLOW)
    before = box.wait(session, "held")
    too_little = box.ctl("amend", session, "--wall", "10ms", "--json")
    assert too_little.code == 0, too_little
    assert too_little.json["state"] == "held"
    amended = box.ctl("amend", session, "--wall", "30m", "--json")
    assert amended.code == 0, amended
    assert amended.json["revision"] == 3
    assert amended.json["contract_hash"] != before["contract_hash"]
    status = box.wait(session, "held", "done", "failed")
    assert status["state"] == "done"
    assert (status["revision"], status["contract_hash"]) == (3, amended.json["contract_hash"])
    shown = [box.ctl("show", "contract", session, "--revision", str(k), "--json").json for k in (1, 2, 3)]
    assert [s["hash"] for s in shown] == [
        before["contract_hash"],
        too_little.json["contract_hash"],
        status["contract_hash"],
    ]
    limits = [json.loads(s["record"])["limits"] for s in shown]
    assert [limit["wall_ms"] for limit in limits] == [1000, 10, 30 * 60_000]
    kept = [{k: v for k, v in json.loads(s["record"]).items() if k != "limits"} for s in shown]
    assert kept[0] == kept[1] == kept[2]
    checkpoints = [e["body"]["revision"] for e in box.entries(session) if e["kind"] == "checkpoint.committed"]
    assert checkpoints == [1, 3]
    trailers = box.git(
        "log", "--format=%(trailers:key=Marathon-Contract,valueonly,separator=)", f"main..{status['branch']}"
    )
    assert trailers.split() == [status["contract_hash"], before["contract_hash"]]
    assert box.ctl("verify", "--json").json["ok"]


def test_a_passed_deadline_asks_too(box: Box) -> None:
    """A deadline that passes while an attempt lives holds the session; a later one, by amendment, lets it go on."""
    plan = f'[limits]\ndeadline = "2199-01-01T00:00:00Z"\n{LOST}'
    session = box.start(plan)
    box.until(lambda: box.running(session, "a"), "the agent hangs")
    assert box.ctl("amend", session, "--deadline", "2020-01-01T00:00:00Z").code in (0, 64, 65)
    soon = box.ctl("amend", session, "--deadline", _in_two_seconds())
    assert soon.code == 0, soon
    box.wait(session, "held")
    assert "deadline" in str(_question(box, session)["text"])
    assert box.ctl("amend", session, "--deadline", "2199-01-01T00:00:00Z").code == 0
    box.until(lambda: box.running(session, "a"), "it goes on")
    assert box.ctl("abort", session).code == 0


def _in_two_seconds() -> str:
    return (datetime.now(UTC) + timedelta(seconds=2)).strftime("%Y-%m-%dT%H:%M:%SZ")


def _supervisors(box: Box, session: str) -> Iterator[int]:
    for entry in box.entries(session):
        if entry["kind"] == "attempt.started":
            yield entry["body"]["pid"]


@pytest.mark.parametrize("word", ["yes", "no"])
def test_three_lost_attempts_in_a_row_ask(box: Box, word: str) -> None:
    """An attempt whose supervisor dies goes again at once and costs nothing; the third in a row holds the session."""
    session = box.start(LOST)
    for number in (1, 2, 3):
        box.until(lambda n=number: len(list(_supervisors(box, session))) == n, f"attempt {number} runs")
        os.kill(list(_supervisors(box, session))[-1], signal.SIGKILL)
    status = box.wait(session, "held", "failed")
    assert status["state"] == "held", status
    assert status["tasks"][0]["state"] == "held"
    assert box.kinds(session).count("attempt.lost") == 3
    assert "lost 3 attempts" in str(_question(box, session)["text"])
    assert box.ctl("why", session, "a").out.count("marathonctl answer") == 1
    _answer(box, session, word)
    if word == "no":
        assert box.wait(session, "failed")["tasks"][0]["state"] == "failed"
        return
    box.until(lambda: len(list(_supervisors(box, session))) == 4, "attempt 4 runs")
    os.kill(list(_supervisors(box, session))[-1], signal.SIGKILL)
    box.until(lambda: len(list(_supervisors(box, session))) == 5, "three more were granted")
    assert box.ctl("abort", session).code == 0


def test_three_conflicts_in_a_row_ask(box: Box) -> None:
    """A task whose work conflicts with what others finished meanwhile is done again, three times, and then a person is asked."""
    ones = "".join(
        f"""
[[task]]
id = "one{k}"
needs = [{f'"one{k - 1}"' if k > 1 else ""}]
run = "while ! test -e {box.root}/go{k}; do sleep 0.02; done; echo one{k} > f"
"""
        for k in (1, 2, 3)
    )
    two = f"""
run = '''
n=$(cat {box.root}/n 2>/dev/null || echo 0); n=$((n+1)); echo $n > {box.root}/n
echo two $n > f; touch {box.root}/ready$n
while ! git -C {box.repo} cat-file -e refs/marathon/$(basename $(dirname $PWD))/checkpoints/one$n 2>/dev/null; do sleep 0.02; done'''
"""
    session = box.start(f'[limits]\nparallel = 2\n{ones}\n[[task]]\nid = "two"\n{two}')
    for k in (1, 2, 3):
        box.until(
            lambda k=k: (box.root / f"ready{k}").exists(),
            f"try {k}",
            more=lambda: box.ctl("tail", session, "--no-follow"),
        )
        (box.root / f"go{k}").touch()
    status = box.wait(session, "held", "failed", "done")
    assert status["state"] == "held", box.ctl("tail", session, "--no-follow")
    assert box.kinds(session).count("candidate.conflicted") == 3
    assert "3 merge conflicts" in str(_question(box, session)["text"])
    assert box.ctl("abort", session).code == 0
