"""An attempt that starts anew is told what was wrong with the one before it, so that it need not fail in the same way."""

from pathlib import Path

import pytest

from tests.support.box import Box

pytestmark = pytest.mark.timeout(60)


def test_refused_and_missing_work_is_told(tmp_path: Path) -> None:
    """After work with a secret in it, and after no work at all, the next prompt says so."""
    worker = tmp_path / "worker.sh"
    worker.write_text(
        'case "$MARATHON_ATTEMPT" in */leaks/1) echo $MY_TOKEN > f ;; */idles/1) ;; *) echo x > done-$$ ;; esac\n'
    )
    plan = """
[defaults]
agent = "worker"
attempts = 2
env = ["MY_TOKEN"]
[[task]]
id = "leaks"
prompt = "Do not leak."
[[task]]
id = "idles"
prompt = "Do not idle."
"""
    with Box(tmp_path, {"MY_TOKEN": "my-proxy-pass-Zq8yy77zz"}) as box:
        (box.config / "agents").mkdir()
        (box.config / "agents/worker.toml").write_text(f'extends = "command"\ncommand = ["sh", "{worker}"]\n')
        session = box.start(plan)
        box.wait(session, "waiting")
        assert box.ctl("resume", session).code == 0
        assert box.wait(session, "done", "failed")["state"] == "done", box.ctl("tail", session, "--no-follow")
        told = {task: (box.state / f"attempts/{session}/{task}/2/input").read_text() for task in ("leaks", "idles")}
    assert told["leaks"].startswith("Do not leak.")
    assert "not accepted: it contains a secret that was handed out (in f)." in told["leaks"]
    assert "It changed no file" in told["idles"]
