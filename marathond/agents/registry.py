"""All agents that there are: the built-in profiles and the user's own.

The user's are `$MARATHON_CONFIG_DIR/agents/NAME.toml`; one with the name of a built-in takes its place. A file that is
wrong is left out and its problems are told; it never takes the others down with it.
"""

import tomllib
from pathlib import Path
from typing import Any, Final

from marathond.agents.profile import Problem, Profile, build, canonical_keys, check, is_name, merge, nearest
from marathond.domain.errors import AGENT_UNUSABLE, MarathonError

BUILT_IN_FOLDER: Final = Path(__file__).parent / "profiles"
PROFILE_BYTES_MAX: Final = 256 * 1024


class Registry:
    """Profiles by name. `problems` says what is wrong with those that were left out."""

    def __init__(self, profiles: dict[str, Profile], problems: list[Problem]) -> None:
        self._profiles = profiles
        self.problems = problems

    def get(self, name: str) -> Profile:
        """The profile called `name`. Raises `MarathonError(AGENT_UNUSABLE)`."""
        try:
            return self._profiles[name]
        except KeyError:
            wrong = self.wrong().get(name)
            near = nearest(name, self.names())
            reason = f"its profile is wrong ({wrong})" if wrong else "no profile describes it"
            hint = f"Did you mean {near!r}?" if near else f"There are {', '.join(self.names())}; see docs/agents.md."
            raise MarathonError(AGENT_UNUSABLE, agent=name, reason=reason, hint=hint) from None

    def find(self, name: str) -> Profile | None:
        """The profile called `name`, None when there is none that can be used."""
        return self._profiles.get(name)

    def names(self) -> list[str]:
        """The names of all usable profiles, sorted."""
        return sorted(self._profiles)

    def wrong(self) -> dict[str, str]:
        """What is wrong with the profiles that were left out, by name."""
        out: dict[str, list[str]] = {}
        for problem in self.problems:
            out.setdefault(Path(problem.file).stem, []).append(str(problem))
        return {name: "; ".join(texts) for name, texts in out.items() if name not in self._profiles}


def load(config: Path | None) -> Registry:
    """The built-in profiles and those in `config`/agents. Never raises for what a user wrote: see `Registry.problems`."""
    loader = _Loader(_read_folder(BUILT_IN_FOLDER, []))
    if config is not None:
        loader.own = _read_folder(config / "agents", loader.problems)
    profiles: dict[str, Profile] = {}
    for name in sorted(loader.built_in | loader.own):
        table = loader.resolve(name)
        if table is not None:
            profiles[name] = build(name, table)
    return Registry(profiles, loader.problems)


class _Loader:
    """Resolves `extends`; each name is resolved once, and its problems are told once."""

    def __init__(self, built_in: dict[str, tuple[str, dict[str, Any]]]) -> None:
        self.built_in = built_in
        self.own: dict[str, tuple[str, dict[str, Any]]] = {}
        self.problems: list[Problem] = []
        self._done: dict[str, dict[str, Any] | None] = {}

    def resolve(self, name: str, above: tuple[str, ...] = ()) -> dict[str, Any] | None:
        """The whole table of `name`, or None when it is wrong. `above` are the profiles that extend it."""
        if name not in self._done:
            self._done[name] = self._resolve(name, above)
        return self._done[name]

    def _resolve(self, name: str, above: tuple[str, ...]) -> dict[str, Any] | None:
        if name not in self.own:
            return self.built_in[name][1]
        file, table = self.own[name]
        problems = check(table, file)
        if table.get("name", name) != name:
            problems.append(Problem(file, "name", f"must be {name!r}, as the file is called", name))
        base: dict[str, Any] | None = {}
        if "extends" in table:
            base, wrong = self._base(table["extends"], file, (*above, name))
            problems += wrong
        self.problems += problems
        if problems or base is None:
            return None
        whole = merge(base, table)
        if not whole.get("command"):
            self.problems.append(Problem(file, "command", "missing: the program to start"))
            return None
        return whole

    def _base(self, extends: Any, file: str, above: tuple[str, ...]) -> tuple[dict[str, Any] | None, list[Problem]]:
        names = [*self.built_in, *self.own]
        if not isinstance(extends, str) or extends not in names:
            near = nearest(str(extends), names)
            return None, [Problem(file, "extends", f"there is no agent {extends!r} to extend", near)]
        if extends == above[-1] and extends in self.built_in:
            return self.built_in[extends][1], []
        if extends in above:
            return None, [Problem(file, "extends", f"goes round in a circle: {' → '.join((*above, extends))}")]
        base = self.resolve(extends, above)
        return base, [] if base is not None else [Problem(file, "extends", f"the profile {extends!r} is wrong itself")]


def _read_folder(folder: Path, problems: list[Problem]) -> dict[str, tuple[str, dict[str, Any]]]:
    tables = {}
    for file in sorted(folder.glob("*.toml")):
        if not is_name(file.stem):
            problems.append(
                Problem(str(file), "", "an agent's name has only a-z, 0-9, - and _, and at most 64 of them")
            )
            continue
        try:
            table = _read(file)
        except (OSError, ValueError) as error:
            problems.append(Problem(str(file), "", f"cannot be read: {error}"))
            continue
        tables[file.stem] = (str(file), canonical_keys(table))
    return tables


def _read(file: Path) -> dict[str, Any]:
    with file.open("rb") as stream:
        data = stream.read(PROFILE_BYTES_MAX + 1)
    if len(data) > PROFILE_BYTES_MAX:
        raise ValueError(f"more than {PROFILE_BYTES_MAX} bytes")
    return tomllib.loads(data.decode())
