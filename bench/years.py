"""How long a start takes on a ledger of years: the first one, which reads all of what an older version wrote, and the next. Prints;
asserts nothing.

python bench/years.py
"""

import os
import subprocess
import sys
import tempfile
import time
from contextlib import closing
from pathlib import Path

from marathond.domain import entries as e
from marathond.places import Places
from marathond.store import head
from marathond.store.artifacts import inspect_session
from marathond.store.chain import GENESIS, seal_all
from marathond.store.database import connect_writer, prepare
from marathond.store.transaction import INSERT_ENTRY, entry_values

_ENTRIES = 200_000
_START_US = 1_795_000_000_000_000


def fill(places: Places) -> None:
    """Something of an old session, and after it a hundred thousand attempts that were given a slot each, and gave it back."""
    drafts = [e.Draft(e.session_stream("old"), e.TaskDone(task="implement"))]
    for attempt in range(_ENTRIES // 2):
        session = f"s{attempt // 10}"
        granted = e.SlotGranted(session=session, task="implement", attempt=attempt % 10, agent="claude")
        returned = e.SlotReturned(session=session, task="implement", attempt=attempt % 10)
        drafts += [e.Draft(e.SYSTEM, granted), e.Draft(e.SYSTEM, returned)]
    chain, entries = seal_all(GENESIS, drafts, _START_US)
    with closing(connect_writer(places.ledger)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        connection.executemany(INSERT_ENTRY, [entry_values(entry) for entry in entries])
        connection.execute("COMMIT")
    head.write(places.head, chain.head)


def main() -> None:
    """Makes such a ledger in a temporary folder, and starts daemons on it."""
    with tempfile.TemporaryDirectory(prefix="mb-") as folder:
        places = Places(
            Path(folder) / "state", Path(folder) / "config", Path(folder) / "state" / "run" / "marathond.sock"
        )
        prepare(places)
        fill(places)
        env = {**os.environ, "MARATHON_STATE_DIR": str(places.state), "MARATHON_CONFIG_DIR": str(places.config)}
        client = [sys.executable, "-m", "marathonctl", "daemon"]
        for which in ("the first", "the second"):
            begin = time.perf_counter()
            subprocess.run([*client, "start"], env=env, stdout=subprocess.DEVNULL, check=True)
            took = (time.perf_counter() - begin) * 1e3
            print(f"years: {took:.0f} ms until {which} daemon answers on a ledger of {_ENTRIES:,} entries")
            subprocess.run([*client, "stop", "--halt"], env=env, stdout=subprocess.DEVNULL, check=True)
        begin = time.perf_counter()
        inspect_session(places, "old")
        print(f"years: {(time.perf_counter() - begin) * 1e3:.1f} ms for what the gate of its oldest session asks of it")


if __name__ == "__main__":
    main()
