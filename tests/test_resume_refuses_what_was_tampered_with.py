"""The resume gate with a stopped daemon's files changed by plain SQL and git."""

import sqlite3
from collections.abc import Callable

import pytest

from marathond.store import head
from tests.support.box import Box, append, script

PLAN = f"""
[defaults]
agent = "scripted"
[[task]]
id = "first"
prompt = {script(append("log", "first"))}
[[task.check]]
file = "log"
[[task]]
id = "second"
needs = ["first"]
prompt = {script("hang = true")}
"""


def _contract_byte(box: Box, session: str) -> None:
    box.tamper("UPDATE contracts SET record = replace(record, 'first', 'fjrst')")


def _record_byte(box: Box, session: str) -> None:
    box.tamper(
        f"UPDATE ledger SET record = replace(record, 'attempt.started', 'attempt.started'), "
        f"hash = hash, record = replace(record, '\"pid\":', '\"pjd\":') WHERE stream = 'session:{session}' AND n = 5",
    )


def _other_commit(box: Box, session: str) -> None:
    ref = f"refs/marathon/{session}/tip"
    tree = box.git("rev-parse", "HEAD^{tree}").strip()
    other = box.git("commit-tree", "-m", "other", "-p", "HEAD", tree).strip()
    for name in box.git("for-each-ref", "--format=%(refname)", f"refs/marathon/{session}").split():
        box.git("update-ref", name, other)
    assert box.git("rev-parse", ref).strip() == other


def _last_entry(box: Box, session: str) -> None:
    box.tamper("DELETE FROM ledger WHERE seq = (SELECT max(seq) FROM ledger)")


def _last_entry_of_the_session(box: Box, session: str) -> None:
    box.tamper(f"DELETE FROM ledger WHERE seq = (SELECT max(seq) FROM ledger WHERE stream = 'session:{session}')")


def _tip_ref(box: Box, session: str) -> None:
    box.git("update-ref", "-d", f"refs/marathon/{session}/tip")


def _contract_row(box: Box, session: str) -> None:
    box.tamper("DELETE FROM contracts")


CASES = [
    pytest.param(_contract_byte, 2, 3, id="one byte of the contract"),
    pytest.param(_record_byte, 2, 2, id="one byte of a record"),
    pytest.param(_other_commit, 2, 5, id="another commit"),
    pytest.param(_last_entry, 2, 2, id="the last entry"),
    pytest.param(_last_entry_of_the_session, 2, 2, id="the session's last entry, with entries of others after it"),
    pytest.param(_tip_ref, 2, 5, id="the tip's ref removed"),
    pytest.param(_contract_row, 3, 1, id="the contract row"),
]


@pytest.mark.parametrize(("tamper", "code", "point"), CASES)
def test_resume_names_the_failed_point_and_executes_nothing(
    box: Box, tamper: Callable[[Box, str], None], code: int, point: int
) -> None:
    """`resume` exits 2 (3 when artifacts are missing), names the point, starts nothing, and changes nothing of the session."""
    session = box.start(PLAN)
    box.until(lambda: box.running(session, "second"), "the second task runs")
    assert box.ctl("halt", session).code == 0
    assert box.stop_daemon() == 0
    tamper(box, session)
    before = sqlite3.connect(box.state / "ledger.db").execute("SELECT count(*) FROM ledger").fetchone()[0]
    refs = box.git("for-each-ref")
    result = box.ctl("resume", session, "--json")
    assert result.code == code, result
    failed = [p["point"] for p in result.json["gate"] if p["verdict"] == "fail"]
    assert failed == [point], result
    assert result.json["run_id"] is None
    assert result.json["error"]["exit"] == code
    rows = sqlite3.connect(box.state / "ledger.db").execute("SELECT stream, kind FROM ledger ORDER BY seq").fetchall()
    added = [kind for _, kind in rows[before:]]
    assert set(added) <= {"daemon.started", "daemon.stopped", "gate.refused", "session.quarantined"}, added
    assert box.git("for-each-ref") == refs
    assert box.ctl("verify", "--json").code == 2
    again = box.ctl("resume", session, "--json")
    assert again.code == code


@pytest.mark.parametrize("tamper", [_record_byte, _last_entry, _last_entry_of_the_session])
def test_nothing_is_added_to_a_broken_chain_that_was_cut_off(box: Box, tamper: Callable[[Box, str], None]) -> None:
    """Where the daemon was killed at work, the next one does not even record that the run was cut off: `resume` exits 2, not 1."""
    session = box.start(PLAN)
    box.until(lambda: box.running(session, "second"), "the second task runs")
    newest = box.entries()[-1]["seq"]
    box.until(lambda: head_seq(box) >= newest, "the outside head has followed")
    box.kill_daemon()
    tamper(box, session)
    before = _stream(box, session)
    for _ in range(2):
        result = box.ctl("resume", session, "--json")
        assert result.code == 2, result
        assert [p["point"] for p in result.json["gate"] if p["verdict"] == "fail"] == [2], result
        assert _stream(box, session) == before


def head_seq(box: Box) -> int:
    """The entry that the file beside the ledger names."""
    recorded = head.read(box.places.head)
    return recorded.seq if recorded is not None else 0


def _stream(box: Box, session: str) -> list[tuple[int, str]]:
    query = "SELECT seq, record FROM ledger WHERE stream = ? ORDER BY seq"
    return sqlite3.connect(box.state / "ledger.db").execute(query, (f"session:{session}",)).fetchall()
