"""The agents' profiles, read again only when a file of them changed, and the versions of the agents that were run."""

from collections.abc import Mapping
from pathlib import Path

from marathond.agents import launch, registry
from marathond.agents.profile import Profile
from marathond.agents.registry import Registry

_Stamp = tuple[tuple[str, int, int], ...]


class Shelf:
    """Called, it gives the registry as it is on disk now."""

    def __init__(self, config: Path) -> None:
        self._config = config
        self._stamp: _Stamp | None = None
        self._registry: Registry | None = None
        self._versions: dict[tuple[str, int], str | None] = {}

    def __call__(self) -> Registry:
        """The profiles. Blocks for some file look-ups."""
        stamp = self._look()
        if self._registry is None or stamp != self._stamp:
            self._registry, self._stamp = registry.load(self._config), stamp
        return self._registry

    def _look(self) -> _Stamp:
        files = sorted((self._config / "agents").glob("*.toml"))
        return tuple((str(f), f.stat().st_mtime_ns, f.stat().st_size) for f in files)

    def version_of(self, profile: Profile, env: Mapping[str, str]) -> str | None:
        """What the agent says its version is; asked once per executable, since asking may take half a second."""
        program = launch.find(profile, env.get("PATH", ""))
        if program is None or not profile.version:
            return None
        key = (program, Path(program).stat().st_mtime_ns)
        if key not in self._versions:
            self._versions[key] = launch.read_version(profile, env)
        return self._versions[key]
