"""`RunChecks`: the checks of a task, run by the daemon on the candidate, each under a supervisor of its own.

All of them run, also after one has failed: the next attempt is told just what still fails. A check that a crash cut off is
found again by its folder: it is followed if it lives and run anew if it was lost.
"""

import logging
from pathlib import Path

import anyio
import anyio.to_thread

from marathond.attempt import lifecycle
from marathond.attempt.job import Job
from marathond.attempt.lifecycle import Absent, Alive, Ended, LaunchFailed, Lost
from marathond.domain import entries as e
from marathond.domain.contract import FileCheck, RunCheck
from marathond.domain.effects import RunChecks
from marathond.domain.limits import STOP_GRACE_MS
from marathond.domain.session import Session
from marathond.engine.conclude import gather
from marathond.engine.effects.attempts import folder, follow
from marathond.engine.engine import Engine, Handle
from marathond.engine.environment import check_environment
from marathond.engine.prepare import MARKER
from marathond.validation.file_check import judge_file

log = logging.getLogger(__name__)

_LOST_MAX = 3


async def run_checks(engine: Engine, session: Session, effect: RunChecks, handle: Handle) -> None:
    """Runs what has no result yet, in order, and records each result as it comes."""
    spec = session.plan.tasks[effect.task]
    commands = [i for i in effect.indexes if isinstance(spec.checks[i], RunCheck)]
    if commands and not await _in_flight(engine, session, effect, commands):
        workspace = await engine.rooms.workspace(session, effect.task)
        await workspace.checkout(effect.commit, engine.clock.wall())
    for index in effect.indexes:
        if handle.stop.is_set():
            return
        check = spec.checks[index]
        result: e.CheckFinished | None
        if isinstance(check, FileCheck):
            result = await _judge_file(engine, session, effect, index, check)
        else:
            result = await _run(engine, session, effect, index, check, handle)
        if result is not None:
            await engine.append(session.id, result)


async def _in_flight(engine: Engine, session: Session, effect: RunChecks, indexes: list[int]) -> bool:
    """Whether a check that an earlier daemon started still lives: then the tree is not touched."""
    for index in indexes:
        for number in range(_LOST_MAX):
            found = await lifecycle.recover(_place(engine, session, effect, index, number))
            if isinstance(found, Alive):
                return True
    return False


def _place(engine: Engine, session: Session, effect: RunChecks, index: int, number: int) -> Path:
    name = f"check-{index}-{effect.commit[:12]}" + (f".{number}" if number else "")
    return folder(engine, session.id, effect.task, effect.attempt) / name


async def _judge_file(
    engine: Engine, session: Session, effect: RunChecks, index: int, check: FileCheck
) -> e.CheckFinished:
    attempt = session.tasks[effect.task].attempt
    assert attempt is not None
    assert attempt.candidate is not None
    repository = await engine.rooms.repository(session)
    ok, detail = await judge_file(repository, check, effect.commit, attempt.candidate.parent)
    return e.CheckFinished(
        task=effect.task, attempt=effect.attempt, commit=effect.commit, index=index, ok=ok, detail=detail
    )


async def _run(
    engine: Engine, session: Session, effect: RunChecks, index: int, check: RunCheck, handle: Handle
) -> e.CheckFinished | None:
    """One command check; None when it was stopped."""
    for number in range(_LOST_MAX):
        where = _place(engine, session, effect, index, number)
        found = await _perform(engine, session, effect, index, check, where, handle)
        if isinstance(found, Lost):
            log.warning("session %s: check %d of %s was lost: %s", session.id, index, effect.task, found.why)
            continue
        if handle.stop.is_set() and found.exit.cause == "stopped":
            return None
        return await _result(engine, effect, index, found, where)
    detail = f"its process died without a result, {_LOST_MAX} times"
    return e.CheckFinished(
        task=effect.task, attempt=effect.attempt, commit=effect.commit, index=index, ok=False, detail=detail
    )


async def _perform(
    engine: Engine, session: Session, effect: RunChecks, index: int, check: RunCheck, where: Path, handle: Handle
) -> Ended | Lost:
    found = await lifecycle.recover(where)
    if isinstance(found, Absent):
        spec = session.plan.tasks[effect.task]
        workspace = await engine.rooms.workspace(session, effect.task)
        attempt_id = f"{session.id}/{effect.task}/{effect.attempt}"
        extra = {"PWD": str(workspace.path), MARKER: attempt_id}
        seen = await check_environment(engine, session, spec, extra)
        job = Job(
            id=f"{attempt_id}/{where.name}", argv=("/bin/sh", "-c", check.run), cwd=str(workspace.path),
            timeout_ms=check.timeout_ms,
        )  # fmt: skip
        try:
            started = await lifecycle.launch(where, job, env=seen.values, secrets=seen.secrets)
        except LaunchFailed:
            found = await anyio.to_thread.run_sync(lifecycle.inspect, where)
            if isinstance(found, Absent):
                raise
        else:
            return await follow(where, started, job.grace_ms, handle)
    if isinstance(found, Alive):
        return await follow(where, found.started, STOP_GRACE_MS, handle)
    assert isinstance(found, Ended | Lost)
    return found


async def _result(engine: Engine, effect: RunChecks, index: int, found: Ended, where: Path) -> e.CheckFinished:
    exit_ = found.exit
    output = await anyio.to_thread.run_sync(gather, where)
    blob = await anyio.to_thread.run_sync(engine.blobs.put, output) if output else None
    return e.CheckFinished(
        task=effect.task, attempt=effect.attempt, commit=effect.commit, index=index,
        ok=exit_.cause == "exit" and exit_.exit_code == 0, detail=_detail(found), exit_code=exit_.exit_code,
        elapsed_ms=exit_.elapsed_ms, output=blob,
    )  # fmt: skip


def _detail(found: Ended) -> str:
    exit_ = found.exit
    if exit_.cause == "timeout":
        return f"did not end within {exit_.elapsed_ms // 1000} s"
    if exit_.cause != "exit":
        return exit_.detail or exit_.cause
    return f"killed by signal {exit_.signal}" if exit_.signal is not None else f"exit {exit_.exit_code}"
