"""Where things are: state, configuration and socket, from the environment.

Standard library only and no imports of weight: the client's hot path starts here.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple


class Places(NamedTuple):
    """The folders and the socket of one daemon."""

    state: Path
    config: Path
    socket: Path

    @property
    def ledger(self) -> Path:
        """The database. Never open it, its -wal or its -shm with plain file calls: closing drops SQLite's locks."""
        return self.state / "ledger.db"

    @property
    def head(self) -> Path:
        """The ledger's head, kept outside the database so that truncation shows."""
        return self.state / "head"

    @property
    def lock(self) -> Path:
        """Held by flock while a daemon lives; its text is the daemon's pid."""
        return self.state / "marathond.lock"

    @property
    def log(self) -> Path:
        """The log of a daemon that was started detached."""
        return self.state / "marathond.log"

    @property
    def blobs(self) -> Path:
        """Content-addressed, compressed files: transcripts, check output, patches, lists of blobs."""
        return self.state / "blobs"

    @property
    def environments(self) -> Path:
        """One 0600 file per unfinished session with the values its attempts may see."""
        return self.state / "env"

    @property
    def workspaces(self) -> Path:
        """Worktrees: `<session>/<task>`."""
        return self.state / "workspaces"

    @property
    def attempts(self) -> Path:
        """Files of supervised processes: `<session>/<task>/<attempt>/`."""
        return self.state / "attempts"


def find_places(environ: Mapping[str, str] | None = None) -> Places:
    """The places that `environ` (default: this process's) leads to.

    State is `$MARATHON_STATE_DIR`, else `$XDG_STATE_HOME/marathon`; configuration is `$MARATHON_CONFIG_DIR`, else
    `$XDG_CONFIG_HOME/marathon`. The socket is `$MARATHON_SOCKET`; else `<state>/run/marathond.sock` when
    `MARATHON_STATE_DIR` is set or `XDG_RUNTIME_DIR` is not; else `$XDG_RUNTIME_DIR/marathon/marathond.sock`.
    """
    env = os.environ if environ is None else environ
    home = Path(env.get("HOME") or os.path.expanduser("~"))  # noqa: PTH111 - Path.home() does not read our mapping
    own_state = env.get("MARATHON_STATE_DIR")
    state = Path(own_state) if own_state else Path(env.get("XDG_STATE_HOME") or home / ".local/state") / "marathon"
    own_config = env.get("MARATHON_CONFIG_DIR")
    config = Path(own_config) if own_config else Path(env.get("XDG_CONFIG_HOME") or home / ".config") / "marathon"
    own_socket, runtime = env.get("MARATHON_SOCKET"), env.get("XDG_RUNTIME_DIR")
    if own_socket:
        socket = Path(own_socket)
    elif own_state or not runtime:
        socket = state / "run" / "marathond.sock"
    else:
        socket = Path(runtime) / "marathon" / "marathond.sock"
    return Places(state.absolute(), config.absolute(), socket.absolute())
