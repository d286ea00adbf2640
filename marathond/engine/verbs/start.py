"""`start`: a contract is frozen and a session exists, once per key."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from random import SystemRandom
from typing import Any

import anyio.to_thread

from marathond.agents.launch import consent_needed
from marathond.domain import entries as e
from marathond.domain.contract import Contract, Frozen
from marathond.domain.errors import (
    CONSENT_NEEDED,
    DIRTY_CHECKOUT,
    KEY_MISMATCH,
    MarathonError,
)
from marathond.domain.session import Session
from marathond.engine import gate
from marathond.engine.carry import Carried, carry
from marathond.engine.engine import Engine
from marathond.engine.environment import remember
from marathond.engine.sessions import find
from marathond.planning.freeze import Planned, plan
from marathond.planning.source import Source, from_object, read_source
from marathond.store.rows import ContractRow
from marathond.store.writer import Change
from marathond.workspace.refs import begin_ref
from marathond.workspace.repository import Repository

CARRIED_NAMED_MAX = 1000
"""Tasks named in one entry: with ids of 64 characters a quarter of what it may hold."""

_ALPHABET = "0123456789abcdefghijklmnopqrstuvwxyz"


def new_session_id(random: SystemRandom) -> str:
    """Twelve characters, the first a letter: 61 bits, so that two boxes' sessions do not meet."""
    return random.choice(_ALPHABET[10:]) + "".join(random.choice(_ALPHABET) for _ in range(11))


def source_of(path: str | None, contract: Mapping[str, Any] | None, root: str | None) -> Source:
    """What the client sent, as a source to plan from."""
    if contract is not None:
        return from_object(contract, root=Path(root or "/"))
    return read_source(Path(path or ""))


async def planned(engine: Engine, source: Source, *, allow_secrets: bool) -> Planned:
    """Plans a source off the loop: it reads files and asks git. Raises CONTRACT_INVALID."""
    registry = await anyio.to_thread.run_sync(engine.agents)
    now = engine.clock.wall()
    return await anyio.to_thread.run_sync(
        lambda: plan(
            source, agents=registry.names(), wrong_agents=registry.wrong(), allow_secrets=allow_secrets, now=now
        )
    )


async def start(
    engine: Engine,
    *,
    path: str | None,
    contract: Mapping[str, Any] | None,
    root: str | None,
    env: Mapping[str, str] | None,
    key: str | None,
    unsandboxed: bool,
    allow_secrets: bool,
    from_session: str | None,
) -> dict[str, Any]:
    """See `session/start` in docs/protocol.md."""
    source = await anyio.to_thread.run_sync(source_of, path, contract, root)
    ready = await planned(engine, source, allow_secrets=allow_secrets)
    frozen, warnings = ready.frozen, list(ready.warnings)
    if key is not None and (known := await engine.readers.session_by_key(key)) is not None:
        return await _again(engine, known, key, frozen, warnings)
    consent = unsandboxed or engine.config.unsandboxed
    await _check_consent(engine, frozen.contract, consent=consent)
    repository = await Repository.open(ready.repo, engine.places.state)
    await _check_checkout(ready, repository)
    carried = Carried(ready.base, ready.base, None, [], {})
    if from_session is not None:
        carried = await carry(engine, from_session, frozen.contract, repository)
    session = new_session_id(SystemRandom())
    # values first: a session without its environment could not go on after a crash in between
    await remember(engine, session, frozen.contract, env)
    created = e.SessionCreated(
        session=session,
        name=frozen.contract.name,
        contract=frozen.hash,
        repo=str(ready.repo),
        base=carried.base,
        tip=carried.tip,
        object_format="sha256" if len(carried.base) == 64 else "sha1",
        key=key,
        carried_from=carried.session,
        carried_tasks=carried.tasks[:CARRIED_NAMED_MAX],
        unsandboxed=consent,
        version=engine.version,
    )
    # and the commit it begins with: nobody's branch may hold it any more, long before there is a checkpoint
    await repository.update_refs([(begin_ref(session), carried.tip, "")])
    try:
        entries = await engine.writer.submit(lambda: _creation(engine, created, frozen, carried))
    except MarathonError:
        await _undo(engine, created, repository)
        raise
    first = entries[0].body if entries else None
    if not isinstance(first, e.SessionCreated):  # another client was first with this key
        await _forget(engine, created, repository)
        return await _again(engine, engine.keys[key or ""], key or "", frozen, warnings)
    return _result(session, f"{session}.1", frozen, created=True, warnings=warnings)


def _creation(engine: Engine, created: e.SessionCreated, frozen: Frozen, carried: Carried) -> Change:
    """The first entries of a session and its contract; nothing when its key is already taken."""
    if created.key is not None and created.key in engine.keys:
        return Change(drafts=[])
    if created.key is not None:
        engine.keys[created.key] = created.session
    engine.kernel.learn(frozen)
    stream = e.session_stream(created.session)
    drafts = [e.Draft(stream, body) for body in first_entries(created, carried, engine.boot_id)]
    return Change(drafts=drafts, contracts=[ContractRow(created.session, 1, frozen.text, frozen.hash)])


def first_entries(created: e.SessionCreated, carried: Carried, boot_id: str) -> list[e.Body]:
    """With what a session begins: its creation, the tasks it carries and their final words, its gate and its first run."""
    run = f"{created.session}.1"
    return [
        created,
        *(e.SessionCarried(tasks=more) for more in _pages(carried.tasks[CARRIED_NAMED_MAX:])),
        *(e.TaskDone(task=task, text=carried.texts[task]) for task in carried.tasks if task in carried.texts),
        e.GatePassed(run=run, points=gate.at_start(created)),
        e.RunStarted(run=run, reason="start", boot_id=boot_id),
    ]


def _pages(tasks: list[str]) -> Iterator[list[str]]:
    """So many tasks at a time as one entry has room for."""
    return (tasks[at : at + CARRIED_NAMED_MAX] for at in range(0, len(tasks), CARRIED_NAMED_MAX))


async def _undo(engine: Engine, created: e.SessionCreated, repository: Repository) -> None:
    """The session was not recorded: its key is free again, and nothing of it stays."""
    if engine.keys.get(created.key or "") == created.session:
        del engine.keys[created.key or ""]
    await _forget(engine, created, repository)


async def _forget(engine: Engine, created: e.SessionCreated, repository: Repository) -> None:
    await anyio.to_thread.run_sync(engine.environments.remove, created.session)
    await repository.update_refs([(begin_ref(created.session), repository.zero, "")])


async def _again(engine: Engine, session_id: str, key: str, frozen: Frozen, warnings: list[str]) -> dict[str, Any]:
    session = await find(engine, session_id)
    rows = await engine.readers.contracts(session_id)
    if rows and rows[0].hash != frozen.hash:
        raise MarathonError(KEY_MISMATCH, key=key, session=session_id)
    run = session.run.id if isinstance(session, Session) and session.run else f"{session_id}.1"
    return _result(session_id, run, frozen, created=False, warnings=warnings)


def _result(session: str, run: str, frozen: Frozen, *, created: bool, warnings: list[str]) -> dict[str, Any]:
    return {
        "session_id": session,
        "run_id": run,
        "contract_hash": frozen.hash,
        "name": frozen.contract.name,
        "created": created,
        "warnings": warnings,
    }


async def _check_consent(engine: Engine, contract: Contract, *, consent: bool) -> None:
    registry = await anyio.to_thread.run_sync(engine.agents)
    for name in dict.fromkeys(task.agent for task in contract.tasks if task.prompt is not None):
        if not consent and consent_needed(registry.get(name), as_root=engine.as_root):
            raise MarathonError(CONSENT_NEEDED, agent=name)


async def _check_checkout(ready: Planned, repository: Repository) -> None:
    """`isolation = "none"` refuses a checkout with changes while that is still cheap to say."""
    if ready.frozen.contract.workspace.isolation != "none":
        return
    changes = await repository.changes()
    if changes:
        shown = ", ".join(changes[:5]) + (f" and {len(changes) - 5} more" if len(changes) > 5 else "")
        raise MarathonError(DIRTY_CHECKOUT, repo=ready.repo, files=shown)
