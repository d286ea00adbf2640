"""`halt` and `abort` end the processes of a session even where nothing can be decided or recorded about it."""

from collections.abc import Callable

import pytest

from tests.support.box import Box, script

SPAWN = """run = 'setsid sleep 300 & setsid sh -c "trap : TERM; sleep 301" & echo started'"""
PLAN = f"""
[[task]]
id = "checked"
run = "echo x > x"
[[task.check]]
run = "setsid sleep 304 & sleep 305"
[[task]]
id = "agent"
agent = "scripted"
prompt = {script(SPAWN, "hang = true")}
"""
SLEEPS = ("300", "301", "304", "305")


def _contract_changed(box: Box) -> None:
    box.tamper("UPDATE contracts SET record = replace(record, 'agent', 'agemt')")


def _contract_gone(box: Box) -> None:
    box.tamper("DELETE FROM contracts")


def _head_leads(box: Box) -> None:
    box.tamper("DELETE FROM ledger WHERE seq > (SELECT max(seq) - 2 FROM ledger)")


@pytest.mark.parametrize("verb", ["halt", "abort"])
@pytest.mark.parametrize(
    ("spoil", "code"),
    [
        pytest.param(_contract_changed, 3, id="a contract that cannot be folded"),
        pytest.param(_contract_gone, 3, id="no contract"),
        pytest.param(_head_leads, 2, id="a head that leads"),
    ],
)
def test_what_runs_is_ended_though_the_request_is_refused(
    box: Box, verb: str, spoil: Callable[[Box], None], code: int
) -> None:
    """The refusal keeps its exit code and says what was ended; no process is left, neither of attempts nor of checks."""
    session = box.start(PLAN)
    box.until(lambda: all(f"sleep {n}" in " ".join(box.processes(session)) for n in SLEEPS), "all of it runs")
    box.until_anchored()
    box.kill_daemon()
    spoil(box)
    box.daemon_up()
    refused = box.ctl(verb, session, "--json")
    assert refused.code == code, refused
    assert "2 of its jobs still ran and were ended" in refused.json["error"]["hint"]
    assert box.processes(session) == []
    assert "Nothing of it was running" in box.ctl(verb, session, "--json").json["error"]["hint"]
