"""A stand-in for the daemon program: takes the lock, else exits 1; answers `daemon/info`; ends when its state folder goes."""

import fcntl
import json
import os
import socket
import sys
import time
from pathlib import Path


def main() -> int:
    """Serves until the file `stop` appears in the state folder."""
    state = Path(os.environ["MARATHON_STATE_DIR"])
    if "--die" in sys.argv:
        print("It cannot be: the ledger is none.", file=sys.stderr)
        return 65
    lock = os.open(state / "lock", os.O_CREAT | os.O_RDWR)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        print("A daemon already owns it.", file=sys.stderr)
        return 1
    with (state / "pids").open("a") as pids:  # before anybody can connect
        pids.write(f"{os.getpid()}\n")
    path = Path(os.environ["MARATHON_SOCKET"])
    path.parent.mkdir(exist_ok=True)
    path.unlink(missing_ok=True)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()
        listener.settimeout(0.05)
        give_up = time.monotonic() + 30
        while not (state / "stop").exists() and time.monotonic() < give_up:
            try:
                connection, _ = listener.accept()
            except TimeoutError:
                continue
            with connection, connection.makefile("rwb") as stream:
                connection.settimeout(1)
                for line in stream:
                    answer = {"jsonrpc": "2.0", "id": json.loads(line)["id"], "result": {"pid": os.getpid()}}
                    stream.write(json.dumps(answer).encode() + b"\n")
                    stream.flush()
    return 0


if __name__ == "__main__":
    sys.exit(main())
