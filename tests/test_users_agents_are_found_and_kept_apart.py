"""The user's own profiles: they extend built-in ones, a broken one breaks only itself, and their programs are found."""

import os
import subprocess
import sys
from pathlib import Path

from tests.support.box import Box, script, write

AGENT = """#!/bin/sh
cat > prompt
echo "$0" > which
echo "${FLAVOUR:-none}" > flavour
echo done
"""


def _program(path: Path) -> None:
    path.parent.mkdir(parents=True)
    path.write_text(AGENT)
    path.chmod(0o755)


def test_agents_are_found_by_a_daemon_with_a_bare_environment(box: Box) -> None:
    """A daemon that systemd starts knows no PATH of the user's shell: `~/.local/bin` and nvm's Node are found all the same; a broken
    profile is told by name and breaks only itself."""
    home = Path(box.env["HOME"])
    _program(home / ".local/bin/mine")
    _program(home / ".nvm/versions/node/v20.11.0/bin/noded")
    _program(home / ".nvm/versions/node/v9.0.0/bin/noded")
    agents = box.config / "agents"
    agents.mkdir()
    (agents / "mine.toml").write_text('extends = "command"\ncommand = ["mine"]\n[env]\nFLAVOUR = "sweet"\n')
    (agents / "noded.toml").write_text('extends = "command"\ncommand = ["noded"]\n')
    (agents / "missing.toml").write_text('extends = "command"\ncommand = ["no-such-program"]\n')
    (agents / "broken.toml").write_text('extends = "nobody"\ncolour = 3\n')
    bare = {
        k: v
        for k, v in box.env.items()
        if k in ("HOME", "MARATHON_STATE_DIR", "MARATHON_CONFIG_DIR") or k.startswith("GIT_")
    }
    bare["PATH"] = "/usr/bin:/bin"
    with (box.root / "daemon.err").open("ab") as log:
        box.daemon = subprocess.Popen(
            [sys.executable, "-m", "marathond", "--foreground"], cwd=Path(__file__).parents[1], env=bare, stderr=log
        )
    box.until(lambda: box.ctl("daemon", "info", "--json").code == 0, "the daemon answers")

    def plan(agent: str) -> str:
        return (
            f'[[task]]\nid = "a"\nprompt = "Do it."\nagent = "{agent}"\nattempts = 1\n[[task.check]]\nfile = "prompt"\n'
        )

    client = {"PATH": f"{os.path.dirname(sys.executable)}:/usr/bin:/bin"}
    for agent, where in (("mine", ".local/bin/mine"), ("noded", ".nvm/versions/node/v20.11.0/bin/noded")):
        result = box.ctl("run", str(box.write_plan(plan(agent), f"{agent}.toml")), env=client)
        assert result.code == 0, result
        branch = box.ctl("status", "--json").json["branch"]
        assert box.git("show", f"{branch}:which") == f"{home / where}\n"
        assert box.git("show", f"{branch}:prompt") == "Do it."
        assert box.git("show", f"{branch}:flavour") == ("sweet\n" if agent == "mine" else "none\n")
    missing = box.ctl("run", str(box.write_plan(plan("missing"))), env=client)
    assert missing.code == 4
    assert "no-such-program" in missing.out + missing.err
    broken = box.ctl("check", str(box.write_plan(plan("broken"))), "--json")
    assert broken.code == 65
    message = broken.json["problems"][0]["message"]
    assert "there is no agent 'nobody' to extend" in message
    assert "colour" in message
    scripted = plan("scripted").replace('"Do it."', script(write("prompt", "x")))
    assert box.ctl("check", str(box.write_plan(scripted))).code == 0


def test_a_profile_that_extends_claude_keeps_what_it_does_not_change(box: Box) -> None:
    """`extends = "claude"` with another command: the same flags and the same consent, which is asked for before a session exists."""
    fake = box.root / "fake-claude"
    fake.write_text(
        '#!/bin/sh\necho "$@" > args\necho \'{"type":"result","subtype":"success","is_error":false,"result":"ok"}\'\n'
    )
    fake.chmod(0o755)
    agents = box.config / "agents"
    agents.mkdir()
    (agents / "mine.toml").write_text(f'extends = "claude"\ncommand = ["{fake}"]\nversion = ["{fake}", "--version"]\n')
    plan = box.write_plan(
        '[[task]]\nid = "a"\nprompt = "x"\nagent = "mine"\nattempts = 1\n[[task.check]]\nfile = "args"\n'
    )
    refused = box.ctl("start", str(plan))
    assert refused.code == 77, refused
    assert box.ctl("list", "--json", "--all").json["sessions"] == []
    result = box.ctl("run", "--unsandboxed", str(plan))
    assert result.code == 0, result
    branch = box.ctl("status", "--json").json["branch"]
    assert "--output-format stream-json" in box.git("show", f"{branch}:args")
