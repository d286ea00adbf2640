"""What a daemon does before it takes work: it finds out what is true, and closes what the last one left open.

Costs what is unfinished, not what is old: ended sessions are not read until somebody asks for them.
"""

import logging
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import anyio.to_thread

from marathond.attempt import lifecycle
from marathond.attempt.lifecycle import Alive
from marathond.domain import entries as e
from marathond.domain.decide import ask_after_boot
from marathond.domain.limits import STOP_GRACE_MS
from marathond.domain.outlook import wants_run
from marathond.domain.session import Checking, Session
from marathond.engine import gate
from marathond.engine.effects.attempts import folder
from marathond.engine.engine import Engine, Opening
from marathond.engine.kernel import Broken, Kernel
from marathond.engine.sessions import load
from marathond.store.artifacts import unsound_streams
from marathond.store.readers import Readers
from marathond.store.rows import EntryUnreadableError, intact, to_entry
from marathond.store.writer import Change

log = logging.getLogger(__name__)

_PAGE = 2000


async def load_states(engine: Engine) -> None:
    """Folds the system stream from its last sum on, and every session that has not ended."""
    await load_box(engine.readers, engine.kernel)
    engine.keys.update(await engine.readers.keys())
    for session_id in await engine.readers.unfinished_sessions():
        found = await load(engine, session_id)
        if isinstance(found, Broken):
            log.error("session %s: %s", session_id, found.what)
    unfinished = [session.id for session in engine.kernel.unfinished()]
    unsound = await anyio.to_thread.run_sync(unsound_streams, engine.places, unfinished)
    for session_id, what in unsound.items():
        log.error("session %s: %s", session_id, what)
    engine.kernel.unsound.update(unsound)


async def load_box(readers: Readers, kernel: Kernel) -> None:
    """Folds the system stream from its last sum on. Without one, or where one is damaged, more is read and the box is the same."""
    summed, damaged = await _last_sum(readers)
    after = 0
    if summed is not None:
        for verdict in summed.body.verdicts:
            rows = await readers.rows(verdict - 1, 1, e.SYSTEM)
            kernel.load_box(to_entry(row) for row in rows if row.seq == verdict)
        after = summed.seq - 1
    while rows := await readers.rows(after, _PAGE, e.SYSTEM):
        kernel.load_box(to_entry(row) for row in rows if row.seq not in damaged)
        after = rows[-1].seq


class _Sum(NamedTuple):
    seq: int
    body: e.SystemSummed


async def _last_sum(readers: Readers) -> tuple[_Sum | None, frozenset[int]]:
    """The last sum that is what was written, if there is one, and the numbers of those after it that are not."""
    damaged: list[int] = []
    row = await readers.latest(e.SYSTEM, e.SystemSummed.kind)
    while row is not None:
        with suppress(EntryUnreadableError):
            body = to_entry(row).body
            if intact(row) and isinstance(body, e.SystemSummed):
                return _Sum(row.seq, body), frozenset(damaged)
        damaged.append(row.seq)
        row = await readers.latest(e.SYSTEM, e.SystemSummed.kind, before=row.seq)
    return None, frozenset(damaged)


async def settle(engine: Engine, pid: int, mended: tuple[str, ...]) -> None:
    """Records the daemon's start and what it means: runs that were cut off, slots that nobody uses, questions after a boot.

    Under a head that leads nothing is recorded and nothing runs: the sessions wait for a person.
    """
    if engine.writer.read_only:
        log.error("read-only: %s", engine.writer.read_only)
        engine.kernel.shut_down(engine.writer.read_only)
        return
    kernel = engine.kernel
    started = e.DaemonStarted(version=engine.version, pid=pid, boot_id=engine.boot_id, mended=list(mended))
    drafts = [e.Draft(e.SYSTEM, started)]
    live = {s.id for s in kernel.unfinished()}
    unused = [slot for slot in kernel.box.slots if slot.session not in live]
    drafts += [e.Draft(e.SYSTEM, e.SlotReturned(**slot._asdict())) for slot in unused]
    for session in kernel.unfinished():
        drafts += await _quarantine(engine, session) if session.id in kernel.unsound else _resumption(engine, session)
    # Before the commit: at once after it, the engine opens runs.
    engine.opening.update({i: Opening() for i in live - kernel.unsound})
    await engine.writer.submit(lambda: Change(drafts=drafts))
    now = engine.clock.wall()
    for session_id, opening in list(engine.opening.items()):
        session = kernel.sessions[session_id]
        if session.run is None and opening.result is None and not wants_run(session, now):
            del engine.opening[session_id]
        engine.look(session_id)


async def _quarantine(engine: Engine, session: Session) -> list[e.Draft]:
    """The verdict on a session whose chain is broken stands in `system`, once, and nothing is added to the chain."""
    if session.quarantine is not None:
        return []
    verdicts = await gate.evaluate(engine, session.id)
    return [e.Draft(e.SYSTEM, e.SessionQuarantined(session=session.id, points=list(verdicts.points)))]


def _resumption(engine: Engine, session: Session) -> list[e.Draft]:
    stream = e.session_stream(session.id)
    out: list[e.Draft] = []
    if session.run is not None:
        out.append(e.Draft(stream, e.RunEnded(run=session.run.id, reason="cut_off")))
    rebooted = session.boot_id not in ("", engine.boot_id)
    quiet = session.halted or session.quarantine is not None or session.aborting or session.barred
    if rebooted and engine.config.on_boot == "ask" and not quiet:
        out.append(e.Draft(stream, ask_after_boot(session)))
    elif rebooted and not quiet:
        log.warning("session %s (%s) goes on after the reboot", session.id, session.name)
    return out


async def end_leftovers(engine: Engine) -> None:
    """Ends the checks of halted sessions that still run, as where the last daemon died before it had stopped them.

    They count for nothing: after a resume they are run anew.
    """
    for session in engine.kernel.unfinished():
        for task_id in session.frontier:
            task = session.tasks[task_id]
            if not (session.halted and isinstance(task.phase, Checking) and task.attempt is not None):
                continue
            for where in sorted(folder(engine, session.id, task_id, task.attempt.number).glob("check-*")):
                try:
                    await _end(engine, session, where)
                except (OSError, ValueError) as error:
                    log.error("session %s: %s cannot be looked into: %s", session.id, where, error)


async def _end(engine: Engine, session: Session, where: Path) -> None:
    found = await anyio.to_thread.run_sync(lifecycle.inspect, where)
    if isinstance(found, Alive) and engine.kernel.sessions[session.id].halted:
        await lifecycle.stop(where, found.started, STOP_GRACE_MS)
