"""The values of environment variables that a session's attempts may see.

They may be secrets, so they are in no entry, no blob and no log: only in one file per unfinished session that only its
owner may read, removed when the session ends. Blocking: async callers use a thread.
"""

import json
from collections.abc import Collection, Mapping
from pathlib import Path

from marathond.domain.errors import PARTIAL_ARTIFACTS, MarathonError
from marathond.store.files import make_folder, remove_durably, sweep_temporaries, write_durably


class Environment(dict[str, str]):
    """Names and values. Shown by its names alone."""

    def __repr__(self) -> str:
        return f"Environment({', '.join(sorted(self))})"

    __str__ = __repr__


class Environments:
    """The environment files in one folder."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def write(self, session: str, values: Mapping[str, str]) -> None:
        """Stores a session's values durably, in place of the earlier ones. Raises OSError."""
        make_folder(self._root)
        # The standard library's JSON carries values that are no UTF-8 (as lone surrogates), and so may an environment.
        write_durably(self.path(session), json.dumps(dict(values), sort_keys=True).encode())

    def read(self, session: str) -> Environment:
        """A session's values; empty when none are stored. Raises PARTIAL_ARTIFACTS for a file that cannot be read."""
        try:
            values = json.loads(self.path(session).read_bytes())
            if not isinstance(values, dict) or not all(isinstance(value, str) for value in values.values()):
                raise ValueError("not an object of strings")
            return Environment(values)
        except FileNotFoundError:
            return Environment()
        except (OSError, ValueError, RecursionError) as error:
            # The error's own text may quote the content, so it is left out.
            reason = f"its environment file cannot be read ({type(error).__name__})"
            raise MarathonError(PARTIAL_ARTIFACTS, session=session, reason=reason) from None

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
