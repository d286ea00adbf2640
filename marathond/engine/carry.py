"""What a session takes over from an earlier one: the newest checkpoint that verifies, and the tasks that it holds.

The earlier session may be one that the gate refuses, so no more of it is believed than can be proven: the part of its chain that
is intact, checkpoints whose objects hash to what is recorded there, a contract that hashes to what was frozen. Its refs are
not asked: they may be what somebody has moved.
"""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

import anyio.to_thread

from marathond.domain import entries as e
from marathond.domain.contract import Contract, thaw
from marathond.domain.contract import Task as Spec
from marathond.domain.errors import PARTIAL_ARTIFACTS, REFUSED_BY_STATE, MarathonError
from marathond.engine.engine import Engine
from marathond.engine.sessions import resolve
from marathond.store.artifacts import SessionArtifacts, inspect_session
from marathond.store.rows import to_entry
from marathond.workspace.proof import verify_checkpoint
from marathond.workspace.repository import Repository

_PAGE = 1000


class Carried(NamedTuple):
    """Where a session begins: its base, its tip, and what it takes over from an earlier one: tasks, and their final words by task."""

    base: str
    tip: str
    session: str | None
    tasks: list[str]
    texts: Mapping[str, str]


async def carry(engine: Engine, from_session: str, contract: Contract, repository: Repository) -> Carried:
    """What `contract` takes over from a session, in `repository`.

    A task is carried when the new contract says the same about it and about all that it needs. Raises NO_SESSION,
    PARTIAL_ARTIFACTS, and REFUSED_BY_STATE when no checkpoint verifies.
    """
    session_id = await resolve(engine, from_session, None)
    artifacts = await anyio.to_thread.run_sync(inspect_session, engine.places, session_id)
    bodies = await _proven(engine, artifacts)
    created = bodies[0] if bodies else None
    if not isinstance(created, e.SessionCreated):
        raise MarathonError(PARTIAL_ARTIFACTS, session=session_id, reason="its first entry is not what was written")
    checkpoints = [body for body in bodies if isinstance(body, e.CheckpointCommitted)]
    kept = await _newest_sound(engine, session_id, repository, created, checkpoints)
    more = (task for body in bodies if isinstance(body, e.SessionCarried) for task in body.tasks)
    held = {*created.carried_tasks, *more, *(checkpoint.task for checkpoint in checkpoints[:kept])}
    tip = checkpoints[kept - 1].commit if kept else created.tip
    told = await _told(engine, artifacts)
    texts = {body.task: body.text for body in bodies if isinstance(body, e.TaskDone) and body.text}
    return Carried(created.base, tip, session_id, _same(contract, told, held), texts)


async def _proven(engine: Engine, artifacts: SessionArtifacts) -> list[e.Body]:
    """The bodies of the entries before the first bad one."""
    bad = min((problem.n for problem in artifacts.chain if problem.n is not None), default=None)
    bodies: list[e.Body] = []
    after = 0
    while rows := await engine.readers.rows(after, _PAGE, e.session_stream(artifacts.session)):
        for row in rows:
            if bad is not None and len(bodies) + 1 >= bad:
                return bodies
            bodies.append(to_entry(row).body)
        after = rows[-1].seq
    return bodies


async def _newest_sound(
    engine: Engine,
    session_id: str,
    repository: Repository,
    created: e.SessionCreated,
    checkpoints: list[e.CheckpointCommitted],
) -> int:
    """How many checkpoints are kept, up to the newest that verifies; without any, the commit it began with must verify."""
    problems: list[str] = []
    for number in range(len(checkpoints), 0, -1):
        found = await _problems(engine, repository, checkpoints[number - 1])
        if not found:
            return number
        problems = problems or found
    if not checkpoints:
        problems = await verify_checkpoint(repository, None, created.tip)
    if problems:
        raise MarathonError(
            REFUSED_BY_STATE, session=session_id, state="unsound", reason="; ".join(problems[:3]),
            hint="Only a checkpoint that verifies can be carried into a new session.",
        )  # fmt: skip
    return 0


async def _problems(engine: Engine, repository: Repository, checkpoint: e.CheckpointCommitted) -> list[str]:
    try:
        listed = await anyio.to_thread.run_sync(engine.blobs.get, checkpoint.blobs)
    except MarathonError as error:
        return [error.message]
    return await verify_checkpoint(repository, None, checkpoint.commit, listed)


async def _told(engine: Engine, artifacts: SessionArtifacts) -> dict[str, Spec]:
    """The old contract's tasks, which no revision changes; none when no revision is what was frozen."""
    unsound = {problem.revision for problem in artifacts.contracts}
    for row in await engine.readers.contracts(artifacts.session):
        if row.revision not in unsound:
            return {task.id: task for task in thaw(row.record).contract.tasks}
    return {}


def _same(contract: Contract, told: dict[str, Spec], held: Iterable[str]) -> list[str]:
    specs = {task.id: task for task in contract.tasks}
    carried = {i for i in held if i in specs and told.get(i) == specs[i]}
    while broken := {i for i in carried if not carried.issuperset(specs[i].needs)}:
        carried -= broken
    return [task.id for task in contract.tasks if task.id in carried]
