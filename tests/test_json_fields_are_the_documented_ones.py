"""What programs read: the fields of `--json` are exactly the documented ones, and each view shows real content."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.box import Box, append, script

PLAN = f"""
name = "fields"
[defaults]
agent = "scripted"
[limits]
parallel = 2
[[task]]
id = "a"
prompt = {script('say = "the last words"', append("f", "a"), "usage = { input_tokens = 7 }")}
[[task.check]]
file = "f"
[[task.check]]
run = "echo looked at; grep -q a f"
[[task]]
id = "b"
needs = ["a"]
run = "echo printed; echo b > g"
"""
STATUS = {
    "session_id", "name", "goal", "state", "reasons", "due_at", "contract_hash", "revision", "run_id", "repo", "created_at",
    "ended_at", "wall_used_ms", "live_since", "tasks", "head", "branch",
}  # fmt: skip
TASK = {
    "id", "state", "attempts", "attempts_max", "agent", "reason", "checkpoint", "due_at", "started_at", "last_words", "needs",
}  # fmt: skip
ENTRY = {"seq", "hash", "link", "link_prev", "record", "stream", "n", "at", "kind", "body"}


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Box, str]]:
    """A box with one session that is done."""
    with Box(tmp_path_factory.mktemp("fields")) as box:
        session = box.start(PLAN, "--key", "fields")
        box.wait(session, "done", "failed")
        yield box, session


def test_status_and_list_tell_where_a_session_stands(done: tuple[Box, str]) -> None:
    """`status` and `list`: the documented fields, with the values that the ledger and git confirm."""
    box, session = done
    status = box.status(session)
    assert set(status) == STATUS
    assert all(set(task) == TASK for task in status["tasks"])
    assert set(status["head"]) == {"n", "hash", "seq", "link"}
    assert all(set(reason) == {"kind", "task", "text", "due_at"} for reason in status["reasons"])
    last = box.entries(session)[-1]
    assert status["head"] == {k: last[k] for k in ("n", "hash", "seq", "link")}
    assert (status["state"], status["run_id"], status["due_at"]) == ("done", None, None)
    tip = box.git("rev-parse", status["branch"]).strip()
    assert [t["checkpoint"] for t in status["tasks"]][-1] == tip
    assert box.git("rev-parse", f"{tip}^").strip() == status["tasks"][0]["checkpoint"]
    listed = box.ctl("list", "--json").json["sessions"]
    assert set(listed[0]) == {
        "session_id", "name", "state", "repo", "created_at", "due_at", "tasks_done", "tasks_total", "branch",
    }  # fmt: skip
    assert (listed[0]["tasks_done"], listed[0]["tasks_total"]) == (2, 2)
    started = box.ctl("start", str(box.root / "plan.toml"), "--key", "fields", "--json").json
    assert set(started) == {"session_id", "run_id", "contract_hash", "name", "created", "warnings"}
    assert (started["session_id"], started["contract_hash"]) == (session, status["contract_hash"])
    checked = box.ctl("check", str(box.root / "plan.toml"), "--json").json
    assert set(checked) == {"contract_hash", "name", "tasks", "warnings"}
    assert checked["contract_hash"] == status["contract_hash"]
    assert box.ctl("status", session[:4], "--json").json["session_id"] == session, "a unique prefix is enough"
    assert box.ctl("status", "--json").json["session_id"] == session, "no id means the newest of this repository"


def test_tail_gives_every_entry_of_what_was_asked_for(done: tuple[Box, str]) -> None:
    """One stream, the machine's stream, or all in seq order; `--after` leaves out what is known already."""
    box, session = done
    mine = box.entries(session)
    assert all(set(entry) == ENTRY for entry in mine)
    assert [entry["n"] for entry in mine] == list(range(1, len(mine) + 1))
    for entry in mine:
        record = json.loads(entry["record"])
        assert {k: record[k] for k in ("stream", "n", "at", "kind", "body")} == {
            k: entry[k] for k in ("stream", "n", "at", "kind", "body")
        }
    system = box.ctl("tail", "--system", "--no-follow", "--json").lines
    assert {entry["stream"] for entry in system} == {"system"}
    assert {"daemon.started", "slot.granted", "slot.returned"} <= {entry["kind"] for entry in system}
    everything = box.entries()
    assert [entry["seq"] for entry in everything] == list(range(1, len(mine) + len(system) + 1))
    assert [e["link_prev"] for e in everything[1:]] == [e["link"] for e in everything[:-1]]
    middle = mine[4]["seq"]
    rest = box.ctl("tail", session, "--after", str(middle), "--json").lines
    assert rest == [entry for entry in mine if entry["seq"] > middle], "a tail of an ended session ends by itself"
    assert box.ctl("tail", "--all", "--after", "3", "--no-follow", "--json").lines == everything[3:]
    verified = box.ctl("verify", "--json").json
    assert (verified["ok"], verified["problems"], verified["entries"]) == (True, [], len(everything))


def test_show_shows_the_thing_itself(done: tuple[Box, str], tmp_path: Path) -> None:
    """Contract, ledger, task, transcript and diff: for programs, for people, and good enough for `git apply`."""
    box, session = done
    contract = box.ctl("show", "contract", session, "--json").json
    assert contract["hash"] == box.status(session)["contract_hash"]
    assert [t["id"] for t in json.loads(contract["record"])["tasks"]] == ["a", "b"]
    assert '"fields"' in box.ctl("show", "contract", session).out
    assert box.ctl("show", "ledger", session, "--json").lines == box.entries(session)
    assert len(box.ctl("show", "ledger", session).out.splitlines()) == len(box.entries(session))
    task = box.ctl("show", "task", session, "a", "--json").json
    assert (task["id"], task["state"], len(task["attempts"])) == ("a", "done", 1)
    attempt = task["attempts"][0]
    assert (attempt["outcome"], attempt["text"], attempt["mode"]) == ("ok", "the last words", "fresh")
    assert attempt["usage"]["input_tokens"] == 7
    assert [check["ok"] for check in attempt["checks"]] == [True, True]
    assert attempt["candidate"] == task["checkpoint"]
    assert "the last words" in box.ctl("show", "task", session, "a").out
    assert "the last words" in box.ctl("show", "transcript", session, "a").out
    assert box.ctl("logs", session, "b").out == "printed\n"
    diff = box.ctl("show", "diff", session)
    assert "+++ b/f" in diff.out
    assert "+++ b/g" in diff.out
    assert "+++ b/f" not in box.ctl("show", "diff", session, "b").out
    patch = tmp_path / "patch"
    patch.write_text(diff.out)
    box.git("apply", "--check", str(patch))
    assert box.git("status", "--porcelain") == ""
