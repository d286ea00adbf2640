"""Repositories and workspaces that are in use: opened once, given back when a session rests or ends."""

from pathlib import Path
from weakref import WeakValueDictionary

import anyio

from marathond.domain.session import Session
from marathond.places import Places
from marathond.workspace.isolation import Workspace
from marathond.workspace.opening import open_workspace
from marathond.workspace.repository import Repository


class Rooms:
    """The folders that sessions work in."""

    def __init__(self, places: Places) -> None:
        self._places = places
        self._repositories: dict[str, Repository] = {}
        self._workspaces: dict[str, dict[str, Workspace]] = {}
        self._tidying: WeakValueDictionary[str, anyio.Lock] = WeakValueDictionary()
        self._released = anyio.Event()

    def tidying(self, session_id: str) -> anyio.Lock:
        """Held while what a session used is given back, and taken before it is reopened: never both at once."""
        return self._tidying.setdefault(session_id, anyio.Lock())

    async def repository(self, session: Session) -> Repository:
        """The session's repository. Raises NO_REPOSITORY when it is gone."""
        known = self._repositories.get(session.repo)
        if known is None or not known.common_dir.is_dir():
            known = self._repositories[session.repo] = await Repository.open(Path(session.repo), self._places.state)
        return known

    async def workspace(self, session: Session, task: str) -> Workspace:
        """The workspace of a task, not necessarily made yet."""
        mine = self._workspaces.setdefault(session.id, {})
        if task not in mine:
            repository = await self.repository(session)
            isolation = session.plan.contract.workspace.isolation
            mine[task] = open_workspace(isolation, repository, self._places, session.id, task)
        return mine[task]

    def release(self, session_id: str) -> None:
        """Gives back what the session held, such as the lease on the user's checkout."""
        for workspace in self._workspaces.pop(session_id, {}).values():
            workspace.release()
        self._released.set()
        self._released = anyio.Event()

    async def released(self) -> None:
        """Returns when a session has given something back."""
        await self._released.wait()
