"""How fast entries become durable: one caller after the other, and many who share a commit. Prints; asserts nothing.

python bench/ledger.py
"""

import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import anyio

from marathond.domain.entries import SYSTEM, ClockStepped, Draft, Entry
from marathond.engine.alarm import SystemClock
from marathond.places import Places
from marathond.store.database import prepare
from marathond.store.verify import verify
from marathond.store.writer import Change, Writer, open_writer

_ALONE = 200
_CROWD = 100
_EACH = 50


class Quiet:
    """A reactor to which nothing follows from anything."""

    def stage(self, entries: Sequence[Entry]) -> None:
        """Not kept."""

    def react(self, now: int) -> list[Draft]:
        """Nothing follows."""
        return []

    def give_up(self, session_id: str, error: Exception) -> None:
        """Does not happen."""

    def commit(self, entries: Sequence[Entry]) -> None:
        """Not kept."""

    def rollback(self) -> None:
        """Nothing to undo."""


async def _append(writer: Writer, times: int) -> None:
    for _ in range(times):
        await writer.submit(lambda: Change(drafts=[Draft(SYSTEM, ClockStepped(by_ms=1))]))


async def appends(places: Places) -> None:
    """Acknowledged entries per second, one at a time and by a crowd."""
    async with open_writer(places, SystemClock()) as writer, anyio.create_task_group() as tasks:
        await tasks.start(writer.run, Quiet())
        begin = time.perf_counter()
        await _append(writer, _ALONE)
        took = time.perf_counter() - begin
        print(f"ledger: {took / _ALONE * 1e3:.2f} ms until an entry is acknowledged, alone")
        begin = time.perf_counter()
        async with anyio.create_task_group() as crowd:
            for _ in range(_CROWD):
                crowd.start_soon(_append, writer, _EACH)
        took = time.perf_counter() - begin
        print(f"ledger: {_CROWD * _EACH / took:,.0f} acknowledged entries per second, by {_CROWD} callers")
        writer.stop()
        tasks.cancel_scope.cancel()


def verification(places: Places) -> None:
    """Entries per second of a whole verification."""
    begin = time.perf_counter()
    report = verify(places)
    took = time.perf_counter() - begin
    print(f"verify: {report.entries / took:,.0f} entries per second ({report.entries:,} entries, ok: {report.ok})")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        bench_places = Places(root / "state", root / "config", root / "socket")
        prepare(bench_places)
        anyio.run(appends, bench_places)
        verification(bench_places)
