"""A unique prefix is enough with and without a daemon, and what does not exist is named."""

from pathlib import Path

from tests.support.box import Box

PLAN = 'name = "one"\ngoal = "one"\n[[task]]\nid = "only"\nrun = "echo done"\n'


def test_prefixes_attempts_and_tasks(tmp_path: Path) -> None:
    """`verify` takes a prefix also when no daemon runs; an attempt or task that does not exist is 66, with what there is."""
    with Box(tmp_path) as box:
        session = box.start(PLAN)
        box.wait(session, "done")
        for words, told in ((("only", "--attempt", "2"), "Its newest is 1."), (("onyl", "--attempt", "1"), "'only'")):
            for verb in (("logs",), ("logs", "-f"), ("show", "transcript")):
                said = box.ctl(*verb, *words)
                assert (said.code, said.out) == (66, ""), said
                assert told in said.err
        assert box.ctl("verify", session[:4]).code == 0
        assert box.stop_daemon() == 0
        assert box.ctl("verify", session[:4]).code == 0
        assert box.ctl("verify", "zzzz").code == 66
        assert box.ctl("verify", env={"MARATHON_STATE_DIR": str(box.repo / "README")}).code == 77
