"""`RunChecks`: the checks of a task, run by the daemon on the candidate, each under a supervisor of its own.

All of them run, also after one has failed: the next attempt is told just what still fails. Each command finds the files of the
candidate's commit, whatever the one before it did to them. A check that a crash cut off is found again by its folder: it is
followed if it lives; if it was lost, or ended by a halt, it is run anew.
"""

import logging
from itertools import count
from pathlib import Path

import anyio
import anyio.to_thread

from marathond.attempt import lifecycle
from marathond.attempt.job import Job
from marathond.attempt.lifecycle import Absent, Alive, Ended, LaunchFailed, Lost
from marathond.attempt.processes import ATTEMPT_MARKER
from marathond.domain import entries as e
from marathond.domain.contract import FileCheck, RunCheck
from marathond.domain.effects import RunChecks
from marathond.domain.limits import STOP_GRACE_MS
from marathond.domain.session import Session
from marathond.engine.conclude import gather
from marathond.engine.effects.attempts import folder, follow
from marathond.engine.effects.troubles import may_pass, told
from marathond.engine.engine import Engine, Handle
from marathond.engine.environment import check_environment, forbidden_in, secrets_of
from marathond.engine.prepare import room_at
from marathond.validation.file_check import judge_file
from marathond.workspace.call import ended_by
from marathond.workspace.git import GitError

log = logging.getLogger(__name__)

_LOST_MAX = 3


async def run_checks(engine: Engine, session: Session, effect: RunChecks, handle: Handle) -> None:
    """Runs what has no result yet, in order, and records each result as it comes.

    A check that cannot be run, as where the candidate cannot be checked out, is tried again a few times and then has failed.
    """
    attempt = session.tasks[effect.task].attempt
    assert attempt is not None
    for index in effect.indexes:
        if handle.stop.is_set():
            return
        if index in attempt.checks:
            continue  # at an earlier try of this effect
        result: e.CheckFinished | None
        try:
            with ended_by(handle.stop):
                result = await _judge(engine, session, effect, index, handle)
        except (GitError, LaunchFailed, OSError) as error:
            if handle.stop.is_set() or may_pass(error, handle.tries):
                raise
            detail = await told(engine, session, effect.task, f"it cannot be run: {error}")
            result = e.CheckFinished(
                task=effect.task, attempt=effect.attempt, commit=effect.commit, index=index, ok=False, detail=detail
            )
        if result is not None:
            await engine.append(session.id, result)


async def _judge(
    engine: Engine, session: Session, effect: RunChecks, index: int, handle: Handle
) -> e.CheckFinished | None:
    check = session.plan.tasks[effect.task].checks[index]
    if isinstance(check, FileCheck):
        return await _judge_file(engine, session, effect, index, check)
    return await _run(engine, session, effect, index, check, handle)


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
    lost = 0
    for number in count():
        where = _place(engine, session, effect, index, number)
        found = await _perform(engine, session, effect, index, check, where, handle)
        if isinstance(found, Lost):
            lost += 1
            log.warning("session %s: check %d of %s was lost: %s", session.id, index, effect.task, found.why)
            if lost == _LOST_MAX:
                break
        elif found.exit.cause != "stopped":
            return await _result(engine, effect, index, found, where)
        elif handle.stop.is_set():
            return None
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
        forbidden = await forbidden_in(engine, session)
        workspace, _ = await room_at(engine, session, effect.task, effect.commit, forbidden)
        await workspace.checkout(effect.commit, engine.clock.wall(), forbidden)
        attempt_id = f"{session.id}/{effect.task}/{effect.attempt}"
        extra = {"PWD": str(workspace.path), ATTEMPT_MARKER: attempt_id}
        seen = await check_environment(engine, session, spec, extra)
        # the agent may have left its keys where a check finds and prints them
        secrets = {**seen.secrets, **await secrets_of(engine, session, spec)}
        job = Job(
            id=f"{attempt_id}/{where.name}", argv=("/bin/sh", "-c", check.run), cwd=str(workspace.path),
            timeout_ms=check.timeout_ms,
        )  # fmt: skip
        try:
            started = await lifecycle.launch(where, job, env=seen.values, secrets=secrets)
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
