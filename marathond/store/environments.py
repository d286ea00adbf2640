"""The values of environment variables that a session's attempts may see.

They may be secrets, so they are in no entry, no blob and no log: only in one file per unfinished session that only its
owner may read, removed when the session ends. With them lie the secrets that a refresh replaced, since what was written before
may still hold them. Blocking: async callers use a thread.
"""

import json
from collections.abc import Collection, Mapping, Sequence
from itertools import chain
from pathlib import Path

from marathond.domain.errors import ENVIRONMENT_UNREADABLE, MarathonError
from marathond.store.files import make_folder, remove_durably, sweep_temporaries, write_durably


class Environment(dict[str, str]):
    """Names and values. Shown by its names alone.

    `formerly` are secrets that variables held earlier in the session, by name and oldest first. Nobody is handed them any more.
    """

    def __init__(self, values: Mapping[str, str] = {}, formerly: Mapping[str, Sequence[str]] = {}) -> None:
        super().__init__(values)
        self.formerly = {name: tuple(old) for name, old in formerly.items()}

    def __repr__(self) -> str:
        return f"Environment({', '.join(sorted(self))})"

    __str__ = __repr__


class Environments:
    """The environment files in one folder."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def write(self, session: str, environment: Environment) -> None:
        """Stores a session's values durably, in place of the earlier ones. Raises OSError."""
        make_folder(self._root)
        stored = {"values": dict(environment), "formerly": environment.formerly}
        # The standard library's JSON carries values that are no UTF-8 (as lone surrogates), and so may an environment.
        write_durably(self.path(session), json.dumps(stored, sort_keys=True).encode())

    def read(self, session: str) -> Environment:
        """A session's values; empty when none are stored. Raises ENVIRONMENT_UNREADABLE for a file that cannot be read."""
        try:
            stored = json.loads(self.path(session).read_bytes())
            values, formerly = stored["values"], stored["formerly"]
            if not all(isinstance(value, str) for value in (*values.values(), *chain(*formerly.values()))):
                raise TypeError("not an object of strings")
            return Environment(values, formerly)
        except FileNotFoundError:
            return Environment()
        except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
            # The error's own text may quote the content, so it is left out.
            reason = f"its file is damaged ({type(error).__name__})"
            raise MarathonError(ENVIRONMENT_UNREADABLE, session=session, reason=reason) from None

    def remove(self, session: str) -> None:
        """Forgets a session's values for good. Raises OSError."""
        remove_durably(self.path(session))

    def keep_only(self, sessions: Collection[str]) -> None:
        """Forgets the values of all other sessions, and what a crash left half-written. Nobody may be writing. Raises OSError."""
        if not self._root.is_dir():
            return
        sweep_temporaries(self._root)
        for path in self._root.glob("*.json"):
            if path.stem not in sessions:
                remove_durably(path)

    def path(self, session: str) -> Path:
        """The session's file, whether or not it is there."""
        return self._root / f"{session}.json"
