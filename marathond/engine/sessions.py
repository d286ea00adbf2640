"""Finding sessions: by id, by a unique prefix, or as the newest one of the folder a client stands in."""

from pathlib import Path
from typing import NamedTuple

from marathond.domain.contract import Frozen, thaw
from marathond.domain.entries import SessionCreated, session_stream
from marathond.domain.errors import AMBIGUOUS_SESSION, NO_SESSION, PARTIAL_ARTIFACTS, MarathonError
from marathond.domain.evolve import FoldError
from marathond.domain.limits import ENDED_SESSIONS_KEPT
from marathond.domain.session import Session
from marathond.engine.engine import Engine
from marathond.engine.kernel import Broken
from marathond.store.rows import EntryUnreadableError, to_entry

_PAGE = 2000


async def known(engine: Engine) -> list[str]:
    """The ids of all sessions, in the order in which they were created."""
    return [span.session for span in await engine.readers.sessions()]


async def resolve(engine: Engine, session: str | None, cwd: str | None) -> str:
    """The id that is meant. Raises NO_SESSION or AMBIGUOUS_SESSION."""
    if session:
        if session in engine.kernel.sessions:
            return session
        matches = [i for i in await known(engine) if i.startswith(session)] or await _only_contract(engine, session)
        if not matches:
            raise MarathonError(NO_SESSION, session=repr(session))
        if len(matches) > 1:
            raise MarathonError(AMBIGUOUS_SESSION, prefix=session, matches=", ".join(matches[:5]))
        return matches[0]
    return await _newest_of(engine, cwd)


async def _only_contract(engine: Engine, session: str) -> list[str]:
    """A session of which only the contract is left still has an id that can be asked about."""
    return [session] if await engine.readers.contracts(session) else []


async def _newest_of(engine: Engine, cwd: str | None) -> str:
    for session_id in reversed(await known(engine)):
        born = await birth(engine, session_id)
        if born is None or not (cwd is None or inside(cwd, born.repo)):
            continue
        if isinstance(await find(engine, session_id), Session):
            return session_id
    where = f"of the repository that holds {cwd}" if cwd else "yet"
    raise MarathonError(NO_SESSION, session=where)


class Birth(NamedTuple):
    """What never changes about a session: its repository, and when it was created, in microseconds since the epoch."""

    repo: str
    created: int


async def birth(engine: Engine, session_id: str) -> Birth | None:
    """Where and when a session began, without folding it; None when its first entry cannot be read."""
    session = engine.kernel.sessions.get(session_id)
    if session is not None:
        return Birth(session.repo, session.created)
    try:
        for row in await engine.readers.rows(0, 1, session_stream(session_id)):
            entry = to_entry(row)
            if isinstance(entry.body, SessionCreated):
                return Birth(entry.body.repo, entry.wall)
    except EntryUnreadableError:
        pass  # a broken session; whoever needs more of it finds out why
    return None


def inside(cwd: str, repo: str) -> bool:
    """Whether a folder is a repository's top folder or below it."""
    here, there = Path(cwd).resolve(), Path(repo).resolve()
    return here == there or there in here.parents


async def find(engine: Engine, session_id: str) -> Session | Broken:
    """A session's state; ended ones are folded when they are asked for. Broken when its entries make no sense."""
    kernel = engine.kernel
    if session_id in kernel.sessions:
        return kernel.sessions[session_id]
    if session_id in kernel.broken:
        return kernel.broken[session_id]
    return await load(engine, session_id)


async def get(engine: Engine, session: str | None, cwd: str | None) -> Session:
    """The state of the session that is meant. Raises NO_SESSION, AMBIGUOUS_SESSION, or PARTIAL_ARTIFACTS for a broken one."""
    session_id = await resolve(engine, session, cwd)
    found = await find(engine, session_id)
    if isinstance(found, Broken):
        raise MarathonError(PARTIAL_ARTIFACTS, session=session_id, reason=found.what)
    return found


async def load(engine: Engine, session_id: str) -> Session | Broken:
    """Folds a session from the ledger into the kernel."""
    kernel, readers = engine.kernel, engine.readers
    try:
        for row in await readers.contracts(session_id):
            frozen = _thaw(row.record)
            if frozen is not None:
                kernel.learn(frozen)
        entries, after = [], 0
        while rows := await readers.rows(after, _PAGE, session_stream(session_id)):
            entries += [to_entry(row) for row in rows]
            after = rows[-1].seq
        session = kernel.load(entries)
    except (FoldError, EntryUnreadableError) as error:
        session, what = None, f"its entries cannot be read ({error})"
    else:
        what = "it has no entries"
    if session is None:
        broken = kernel.broken[session_id] = Broken(session_id, what)
        return broken
    kernel.broken.pop(session_id, None)
    if session.end is not None:
        _forget_old(engine, session_id)
    return session


def _forget_old(engine: Engine, just_loaded: str) -> None:
    """Ended sessions are kept in memory only while they are asked for: the oldest loaded goes first."""
    ended = [s.id for s in engine.kernel.sessions.values() if s.end is not None and not engine.running(s.id)]
    for session_id in ended[: max(0, len(ended) - ENDED_SESSIONS_KEPT)]:
        if session_id != just_loaded:
            engine.kernel.forget(session_id)


def _thaw(record: bytes) -> Frozen | None:
    try:
        return thaw(record)
    except ValueError:
        return None  # a damaged row: the entry that names its hash finds no contract, and the fold says so
