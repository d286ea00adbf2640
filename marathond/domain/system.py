"""What the ledger knows of the machine, folded from the `system` stream.

The stream grows with every attempt, and what counts of it stays small. So now and then the box is summed up in an entry of its
own: who folds the stream from its last sum on gets what the whole stream gives.
"""

from typing import Final, NamedTuple

import msgspec
from immutables import Map
from msgspec.structs import replace

from marathond.domain import entries as e
from marathond.domain.canonical import encode_entry
from marathond.domain.limits import ENTRY_BYTES_MAX

SUM_EVERY: Final = 1000
"""Entries of the stream from one sum to the next."""

TURNS_SUMMED: Final = 256
"""Sessions whose turn outlives a sum: those that had a slot last. Among others none goes first."""


class Pool(msgspec.Struct, frozen=True, kw_only=True):
    """A vendor's pool that is shut until `until` (microseconds since the epoch)."""

    until: int
    stated: bool


class Quarantined(msgspec.Struct, frozen=True, kw_only=True):
    """The verdict on a session whose own chain is broken; it holds until a later gate (by seq) is passed."""

    points: tuple[e.Verdict, ...]
    seq: int


class Slot(NamedTuple):
    """Who uses a slot."""

    session: str
    task: str
    attempt: int


class Box(msgspec.Struct, frozen=True, kw_only=True):
    """The state of the machine as far as the ledger knows it.

    `slots` are in use, by the agent named; `turns` tell where in the stream a session was last given one; `summed` is the
    place of the last sum.
    """

    n: int = 0
    hash: str = ""
    slots: Map[Slot, str] = Map()
    turns: Map[str, int] = Map()
    pools: Map[str, Pool] = Map()
    quarantined: Map[str, Quarantined] = Map()
    boot_id: str = ""
    summed: int = 0


def evolve(box: Box, entry: e.Entry) -> Box:
    """The box after an entry of the `system` stream."""
    box = replace(box, n=entry.n, hash=entry.hash)
    match entry.body:
        case e.SlotGranted(session=session, task=task, attempt=attempt, agent=agent):
            slots = box.slots.set(Slot(session, task, attempt), agent)
            return replace(box, slots=slots, turns=box.turns.set(session, entry.n))
        case e.SlotReturned(session=session, task=task, attempt=attempt):
            return replace(box, slots=_without(box.slots, Slot(session, task, attempt)))
        case e.PoolLimited(pool=pool, until=until, stated=stated):
            return replace(box, pools=box.pools.set(pool, Pool(until=until, stated=stated)))
        case e.PoolOpened(pool=pool):
            return replace(box, pools=_without(box.pools, pool))
        case e.SessionQuarantined(session=session, points=points):
            verdict = Quarantined(points=tuple(points), seq=entry.seq)
            return replace(box, quarantined=box.quarantined.set(session, verdict))
        case e.SessionPruned(session=session):
            return replace(box, turns=_without(box.turns, session))
        case e.DaemonStarted(boot_id=boot_id):
            return replace(box, boot_id=boot_id)
        case e.SystemSummed() as known:
            return _as_summed(box, known)
        case _:
            return box


def sum_up(box: Box) -> list[e.Body]:
    """The sum, once it is due. Verdicts are named by the numbers of their entries: they are few, and not small."""
    if box.n - box.summed < SUM_EVERY:
        return []
    newest = sorted(box.turns.items(), key=lambda turn: turn[1])[-TURNS_SUMMED:]
    known = e.SystemSummed(
        boot_id=box.boot_id,
        slots=[e.SlotInUse(**slot._asdict(), agent=agent) for slot, agent in sorted(box.slots.items())],
        pools=[e.PoolShut(pool=name, until=p.until, stated=p.stated) for name, p in sorted(box.pools.items())],
        turns=[e.Turn(session=session, n=n) for session, n in newest],
        verdicts=sorted(verdict.seq for verdict in box.quarantined.values()),
    )
    return [known] if len(encode_entry(known)) < ENTRY_BYTES_MAX // 2 else []  # else a start reads a little more


def _as_summed(box: Box, known: e.SystemSummed) -> Box:
    """All but the verdicts, whose entries were folded before, however far back they are."""
    return replace(
        box,
        boot_id=known.boot_id,
        slots=Map({Slot(s.session, s.task, s.attempt): s.agent for s in known.slots}),
        pools=Map({p.pool: Pool(until=p.until, stated=p.stated) for p in known.pools}),
        turns=Map({turn.session: turn.n for turn in known.turns}),
        summed=box.n,
    )


def _without(map_: Map, key: object) -> Map:  # type: ignore[type-arg]
    return map_.delete(key) if key in map_ else map_
