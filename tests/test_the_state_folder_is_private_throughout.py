"""What is kept may hold code and conversations: nobody else may enter a folder of the state, whatever the umask."""

import stat
from pathlib import Path

from tests.support.box import Box, script, write

PLAN = f"""
name = "private"
goal = "private"
[[task]]
id = "agent"
agent = "scripted"
prompt = {script(write("a.txt", "a"))}
[[task.check]]
run = "true"
[[task]]
id = "command"
run = "echo done"
"""


def test_every_folder_is_0700(tmp_path: Path) -> None:
    """Only what a checkout holds keeps the modes that git gives it."""
    with Box(tmp_path) as box:
        session = box.start(PLAN)
        box.wait(session, "done")
        folders = [box.state, *(path for path in box.state.rglob("*") if path.is_dir())]
        own = [path for path in folders if box.places.workspaces not in path.parents]
        assert [str(path) for path in own if stat.S_IMODE(path.stat().st_mode) != 0o700] == []
        assert len(own) > 8
