"""The second pure core: what follows for the box rather than for one session.

It hands out slots, round robin by session, keeps vendors' pools shut while a limit holds, and remembers which sessions may
not be worked on because their own chain cannot be trusted. A grant and the `attempt.intended` that uses it commit together.
"""

import heapq
from collections import Counter
from collections.abc import Iterable, Mapping
from itertools import islice
from typing import NamedTuple

from marathond.domain import entries as e
from marathond.domain.plan import agent_of
from marathond.domain.session import LIVE, OCCUPYING, Ready, Session, Task
from marathond.domain.system import Box, Slot


class Capacity(NamedTuple):
    """What the configuration allows: slots in all, attempts at once per agent where that is limited, and agents' pools.

    An agent that is not in `pools` draws on a pool of its own name.
    """

    slots: int
    per_agent: Mapping[str, int] = {}
    pools: Mapping[str, str] = {}


def settle(box: Box, session_id: str, session: Session | None) -> list[e.Body]:
    """Slots of a session's attempts that are over go back."""
    return [
        e.SlotReturned(session=s.session, task=s.task, attempt=s.attempt)
        for s in box.slots
        if s.session == session_id and not (session and _occupies(session, s))
    ]


def _occupies(session: Session, slot: Slot) -> bool:
    """A process does; so does its work until it is judged, unless the session rests until a user says otherwise."""
    task = session.tasks.get(slot.task)
    if session.end is not None or task is None or task.attempt is None or task.attempt.number != slot.attempt:
        return False
    at_rest = session.halted or session.quarantine is not None
    return isinstance(task.phase, LIVE if at_rest else OCCUPYING)


def limits_seen(box: Box, session: Session, body: e.Body, pools: Mapping[str, str]) -> list[e.Body]:
    """What a session's entry says about a vendor's pool: a quota timer shuts it, a good attempt or an impatient user opens it.

    `session` is the state after the entry; `pools` are the agents' pools (see `Capacity`).
    """
    match body:
        case e.TimerSet(timer_kind="quota", pool=str(pool), task=task_id, due=due):
            attempt = session.tasks[task_id].attempt
            if attempt is None or ((shut := box.pools.get(pool)) and shut.until >= due):
                return []
            stated = attempt.reset is not None
            return [
                e.PoolLimited(
                    pool=pool,
                    until=due,
                    stated=stated,
                    session=session.id,
                    task=task_id,
                    attempt=attempt.number,
                )
            ]
        case e.AttemptFinished(outcome="ok", task=task_id):
            attempt = session.tasks[task_id].attempt
            return [e.PoolOpened(pool=attempt.pool)] if attempt and attempt.pool in box.pools else []
        case e.SessionResumed(now=True):
            wanted = dict.fromkeys(pools.get(agent, agent) for agent in sorted(session.ready))
            return [e.PoolOpened(pool=pool) for pool in wanted if pool in box.pools]
        case _:
            return []


def open_due_pools(box: Box, now: int) -> list[e.Body]:
    """Pools whose time has come."""
    return [e.PoolOpened(pool=name) for name, pool in sorted(box.pools.items()) if pool.until <= now]


def room(session: Session) -> int:
    """How many more of its tasks may start now, by the contract's width and the session's state."""
    if session.run is None or session.end is not None or session.quarantine is not None or session.barred:
        return 0
    if session.halted or session.halt is not None or session.aborting or session.given_up is not None:
        return 0
    occupied = sum(isinstance(session.tasks[i].phase, OCCUPYING) for i in session.frontier)
    return max(0, width(session) - occupied)


def wants(session: Session) -> list[str]:
    """The ready tasks that would start now if the box had room for all of them, in the contract's order."""
    places = heapq.merge(*(places for agent, places in session.ready.items() if agent not in session.shut))
    return [session.plan.ids[place] for place in islice(places, room(session))]


def width(session: Session) -> int:
    """Tasks at once. In the user's own checkout there is room for one."""
    return 1 if in_checkout(session) else session.plan.contract.limits.parallel


def in_checkout(session: Session) -> bool:
    """Whether the session works in the user's own checkout."""
    return session.plan.contract.workspace.isolation == "none"


def leases(sessions: Iterable[Session]) -> dict[str, str]:
    """Which session is at work in a checkout, by repository: from its first attempt in a run until that run ends."""
    return {s.repo: s.id for s in sessions if s.end is None and in_checkout(s) and _at_work(s)}


def _at_work(session: Session) -> bool:
    if any(isinstance(session.tasks[i].phase, OCCUPYING) for i in session.frontier):
        return True
    run = session.run.id if session.run is not None else None
    return run is not None and any(t.attempt is not None and t.attempt.run == run for t in session.tasks.values())


def dispatch(
    box: Box, sessions: Iterable[Session], capacity: Capacity, now: int, leased: Mapping[str, str] | None = None
) -> list[e.Draft]:
    """Starts ready tasks while there are slots, round robin by session; shuts out those whose pool is shut.

    A session that would work in a checkout that another one has by `leased` waits. Returns drafts for `system` (the grants)
    and for the sessions (`attempt.intended`, or a quota timer, which speaks for all ready tasks of its agent).
    """
    hungry = {s.id: _Hungry(s) for s in sessions}
    out: list[e.Draft] = []
    slots, turns, turn = dict(box.slots), dict(box.turns), box.n
    taken = dict(leased or {})
    while True:
        full = _full(slots, capacity)
        order = [(turns.get(i, 0), i) for i, h in hungry.items() if h.first(full) is not None]
        if not order:
            return out
        mine = hungry[min(order)[1]]
        session, task_id = mine.session, mine.first(full)
        assert task_id is not None
        if in_checkout(session) and taken.get(session.repo, session.id) != session.id:
            del hungry[session.id]
            continue
        intent = intend(session, task_id, capacity.pools)
        if (pool := box.pools.get(intent.pool)) and pool.until > now:
            timer = f"{task_id}/{intent.attempt}/shut"
            shut = e.TimerSet(timer=timer, timer_kind="quota", task=task_id, due=pool.until, pool=intent.pool)
            out.append(_for(session, shut))
            mine.leave(intent.agent)
            continue
        if len(slots) >= capacity.slots:
            return out
        turn += 1
        turns[session.id] = turn
        slots[Slot(session.id, task_id, intent.attempt)] = intent.agent
        if in_checkout(session):
            taken[session.repo] = session.id
        mine.take(intent.agent)
        grant = e.SlotGranted(session=session.id, task=task_id, attempt=intent.attempt, agent=intent.agent)
        out += [e.Draft(e.SYSTEM, grant), _for(session, intent)]


class _Hungry:
    """A session with ready tasks, while slots are handed out."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self._room = room(session)
        self._next = {agent: 0 for agent in session.ready if agent not in session.shut}

    def first(self, full: frozenset[str]) -> str | None:
        """Its next task whose agent is not at its limit: one agent's queue does not hold up the others."""
        if not self._room:
            return None
        ready = self.session.ready
        heads = (ready[a][k] for a, k in self._next.items() if a not in full and k < len(ready[a]))
        place = min(heads, default=None)
        return None if place is None else self.session.plan.ids[place]

    def take(self, agent: str) -> None:
        """Its next task of an agent starts."""
        self._room -= 1
        self._next[agent] += 1

    def leave(self, agent: str) -> None:
        """Nothing of an agent starts now."""
        del self._next[agent]


def _full(slots: Mapping[Slot, str], capacity: Capacity) -> frozenset[str]:
    used = Counter(slots.values())
    return frozenset(agent for agent, most in capacity.per_agent.items() if used[agent] >= most)


def _for(session: Session, body: e.Body) -> e.Draft:
    return e.Draft(e.session_stream(session.id), body)


def intend(session: Session, task_id: str, pools: Mapping[str, str]) -> e.AttemptIntended:
    """The intent of a ready task's next attempt."""
    task, spec = session.tasks[task_id], session.plan.tasks[task_id]
    assert isinstance(task.phase, Ready)
    assert session.run is not None
    mode = task.phase.mode
    agent = agent_of(session.plan, task_id)
    return e.AttemptIntended(
        task=task_id,
        attempt=task.begun + 1,
        run=session.run.id,
        mode=mode,
        agent=agent,
        pool=pools.get(agent, agent),
        model=spec.model,
        thread=task.thread if mode == "continue" else None,
        start=session.tip if mode == "fresh" else _kept_start(session, task),
        why=task.phase.why,
    )


def _kept_start(session: Session, task: Task) -> str:
    """Where a kept tree began: an integrated candidate was checked out on its parent, else the last attempt's start holds."""
    if task.attempt is None:
        return session.tip
    return task.attempt.candidate.parent if task.attempt.candidate else task.attempt.start
