"""The engine: keeps every session's open effects running, and lets time pass.

One inbox, one loop. Commits, process ends and timers only say which session to look at again; the loop then compares the
effects that are open with those that are running, starts what is missing and stops what is no longer wanted. So a crash, a
restart and a repeated look are all the same to it.
"""

import logging
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

import anyio
from anyio.abc import TaskGroup

from marathond.attempt.output import OutputWatch
from marathond.config import Config
from marathond.domain import entries as e
from marathond.domain.clock import Clock
from marathond.domain.effects import DriveAttempt, Effect, MoveTip, open_effects
from marathond.domain.errors import MarathonError
from marathond.domain.session import Session
from marathond.engine.alarm import Alarm, clock_steps_ms
from marathond.engine.kernel import Kernel
from marathond.engine.rooms import Rooms
from marathond.engine.shelf import Shelf
from marathond.places import Places
from marathond.store.blobs import Blobs
from marathond.store.environments import Environments
from marathond.store.readers import Readers
from marathond.store.rows import ContractRow
from marathond.store.writer import Change, Writer

log = logging.getLogger(__name__)

Executor = Callable[["Engine", Session, Any, "Handle"], Coroutine[Any, Any, None]]
"""Performs one kind of effect and appends its outcome; it returns once that is committed, or once `Handle.stop` made it unnecessary.

Safe to run again after a crash at any point.
"""


class Trouble(NamedTuple):
    """Why an effect keeps failing, without secrets, and the command that helps, if one does."""

    text: str
    command: str | None = None


Report = Callable[["Engine", Session, Effect, Exception, int], Coroutine[Any, Any, Trouble]]
"""Logs that an effect has failed, for the time that the number says, and tells what to show of it."""

_STEP_MS = 1000
"""A wall clock that differs by less from the monotonic one is being slewed, or was read a little later."""

_TROUBLE_FIRST_SECONDS = 1.0
_TROUBLE_MAX_SECONDS = 60.0


class Handle:
    """An effect that is running. `stop` asks it to end what it does in the world; cancelling its scope only lets go of it."""

    def __init__(self, effect: Effect) -> None:
        self.effect = effect
        self.stop = anyio.Event()
        self.scope = anyio.CancelScope()
        self.pause = anyio.CancelScope()
        self.tries = 0


class Opening:
    """The run that this daemon's start gives a session: the result, once there is one, for the client that started the daemon."""

    def __init__(self) -> None:
        self.done = anyio.Event()
        self.claimed = False
        self.result: dict[str, Any] | MarathonError | None = None

    def settle(self, result: dict[str, Any] | MarathonError) -> None:
        """The gate has spoken."""
        self.result = result
        self.done.set()


class Engine:
    """One per daemon. Everything it needs is given to it."""

    def __init__(
        self,
        *,
        places: Places,
        config: Config,
        clock: Clock,
        alarm: Alarm,
        kernel: Kernel,
        writer: Writer,
        readers: Readers,
        blobs: Blobs,
        environments: Environments,
        environment: Mapping[str, str],
        rooms: Rooms,
        agents: Shelf,
        executors: Mapping[type, Executor],
        report: Report,
        boot_id: str,
        as_root: bool,
        version: str,
    ) -> None:
        self.places, self.config, self.clock, self.alarm = places, config, clock, alarm
        self.kernel, self.writer, self.readers, self.blobs = kernel, writer, readers, blobs
        self.environments, self.environment = environments, environment
        self.rooms, self.agents, self.executors, self.report = rooms, agents, executors, report
        self.boot_id, self.as_root, self.version = boot_id, as_root, version
        self.stopping = False
        self.keys: dict[str, str] = {}
        self.at_gate: set[str] = set()
        self.notes: dict[tuple[str, str, int], int] = {}
        self.questions: dict[tuple[str, str, int], int] = {}
        self.opening: dict[str, Opening] = {}
        self.watch = OutputWatch()
        self.started_wall, self.started_ms = clock.wall(), clock.monotonic_ms()
        self.scrubbed: dict[str, Any] | None = None
        self.trouble: dict[str, dict[tuple[object, ...], Trouble]] = {}
        self._handles: dict[str, dict[tuple[object, ...], Handle]] = {}
        self._inbox: dict[str, None] = {}
        self._called = anyio.Event()
        self._committed = anyio.Event()
        self._tasks: TaskGroup | None = None
        self._ticked = 0
        self.on_rest: Callable[[Session], Coroutine[Any, Any, None]] | None = None
        kernel.listener = self._on_commit

    # --- entries ----------------------------------------------------------------------------------

    async def append(self, session_id: str, *bodies: e.Body) -> list[e.Entry]:
        """Commits facts of a session. Raises MarathonError when the store cannot take them."""
        stream = e.session_stream(session_id)
        return await self.writer.submit(lambda: Change(drafts=[e.Draft(stream, body) for body in bodies]))

    async def propose(
        self, session_id: str, propose: Callable[[Session], Sequence[e.Body]], contracts: Sequence[ContractRow] = ()
    ) -> list[e.Entry]:
        """Commits what `propose` makes of the session as it is when its turn comes; it may raise MarathonError instead."""
        stream = e.session_stream(session_id)

        def change() -> Change:
            session = self.kernel.peek(session_id)
            assert session is not None, session_id
            return Change(drafts=[e.Draft(stream, body) for body in propose(session)], contracts=list(contracts))

        return await self.writer.submit(change)

    async def opened_at_start(self, session_id: str) -> dict[str, Any] | None:
        """What the start of this daemon made of a session that it had to take on; the first to ask gets it, others get None."""
        opening = self.opening.get(session_id)
        if opening is None or opening.claimed:
            return None
        opening.claimed = True
        await opening.done.wait()
        if isinstance(opening.result, MarathonError):
            raise opening.result
        return opening.result

    # --- looking ----------------------------------------------------------------------------------

    def look(self, session_id: str) -> None:
        """Asks the loop to look at a session again."""
        self._inbox[session_id] = None
        self._called.set()

    def leave_gate(self, session_id: str) -> None:
        """The gate has judged a session: whoever waited for that looks again."""
        self.at_gate.discard(session_id)
        self._pulse()

    def _pulse(self) -> None:
        self._committed.set()
        self._committed = anyio.Event()

    def _on_commit(self, changed: frozenset[str]) -> None:
        for session_id in changed:
            self._inbox[session_id] = None
        self._called.set()
        self._pulse()

    async def until(self, holds: Callable[[], bool]) -> None:
        """Returns when `holds()` is true of what is committed and running."""
        while not holds():
            await self._committed.wait()

    def nudge(self, session_id: str) -> None:
        """Tries again at once what failed in a session and waits for its next try."""
        for handle in self.running(session_id):
            handle.pause.cancel()

    def running(self, session_id: str) -> list[Handle]:
        """The effects of a session that are being performed now."""
        return list(self._handles.get(session_id, {}).values())

    # --- the loop ---------------------------------------------------------------------------------

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[None]:
        """Runs the engine while the block is open. Leaving it lets go of all effects without ending what they watch."""
        async with anyio.create_task_group() as tasks:
            self._tasks = tasks
            tasks.start_soon(self._loop)
            tasks.start_soon(self._keep_time)
            try:
                yield
            finally:
                self.stopping = True
                tasks.cancel_scope.cancel()

    async def _loop(self) -> None:
        while True:
            await self._called.wait()
            self._called = anyio.Event()
            inbox, self._inbox = self._inbox, {}
            for session_id in inbox:
                try:
                    self._reconcile(session_id)
                except Exception as error:  # noqa: BLE001 - whatever it is, it is this session's alone
                    self.kernel.give_up(session_id, error)
            self._set_alarm()

    def _reconcile(self, session_id: str) -> None:
        session = self.kernel.sessions.get(session_id)
        if session is None or self._tasks is None or self.writer.read_only:
            return
        wanted = {effect.key: effect for effect in open_effects(session, self.clock.wall())}
        handles = self._handles.setdefault(session_id, {})
        for key, handle in handles.items():
            effect = wanted.get(key)
            if effect is None or (isinstance(effect, DriveAttempt) and effect.stop):
                handle.stop.set()
        if self.stopping:
            return
        leaving = [handle.effect for key, handle in handles.items() if key not in wanted]
        for key, effect in wanted.items():
            if key not in handles and not _in_the_way(leaving, effect):
                handle = handles[key] = Handle(effect)
                if isinstance(effect, DriveAttempt) and effect.stop:
                    handle.stop.set()
                self._tasks.start_soon(self._perform, session_id, handle)
        if session.run is None and not handles and self.on_rest is not None:
            self._tasks.start_soon(self.on_rest, session)

    async def _perform(self, session_id: str, handle: Handle) -> None:
        """Performs one effect until it has an outcome; what fails in a way nobody foresaw is tried again with growing pauses."""
        key = handle.effect.key
        with handle.scope:
            while not self.stopping:
                session = self.kernel.sessions[session_id]
                try:
                    await self.executors[type(handle.effect)](self, session, handle.effect, handle)
                    break
                except Exception as error:  # noqa: BLE001 - it is reported, and tried again
                    if not self._is_open(session_id, key):
                        break  # another effect settled it, as when two tasks race for the tip
                    handle.tries += 1
                    trouble = await self.report(self, session, handle.effect, error, handle.tries)
                    self.trouble.setdefault(session_id, {})[key] = trouble
                pause = min(_TROUBLE_MAX_SECONDS, _TROUBLE_FIRST_SECONDS * 2 ** min(10, handle.tries - 1))
                # a stop that was asked for before must not turn the pause into a spin
                with anyio.move_on_after(pause) as handle.pause:
                    await (anyio.sleep_forever() if handle.stop.is_set() else handle.stop.wait())
        self.trouble.get(session_id, {}).pop(key, None)
        self._handles.get(session_id, {}).pop(key, None)
        self.look(session_id)
        self._pulse()

    def _is_open(self, session_id: str, key: tuple[object, ...]) -> bool:
        """Whether an effect still waits for its outcome."""
        return any(effect.key == key for effect in open_effects(self.kernel.sessions[session_id], self.clock.wall()))

    # --- time -------------------------------------------------------------------------------------

    def _set_alarm(self) -> None:
        """To the next instant at which something changes. What was due at the last look has been decided already: the gate
        may still be open to it, and asking again before it closes would only spin."""
        looked = min(self._ticked, self.clock.wall())
        dues = [due for s in self.kernel.unfinished() if (due := self.kernel.next_due(s)) is not None]
        dues += [pool.until for pool in self.kernel.box.pools.values()]
        self.alarm.set(min((due for due in dues if due > looked), default=None))

    async def _keep_time(self) -> None:
        wall, mono = self.clock.wall(), self.clock.monotonic_ms()
        while True:
            rang = await self.alarm.wait()
            if rang == "set":
                continue
            stepped: int | None = None
            by_ms = clock_steps_ms(self.clock, wall, mono)
            if rang == "stepped" or abs(by_ms) >= _STEP_MS:  # after a sleep a due timer may be told before the step
                stepped = by_ms
            wall, mono = self.clock.wall(), self.clock.monotonic_ms()
            await self._tick(stepped)

    async def _tick(self, stepped_ms: int | None) -> None:
        """Lets time act: whatever became due is decided, and sessions that should run again are looked at.

        A step of the wall clock comes first: a budget that would be spent but for a night's sleep is not spent.
        """
        now = self._ticked = self.clock.wall()

        def change() -> Change:
            self.kernel.poke(now)
            if stepped_ms is None:
                return Change(drafts=[])
            live = [s.id for s in self.kernel.unfinished() if s.live_since is not None]
            inside = [e.Draft(e.session_stream(i), e.RunStepped(by_ms=stepped_ms)) for i in live if stepped_ms]
            return Change(drafts=[e.Draft(e.SYSTEM, e.ClockStepped(by_ms=stepped_ms)), *inside])

        try:
            await self.writer.submit(change)
        except MarathonError:
            log.exception("time could not be recorded")
        for session in self.kernel.unfinished():
            self._inbox[session.id] = None
        self._called.set()

    # --- stopping ---------------------------------------------------------------------------------

    async def hand_over(self, reason: str) -> None:
        """Stops working and leaves live attempts to the next daemon."""
        self.stopping = True
        for handles in self._handles.values():
            for handle in handles.values():
                handle.scope.cancel()

        def change() -> Change:
            """Of what is true when its turn comes: what was handed in before may have ended a run."""
            now = [self.kernel.peek(s.id) or s for s in self.kernel.unfinished()]
            runs = [(s.id, s.run.id) for s in now if s.run is not None]
            ended = [e.Draft(e.session_stream(i), e.RunEnded(run=run, reason="handover")) for i, run in runs]
            return Change(drafts=[*ended, e.Draft(e.SYSTEM, e.DaemonStopped(reason=reason))])

        await self.writer.submit(change)

    async def end_attempts(self) -> None:
        """Ends all live attempts; their sessions go on at the next start."""
        self.kernel.capacity = self.kernel.capacity._replace(slots=0)
        self.stopping = True
        for handles in self._handles.values():
            for handle in handles.values():
                handle.stop.set()
        await self.until(lambda: not any(self._handles.values()))


def _in_the_way(leaving: Sequence[Effect], wanted: Effect) -> bool:
    """Whether what is no longer wanted, but has not ended yet, works where `wanted` would: in its task's workspace or on the tip.

    Two at once would spoil each other's index. The end of the one makes the loop look again and start the other.
    """
    task = getattr(wanted, "task", None)
    return any(
        (task is not None and getattr(effect, "task", None) == task)
        or (isinstance(effect, MoveTip) and isinstance(wanted, MoveTip))
        for effect in leaving
    )
