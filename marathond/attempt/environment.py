"""The environment of attempts: from an allow-list, with a PATH on which agents are found.

Nothing is passed on because it happens to be set. An attempt sees the base set below, the names its agent's profile
passes, and those its task lists. A check sees the base set and the task's names: no provider keys.

Left out of the base set on purpose: SSH_AUTH_SOCK, GPG_AGENT_INFO and DBUS_* open doors to the user's keys and session; GIT_* would
bend every git command. A task that needs one says so in `env`.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Final

from marathond.attempt.secret_values import secret_values

BASE_NAMES: Final = (
    # who and where the user is
    "PATH", "HOME", "USER", "LOGNAME", "SHELL", "TMPDIR", "TZ", "TZDIR",
    # language and terminal
    "LANG", "LANGUAGE", "LC_*", "TERM", "COLORTERM", "NO_COLOR", "FORCE_COLOR",
    # where programs keep their files
    "XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_CACHE_HOME", "XDG_STATE_HOME", "XDG_RUNTIME_DIR", "XDG_CONFIG_DIRS", "XDG_DATA_DIRS",
    # how the network is reached and whom it trusts
    "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "all_proxy", "no_proxy",
    "SSL_CERT_FILE", "SSL_CERT_DIR", "NODE_EXTRA_CA_CERTS", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE",
    # where tool chains live
    "VIRTUAL_ENV", "CONDA_PREFIX", "PYENV_ROOT", "NVM_DIR", "VOLTA_HOME", "BUN_INSTALL", "PNPM_HOME", "CARGO_HOME", "RUSTUP_HOME",
    "GOPATH", "GOROOT", "GOCACHE", "JAVA_HOME", "ANDROID_HOME", "SDKMAN_DIR", "GEM_HOME", "NIX_PATH", "LD_LIBRARY_PATH",
)  # fmt: skip
"""Names and globs that every attempt and check may see."""

_SYSTEM_PATH: Final = ("/usr/local/bin", "/usr/bin", "/bin")
_HOME_PATHS: Final = (
    ".local/bin", "bin", ".claude/local", ".npm-global/bin", ".volta/bin", ".bun/bin", ".deno/bin", ".cargo/bin",
    ".local/share/pnpm", ".local/share/mise/shims", ".asdf/shims", ".pyenv/shims", "go/bin",
)  # fmt: skip
_VERSION: Final = re.compile(r"v?(\d+)(?:\.(\d+))?(?:\.(\d+))?")
_ALIASES_FOLLOWED_MAX: Final = 5


@dataclass(frozen=True)
class AttemptEnvironment:
    """The variables of an attempt, and those of them whose values must be kept out of everything it prints."""

    values: Mapping[str, str] = field(repr=False)
    secrets: Mapping[str, str] = field(repr=False)

    @property
    def names(self) -> list[str]:
        """The names alone, sorted: what may be recorded."""
        return sorted(self.values)


def choose(
    source: Mapping[str, str],
    *,
    profile_names: Iterable[str] = (),
    task_names: Iterable[str] = (),
    secret_names: Iterable[str] = (),
    extra: Mapping[str, str] | None = None,
) -> AttemptEnvironment:
    """What of `source` an attempt may see, with its PATH completed.

    `profile_names` and `task_names` are names or globs; `secret_names` (the profile's `secret_env`) are secret whatever they are called.
    `extra` is added as it is, over everything else.
    """
    patterns = (*BASE_NAMES, *profile_names, *task_names)
    values = {name: value for name, value in source.items() if any(fnmatchcase(name, p) for p in patterns)}
    values["PATH"] = complete_path(source)
    values.update(extra or {})
    return AttemptEnvironment(values, secret_values(values, secret_names))


def complete_path(source: Mapping[str, str]) -> str:
    """The PATH of `source` and after it, if they exist, the folders where users have their agents installed.

    A daemon that systemd starts has not read the user's shell start-up files, so `~/.local/bin` and the Node.js that nvm would choose
    are missing from its PATH. The user's own order is kept.
    """
    entries = [entry for entry in source.get("PATH", "").split(":") if entry]
    found: list[Path] = []
    if home := source.get("HOME"):
        found += [Path(home) / folder for folder in _HOME_PATHS]
        nvm = Path(source.get("NVM_DIR") or Path(home) / ".nvm")
        if not any(Path(entry).is_relative_to(nvm) for entry in entries) and (node := nvm_node_bin(nvm)):
            found.append(node)
    found += map(Path, _SYSTEM_PATH)
    entries += [str(folder) for folder in found if folder.is_dir()]
    return ":".join(dict.fromkeys(entries))


def nvm_node_bin(nvm: Path) -> Path | None:
    """The `bin` folder of the Node.js version that nvm's default alias names, else of the newest; None when none is installed."""
    installed = {
        version: folder / "bin"
        for folder in (nvm / "versions" / "node").glob("v*")
        if (version := _version(folder.name)) is not None and (folder / "bin").is_dir()
    }
    wanted = _default_version(nvm)
    fitting = [version for version in installed if version[: len(wanted)] == wanted]
    newest = max(fitting or installed, default=None)
    return None if newest is None else installed[newest]


def _default_version(nvm: Path) -> tuple[int, ...]:
    """The version, perhaps only its first parts, at the end of nvm's chain of alias files; () when it says just "node"."""
    alias = "default"
    for _ in range(_ALIASES_FOLLOWED_MAX):
        try:
            alias = (nvm / "alias" / alias).read_text(encoding="utf-8", errors="replace").strip()
        except (OSError, ValueError):
            return _version(alias) or ()
        if (version := _version(alias)) is not None:
            return version
    return ()


def _version(text: str) -> tuple[int, ...] | None:
    match = _VERSION.fullmatch(text)
    return None if match is None else tuple(int(part) for part in match.groups() if part is not None)
