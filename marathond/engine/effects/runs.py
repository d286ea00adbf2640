"""`OpenRun`: a session that should go on by itself passes the resume gate like any other."""

import logging

from marathond.domain.effects import OpenRun
from marathond.domain.errors import LOCK_HELD, MarathonError
from marathond.domain.session import Session
from marathond.engine import gate
from marathond.engine.engine import Engine, Handle

log = logging.getLogger(__name__)


async def open_run(engine: Engine, session: Session, effect: OpenRun, _handle: Handle) -> None:
    """Wakes a session. A refusal is recorded by the gate and ends the effect; a user who was faster makes it unnecessary."""
    opening = engine.opening.get(session.id)
    if opening is not None and opening.done.is_set():
        opening = None  # that was the run which the daemon's start gave it; this is a later one
    if (
        session.id in engine.at_gate
    ):  # a user's resume is being judged: what comes of it decides whether this is still to be done
        if opening is not None:
            opening.settle(gate.held(session.id, gate.WON))
        await engine.until(lambda: session.id not in engine.at_gate)
        return
    engine.at_gate.add(session.id)
    try:
        verdicts = await gate.evaluate(engine, session.id)
        if not verdicts.passed:
            error = await gate.refused(engine, session.id, verdicts)
            log.warning("session %s: %s", session.id, error.message)
            if opening is not None:
                opening.settle(error)
            if 1 in verdicts.failed:
                raise error  # nothing is recorded for what cannot be read: it is asked again after a pause
            return
        await gate.open_run(engine, session.id, verdicts, "boot" if opening is not None else session.called or "wake")
    except MarathonError as error:
        if error.kind != LOCK_HELD:
            raise
        if opening is not None:
            opening.settle(error)
        return
    finally:
        engine.leave_gate(session.id)
    if opening is not None:
        after = engine.kernel.sessions[session.id]
        opening.settle(gate.outcome(after, verdicts, f"{session.id}.{effect.number}"))
