"""What processes of an attempt may do at the socket: read their own session, tell, ask and attach; nothing else."""

import json
import sys
from pathlib import Path
from typing import Any

from marathond.domain.limits import ATTEMPT_NOTES_MAX, ATTEMPT_QUESTIONS_MAX
from tests.support.box import Box

ROOT = Path(__file__).parents[1]
INSIDE = """
import json, os, pathlib, sys
sys.path.append({root!r})
from marathonctl.client import Client
from marathond.domain.errors import MarathonError
other, out = sys.argv[1], {{}}
me = os.environ["MARATHON_ATTEMPT"].split("/")[0]
client = Client({socket!r})
def attempt(name, method, **params):
    try:
        out[name] = client.call(method, **params)
    except MarathonError as error:
        out[name] = [error.kind.slug, error.kind.exit]
attempt("own status", "session/status")
attempt("own by id", "session/status", session=me)
attempt("own entries", "ledger/read", limit=500)
attempt("another status", "session/status", session=other)
attempt("another's entries", "ledger/read", stream="session:" + other)
attempt("system", "ledger/read", stream="system")
attempt("another's output", "attempt/output", session=other, task="hang")
attempt("list", "session/list")
for _ in range(3):
    attempt("abort another", "session/abort", session=other)
attempt("halt myself", "session/halt", session=me)
attempt("start", "session/start", path="/nowhere.toml")
attempt("answer", "session/answer", answer="yes")
attempt("stop the daemon", "daemon/stop")
attempt("info", "daemon/info")
attempt("progress", "attempt/progress", text="half way, with token ghp_0123456789abcdefghijABCDEFGHIJ012345")
pathlib.Path("report.txt").write_text("the report")
attempt("attach", "attempt/attach", path=os.path.abspath("report.txt"))
attempt("attach outside", "attempt/attach", path="/etc/passwd")
os.symlink("/etc/passwd", "link")
attempt("attach a link", "attempt/attach", path=os.path.abspath("link"))
pid = os.fork()
if pid == 0:  # an orphan in a session of its own, without the marker in its environment
    os.setsid()
    if os.fork():
        os._exit(0)
    os.execve(sys.executable, [sys.executable, {orphan!r}, {socket!r}, other, {root!r}, {told!r}], {{}})
os.waitpid(pid, 0)
while not os.path.exists({told!r}):
    pass
out["orphan"] = json.load(open({told!r}))
attempt("ask", "attempt/ask", question="Shall I go on?")
pathlib.Path({answers!r}).write_text(json.dumps(out))
"""
ORPHAN = """
import json, os, sys
socket, other, root, told = sys.argv[1:]
sys.path.append(root)
from marathonctl.client import Client
from marathond.domain.errors import MarathonError
try:
    result = Client(socket).call("session/abort", session=other)
except MarathonError as error:
    result = [error.kind.slug, error.kind.exit]
json.dump(result, open(told + ".new", "w"))
os.rename(told + ".new", told)
"""
REFUSED = ["not_permitted", 77]


def test_an_attempt_reads_its_own_session_and_changes_nothing(box: Box) -> None:
    """Reads of its own session, progress, attachments and a question that the user answers work; all else is refused with 77,
    the first refusal of a method recorded; an orphan that dropped the marker is still known."""
    other = box.start('name = "other"\n[[task]]\nid = "hang"\nrun = "sleep 300"\n')
    box.until(lambda: box.running(other, "hang"), "the other session works")
    answers, told, orphan, script = (box.root / name for name in ("answers", "told", "orphan.py", "inside.py"))
    orphan.write_text(ORPHAN)
    words = {"socket": str(box.places.socket), "answers": str(answers), "told": str(told), "orphan": str(orphan)}
    script.write_text(INSIDE.format(root=str(ROOT), **words))
    session = box.start(f'name = "mine"\n[[task]]\nid = "a"\nrun = "{sys.executable} {script} {other}"\nattempts = 1\n')

    def asked() -> bool:
        return any(r["kind"] == "question" for r in box.ctl("why", session, "--json").json["reasons"])

    box.until(asked, "the attempt asks", 30, lambda: box.ctl("logs", session, "a").out)
    assert "Shall I go on?" in box.ctl("why", session).out
    assert box.ctl("answer", session, "yes").code == 0
    assert box.wait(session, "done", "failed", "held")["state"] == "done", box.ctl("logs", session, "a").out
    out: dict[str, Any] = json.loads(answers.read_text())
    assert out["own status"]["session_id"] == out["own by id"]["session_id"] == session
    assert {json.loads(row["record"])["stream"] for row in out["own entries"]["entries"]} == {f"session:{session}"}
    for name in (
        "another status", "another's entries", "system", "another's output", "abort another", "halt myself", "start", "answer",
        "stop the daemon", "info", "list", "orphan", "attach outside", "attach a link",
    ):  # fmt: skip
        assert out[name] == REFUSED, name
    assert out["ask"]["answer"] == "yes"
    assert box.status(other)["state"] == "running"
    notes = [e["body"] for e in box.entries(session) if e["kind"] == "attempt.noted"]
    refused = [note["text"] for note in notes if note["what"] == "refused"]
    assert refused.count("session/abort") == 1
    assert len(refused) == len(set(refused))
    progress = next(note["text"] for note in notes if note["what"] == "progress")
    assert progress.startswith("half way")
    assert "ghp_" not in progress
    assert [n["blob"] for n in notes if n["what"] == "attachment"] == [out["attach"]["blob"]]
    assert box.ctl("abort", other).code == 0


def test_a_marker_that_names_no_attempt_of_ours_says_nothing(box: Box) -> None:
    """A client inside an attempt of another Marathon, or with a made-up marker, is served as if it had none; inside one of our
    attempts a made-up marker hides nothing."""
    orphan, told = box.root / "orphan.py", box.root / "told"
    orphan.write_text(ORPHAN)
    other = box.start('name = "other"\n[[task]]\nid = "hang"\nrun = "sleep 300"\n')
    box.until(lambda: box.running(other, "hang"), "the other session works")
    made_up = [
        "elsewhere1/hang/1",
        f"{other}/nothing/1",
        f"{other}/hang/\u00b2",
        f"{other}/hang/9",
        f"{other}/../hang/1",
        "//1",
        "",
    ]
    for marker in made_up:
        listed = box.ctl("list", "--json", env={"MARATHON_ATTEMPT": marker})
        assert listed.code == 0, (marker, listed)
        assert [row["session_id"] for row in listed.json["sessions"]] == [other]
    assert box.ctl("list", env={"MARATHON_ATTEMPT": f"{other}/hang/1"}).code == REFUSED[1]
    command = f"{sys.executable} {orphan} {box.places.socket} {other} {ROOT} {told}"
    session = box.start(f'[[task]]\nid = "a"\nrun = "MARATHON_ATTEMPT=elsewhere1/a/1 {command}"\n')
    box.wait(session, "done", "failed", "held", "waiting")
    assert json.loads(told.read_text()) == REFUSED
    assert box.status(other)["state"] == "running"


TALKATIVE = """
import json, os, pathlib, sys, time
sys.path.append({root!r})
from marathonctl.client import Client
from marathond.domain.errors import MarathonError
def say(client, k):
    try:
        if k % 100 == 0:
            client.call("attempt/attach", path=os.path.abspath("f"))
        else:
            client.call("attempt/progress", text=f"step {{k}}")
    except MarathonError as error:
        return [error.kind.slug, error.kind.exit, error.message]
pathlib.Path("f").write_text("x")
client = Client({socket!r})
first = [say(client, k) for k in range({limit} + 2)]
pathlib.Path({told!r}).write_text(json.dumps(first))
while not os.path.exists({go!r}):
    time.sleep(0.05)
client = Client({socket!r})
second = [say(client, 1), say(client, 100)]
pathlib.Path({told!r}).write_text(json.dumps(second))
client.call("session/status")
"""


def test_an_attempt_that_talks_without_end_is_cut_short(box: Box) -> None:
    """Progress and attachments are recorded up to a limit for each attempt, the next daemon's time included; then they are refused
    in plain words, and the attempt goes on."""
    program, told, go = box.root / "talkative.py", box.root / "told", box.root / "go"
    words = {"root": str(ROOT), "socket": str(box.places.socket), "told": str(told), "go": str(go)}
    program.write_text(TALKATIVE.format(limit=ATTEMPT_NOTES_MAX, **words))
    session = box.start(f'[[task]]\nid = "a"\nrun = "{sys.executable} {program}"\nattempts = 1\n')
    box.until(lambda: told.exists() and told.read_text(), "it has said a lot")
    first = json.loads(told.read_text())
    assert first[:ATTEMPT_NOTES_MAX] == [None] * ATTEMPT_NOTES_MAX
    assert [said[:2] for said in first[ATTEMPT_NOTES_MAX:]] == [REFUSED] * 2
    assert "has said all that is recorded" in first[-1][2]
    box.kill_daemon()
    box.daemon_up()
    go.touch()
    assert box.wait(session, "done", "failed")["state"] == "done", box.ctl("logs", session, "a").out
    assert [said[:2] for said in json.loads(told.read_text())] == [REFUSED] * 2
    assert box.kinds(session).count("attempt.noted") == ATTEMPT_NOTES_MAX


CURIOUS = """
import json, os, pathlib, socket, sys, time
sys.path.append({root!r})
from marathonctl.client import Client
from marathond.domain.errors import MarathonError
def ask(k):
    with_no_answer = socket.socket(socket.AF_UNIX)
    with_no_answer.connect({socket!r})
    call = {{"jsonrpc": "2.0", "id": k, "method": "attempt/ask", "params": {{"question": f"What about {{k}}?"}}}}
    with_no_answer.sendall(json.dumps(call).encode() + b"\\n")
    return with_no_answer
def refused():
    try:
        Client({socket!r}).call("attempt/ask", question="And this?")
    except MarathonError as error:
        return [error.kind.slug, error.kind.exit, error.message]
waiting = [ask(k) for k in range({limit})]
while len(Client({socket!r}).call("session/why")["reasons"]) < {limit}:
    time.sleep(0.05)
pathlib.Path({told!r}).write_text(json.dumps(refused()))
while not os.path.exists({go!r}):
    time.sleep(0.05)
pathlib.Path({told!r}).write_text(json.dumps(refused()))
"""


def test_an_attempt_that_asks_without_end_is_refused(box: Box) -> None:
    """An attempt may ask so many questions, those of an earlier daemon's time included; the next one is refused in plain words."""
    program, told, go = box.root / "curious.py", box.root / "told", box.root / "go"
    words = {"root": str(ROOT), "socket": str(box.places.socket), "told": str(told), "go": str(go)}
    program.write_text(CURIOUS.format(limit=ATTEMPT_QUESTIONS_MAX, **words))
    session = box.start(f'[[task]]\nid = "a"\nrun = "{sys.executable} {program}"\nattempts = 1\n')
    box.until(lambda: told.exists() and told.read_text(), "it has asked a lot")
    assert json.loads(told.read_text())[:2] == REFUSED
    assert f"Attempt {session}/a/1 has asked all that it may ask" in json.loads(told.read_text())[2]
    box.kill_daemon()
    box.daemon_up()
    told.write_text("")
    go.touch()
    box.wait(session, "done", "failed")
    assert json.loads(told.read_text())[:2] == REFUSED
    assert box.kinds(session).count("question.asked") == ATTEMPT_QUESTIONS_MAX


def test_marathonctl_inside_an_attempt_finds_the_daemon_of_the_attempt(box: Box) -> None:
    """Without a word on where the socket is: the attempt's environment says it, and that of its checks does not."""
    ctl = f"{sys.executable} -m marathonctl"
    session = box.start(
        f"[workspace]\nrepo = 'repo'\nsetup = ['test -z \"$MARATHON_SOCKET\"']\n[[task]]\nid = 'a'\n"
        f"run = 'PYTHONPATH={ROOT} {ctl} status --json > status'\n"
        f"[[task.check]]\nrun = 'test -z \"$MARATHON_SOCKET\"'\n"
    )
    assert box.wait(session, "done", "failed")["state"] == "done", box.ctl("logs", session, "a").out
    seen = json.loads(box.git("show", "marathon/a:status"))
    assert (seen["session_id"], seen["state"]) == (session, "running")
