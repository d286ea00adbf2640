"""`daemon/info`."""

import os
from collections import Counter
from typing import Any

from marathond.domain.instants import format_instant
from marathond.domain.limits import PROTOCOL_MAX, PROTOCOL_MIN, SCHEMA_VERSION
from marathond.engine.engine import Engine
from marathond.engine.views.words import session_state


def info(engine: Engine) -> dict[str, Any]:
    """What this daemon is, where, and how much it has to do."""
    kernel = engine.kernel
    states = Counter(session_state(s) for s in kernel.unfinished())
    head = engine.writer.head
    return {
        "version": engine.version,
        "protocol": {"min": PROTOCOL_MIN, "max": PROTOCOL_MAX},
        "schema": SCHEMA_VERSION,
        "pid": os.getpid(),
        "state_dir": str(engine.places.state),
        "socket": str(engine.places.socket),
        "started_at": format_instant(engine.started_wall),
        "uptime_ms": engine.clock.monotonic_ms() - engine.started_ms,
        "sessions": {
            **{state: states[state] for state in ("running", "waiting", "held", "halted", "quarantined")},
            "unfinished": len(kernel.unfinished()),
        },
        "ledger": {"seq": head.seq, "link": head.link},
        "slots": {"total": kernel.capacity.slots, "used": len(kernel.box.slots)},
        "scrub": engine.scrubbed,
        "read_only": engine.writer.read_only,
    }
