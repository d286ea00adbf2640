"""An entry that a caller was told about is in the ledger, whenever the process is killed."""

import random
import subprocess
import sys
from pathlib import Path

import pytest

from marathond.store import database
from marathond.store.verify import verify
from tests.support.ledgers import make_places

SEED = 20261125
WRITE = """
import sys
from pathlib import Path
import anyio
from tests.support.ledgers import Places, change, note, running_writer, created

async def main():
    state = Path(sys.argv[1])
    async with running_writer(Places(state, state, state / "sock")) as writer:
        if writer.head.seq == 0:
            await writer.submit(lambda: created("s", b"{}"))
        while True:
            (entry,) = await writer.submit(change(note("s")))
            print(entry.seq, entry.link, flush=True)

anyio.run(main)
"""


@pytest.mark.parametrize("round_", range(3))
def test_what_was_acknowledged_survives_kill_9(tmp_path: Path, round_: int) -> None:
    """After SIGKILL at a random entry, and again after a restart, every printed entry is there and the ledger verifies."""
    places, dice = make_places(tmp_path), random.Random(SEED + round_)
    for _ in range(2):
        writer = subprocess.Popen(
            [sys.executable, "-c", WRITE, str(places.state)], cwd=Path(__file__).parents[1], stdout=subprocess.PIPE
        )
        assert writer.stdout is not None
        try:
            printed = [writer.stdout.readline() for _ in range(dice.randrange(2, 60))]
        finally:
            writer.kill()
        printed += [line for line in writer.communicate()[0].splitlines(keepends=True) if line.endswith(b"\n")]
        seq, link = printed[-1].split()
        database.prepare(places)
        report = verify(places)
        assert report.problems == []
        assert report.head_seq in (int(seq), int(seq) + 1)
        with_link = database.connect_reader(places.ledger)
        assert with_link.execute("SELECT link FROM ledger WHERE seq = ?", (int(seq),)).fetchone() == (link.decode(),)
        with_link.close()
