"""The engine as the server sees it: one method per verb. `open_services` opens the ledger, recovers, and serves."""

import logging
import os
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

import anyio
import anyio.to_thread

from marathond import __version__
from marathond.attempt.processes import boot_id
from marathond.config import Config
from marathond.domain import effects
from marathond.domain import entries as e
from marathond.domain.clock import Clock
from marathond.domain.coordinator import Capacity
from marathond.domain.errors import NO_SESSION, NO_TASK, MarathonError
from marathond.domain.session import Session
from marathond.domain.suggest import nearest
from marathond.engine import inside, outputs, recovery, sessions
from marathond.engine.alarm import Alarm, SystemClock, WallAlarm
from marathond.engine.audit import audit
from marathond.engine.effects.attempts import drive
from marathond.engine.effects.candidates import candidate
from marathond.engine.effects.checks import run_checks
from marathond.engine.effects.deliveries import deliver
from marathond.engine.effects.runs import open_run
from marathond.engine.effects.tips import move_tip
from marathond.engine.effects.troubles import report
from marathond.engine.engine import Engine, Executor
from marathond.engine.history import session_entries
from marathond.engine.kernel import Broken, Kernel
from marathond.engine.rooms import Rooms
from marathond.engine.scrub import scrub
from marathond.engine.shelf import Shelf
from marathond.engine.tidy import forget_ended, tidy, tidy_ended
from marathond.engine.verbs import answer as answers
from marathond.engine.verbs import resume as resumes
from marathond.engine.verbs import start as starts
from marathond.engine.verbs import stop as stops
from marathond.engine.views.info import info
from marathond.engine.views.status import broken_status, status, summary
from marathond.engine.views.task import task_view
from marathond.engine.views.why import reasons
from marathond.engine.views.words import session_state
from marathond.places import Places
from marathond.store.blobs import Blobs
from marathond.store.database import prepare
from marathond.store.environments import Environments
from marathond.store.readers import open_readers
from marathond.store.rows import LedgerRow
from marathond.store.writer import open_writer
from marathond.workspace.diff import diff
from marathond.workspace.leash import leash

log = logging.getLogger(__name__)

Result = dict[str, Any]
_RECENT_US = 7 * 24 * 3_600_000_000

EXECUTORS: Mapping[type, Executor] = {
    effects.OpenRun: open_run,
    effects.DriveAttempt: drive,
    effects.MakeCandidate: candidate,
    effects.RunChecks: run_checks,
    effects.MoveTip: move_tip,
    effects.Deliver: deliver,
}


@asynccontextmanager
async def open_services(
    places: Places,
    config: Config,
    environment: Mapping[str, str],
    *,
    clock: Clock | None = None,
    alarm: Alarm | None = None,
    boot: str | None = None,
) -> AsyncIterator["Service"]:
    """The services of a daemon that holds its lock. Raises MarathonError when the ledger cannot be served.

    `boot` names the machine's present boot, by default as the kernel does.

    Leaving the block lets go of all attempts without ending them.
    """
    clock = clock or SystemClock()
    prepared = await anyio.to_thread.run_sync(prepare, places)
    shelf = Shelf(places.config)
    kernel = Kernel(_capacity(config, shelf))
    async with leash(places.state), open_readers(places) as readers, open_writer(places, clock) as writer:
        engine = Engine(
            places=places,
            config=config,
            clock=clock,
            alarm=alarm or WallAlarm(),
            kernel=kernel,
            writer=writer,
            readers=readers,
            blobs=Blobs(places.blobs),
            environments=Environments(places.environments),
            environment=environment,
            rooms=Rooms(places),
            agents=shelf,
            executors=EXECUTORS,
            report=report,
            boot_id=boot or boot_id(),
            as_root=os.geteuid() == 0,
            version=__version__,
        )
        engine.on_rest = lambda session: tidy(engine, session)
        await recovery.load_states(engine)
        await forget_ended(engine)
        async with anyio.create_task_group() as tasks:
            await tasks.start(writer.run, kernel)
            tasks.start_soon(engine.watch.run)
            async with engine.serving():
                await recovery.settle(engine, os.getpid(), prepared.mended)
                tasks.start_soon(scrub, engine)
                tasks.start_soon(tidy_ended, engine)
                tasks.start_soon(recovery.end_leftovers, engine)
                yield Service(engine)
            writer.stop()
            tasks.cancel_scope.cancel()
        engine.alarm.close()


def _capacity(config: Config, shelf: Shelf) -> Capacity:
    """Slots in all and per agent: the configuration's word before the profile's."""
    registry = shelf()
    own = {name: limits.max_concurrent for name, limits in config.agents.items()}
    most = {name: own.get(name) or registry.get(name).max_concurrent for name in {*registry.names()}}
    pools = {name: pool for name in registry.names() if (pool := registry.get(name).pool)}
    return Capacity(config.slots, {name: n for name, n in most.items() if n is not None}, pools)


class Service:
    """Implements the server's `Services`."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self._halt = False

    # --- verbs --------------------------------------------------------------------------------------

    async def start(self, **params: Any) -> Result:
        """See `verbs.start`."""
        return await starts.start(self.engine, **params)

    async def resume(self, **params: Any) -> Result:
        """See `verbs.resume`."""
        return await resumes.resume(self.engine, **params)

    async def retry(self, **params: Any) -> Result:
        """See `verbs.resume`."""
        return await resumes.retry(self.engine, **params)

    async def halt(self, **params: Any) -> Result:
        """See `verbs.stop`."""
        return await stops.halt(self.engine, **params)

    async def abort(self, **params: Any) -> Result:
        """See `verbs.stop`."""
        return await stops.abort(self.engine, **params)

    async def answer(self, **params: Any) -> Result:
        """See `verbs.answer`."""
        return await answers.answer(self.engine, **params)

    async def amend(self, **params: Any) -> Result:
        """See `verbs.answer`."""
        return await answers.amend(self.engine, **params)

    # --- looking ------------------------------------------------------------------------------------

    async def status(self, *, session: str | None, cwd: str | None) -> Result:
        """Where a session stands; also for one that is broken."""
        engine = self.engine
        session_id = await sessions.resolve(engine, session, cwd)
        found = await sessions.find(engine, session_id)
        if isinstance(found, Broken):
            return broken_status(session_id, found.what)
        words = await anyio.to_thread.run_sync(outputs.last_words, engine, found)
        kernel = engine.kernel
        told = status(found, kernel.box, kernel.capacity, kernel.leases(), words, engine.clock.wall())
        told["reasons"] += [{k: v for k, v in r.items() if k != "command"} for r in self._troubles(found.id)]
        return told

    async def list_sessions(self, *, cwd: str | None, all: bool) -> Result:  # noqa: A002 - the name on the wire
        """Sessions, newest first; without `all` those that are unfinished or of the last seven days."""
        engine = self.engine
        rows = []
        unfinished = {session.id for session in engine.kernel.unfinished()} | engine.kernel.broken.keys()
        since = engine.clock.wall() - _RECENT_US
        for session_id in reversed(await sessions.known(engine)):
            born = await sessions.birth(engine, session_id)
            if born is not None and not (all or session_id in unfinished or born.created >= since):
                continue  # an old session is not folded only to be left out
            if born is not None and not (cwd is None or sessions.inside(cwd, born.repo)):
                continue
            found = await sessions.find(engine, session_id)
            rows.append(_broken_summary(session_id) if isinstance(found, Broken) else summary(found))
        return {"sessions": rows}

    async def why(self, *, session: str | None, cwd: str | None, task: str | None) -> Result:
        """What keeps a session, or one task, from going on."""
        engine = self.engine
        session_id = await sessions.resolve(engine, session, cwd)
        found = await sessions.find(engine, session_id)
        if isinstance(found, Broken):
            reason = {"kind": "gate", "task": None, "text": found.what, "due_at": None, "command": "marathonctl verify"}
            return {"session_id": session_id, "state": "quarantined", "reasons": [reason]}
        listed = reasons(found, engine.kernel.box, engine.kernel.capacity, engine.kernel.leases())
        listed += self._troubles(found.id)
        if task is not None:
            _require_task(found, task)
            listed = [r for r in listed if r["task"] in (task, None)]
        return {"session_id": found.id, "state": session_state(found), "reasons": listed}

    def _troubles(self, session_id: str) -> list[Result]:
        """Effects that keep failing in the world outside."""
        found = self.engine.trouble.get(session_id, {})
        return [
            {
                "kind": "gate",
                "task": None,
                "text": text if command else f"it is tried again: {text}",
                "due_at": None,
                "command": command,
            }
            for text, command in found.values()
        ]

    async def task(self, *, session: str | None, cwd: str | None, task: str) -> Result:
        """Everything about one task."""
        found = await sessions.get(self.engine, session, cwd)
        _require_task(found, task)
        entries = [entry async for entry in session_entries(self.engine, found.id)]
        return task_view(found, task, entries)

    async def diff(self, *, session: str | None, cwd: str | None, task: str | None) -> Result:
        """What a session, or one task, changed."""
        found = await sessions.get(self.engine, session, cwd)
        base, commit = found.base, found.tip
        if task is not None:
            _require_task(found, task)
            attempt = found.tasks[task].attempt
            candidate_ = attempt.candidate if attempt else None
            base, commit = (candidate_.parent, candidate_.commit) if candidate_ else (found.base, found.base)
        repository = await self.engine.rooms.repository(found)
        text = await diff(repository, base, commit) if base != commit else ""
        return {"session_id": found.id, "base": base, "commit": commit, "text": text}

    async def contract_check(self, *, allow_secrets: bool, **where: Any) -> Result:
        """Judges a contract without starting anything."""
        source = await anyio.to_thread.run_sync(lambda: starts.source_of(**where))
        ready = await starts.planned(self.engine, source, allow_secrets=allow_secrets)
        contract = ready.frozen.contract
        tasks = [{"id": t.id, "needs": list(t.needs), "agent": t.agent} for t in contract.tasks]
        return {
            "contract_hash": ready.frozen.hash, "name": contract.name, "tasks": tasks, "warnings": ready.warnings,
        }  # fmt: skip

    async def contract_show(self, *, session: str | None, cwd: str | None, revision: int | None) -> Result:
        """The frozen text of a revision."""
        session_id = await sessions.resolve(self.engine, session, cwd)
        rows = {row.revision: row for row in await self.engine.readers.contracts(session_id)}
        wanted = revision or max(rows, default=0)
        if wanted not in rows:
            raise MarathonError(NO_SESSION, session=f"{session_id} with a contract revision {wanted}")
        row = rows[wanted]
        return {"session_id": session_id, "revision": wanted, "hash": row.hash, "record": row.record.decode()}

    async def verify(self, *, session: str | None) -> Result:
        """Checks the ledger and all that hangs on it."""
        session_id = await sessions.resolve(self.engine, session, None) if session else None
        return await audit(self.engine.places, session_id)

    async def resolve(self, *, session: str | None, cwd: str | None) -> str:
        """The full id that is meant."""
        return await sessions.resolve(self.engine, session, cwd)

    async def read(self, *, after: int, limit: int, session: str | None, stream: str | None) -> Sequence[LedgerRow]:
        """Committed rows."""
        if session is not None:
            stream = e.session_stream(await sessions.resolve(self.engine, session, None))
        return await self.engine.readers.rows(after, limit, stream)

    def subscribe(
        self, sink: Callable[[Sequence[LedgerRow]], None], stream: str | None
    ) -> tuple[int, Callable[[], None]]:
        """See `Writer.subscribe`."""
        return self.engine.writer.subscribe(sink, stream)

    # --- attempts -----------------------------------------------------------------------------------

    async def output(self, **params: Any) -> Result:
        """See `outputs.output`."""
        return await outputs.output(self.engine, **params)

    async def output_changed(self, **params: Any) -> None:
        """See `outputs.changed`."""
        await outputs.changed(self.engine, **params)

    async def attempt_progress(self, *, who: tuple[str, str, int], text: str) -> None:
        """See `inside.progress`."""
        await inside.progress(self.engine, who, text)

    async def attempt_ask(self, *, who: tuple[str, str, int], question: dict[str, Any]) -> Result:
        """See `inside.ask`."""
        return await inside.ask(self.engine, who, question)

    async def attempt_attach(self, *, who: tuple[str, str, int], path: str) -> Result:
        """See `inside.attach`."""
        return await inside.attach(self.engine, who, path)

    async def refused_inside(self, *, who: tuple[str, str, int], method: str) -> None:
        """See `inside.refused`."""
        await inside.refused(self.engine, who, method)

    def inside(self, pid: int) -> tuple[str, str, int] | None:
        """See `inside.attempt_of`."""
        return inside.attempt_of(self.engine, pid)

    # --- the daemon ---------------------------------------------------------------------------------

    async def info(self) -> Result:
        """Versions, counts and places."""
        return info(self.engine)

    async def stop(self, *, halt: bool) -> None:
        """Remembers how the daemon is to end; the application ends it."""
        self._halt = halt

    async def hand_over(self) -> None:
        """Takes no more work and leaves the supervisors running; after `stop(halt=True)` it ends the attempts first."""
        if self._halt:
            await self.engine.end_attempts()
        if not self.engine.writer.read_only:
            await self.engine.hand_over("stop" if self._halt else "handover")


def _require_task(session: Session, task: str) -> None:
    if task not in session.tasks:
        raise MarathonError(NO_TASK, session=session.id, task=task, suggestion=nearest(task, session.tasks))


def _broken_summary(session_id: str) -> Result:
    return {
        "session_id": session_id, "name": "", "state": "quarantined", "repo": None, "created_at": None, "due_at": None,
        "tasks_done": 0, "tasks_total": 0, "branch": None,
    }  # fmt: skip
