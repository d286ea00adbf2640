"""A control group of its own for a job, where the system lets us make one: membership that no process can leave by forking.

See the kernel's Documentation/admin-guide/cgroup-v2.rst; `cgroup.kill` is there since Linux 5.14. A plain user may make groups
below one that systemd runs for them (`user@UID.service`); everywhere else a job simply has none.
"""

import os
import time
from pathlib import Path
from typing import Final

_PREFIX: Final = "marathon-"
_EMPTY_SECONDS_MAX: Final = 1.0


class Cgroup:
    """A group that holds a job's processes, but not their supervisor."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @classmethod
    def make(cls, name: str) -> "Cgroup | None":
        """A new group below the one that this process is in; None where that is not possible."""
        own = _own_group()
        if own is None:
            return None
        path = own / (_PREFIX + name)
        try:
            path.mkdir(exist_ok=True)
            if os.access(path / "cgroup.procs", os.W_OK) and (path / "cgroup.kill").exists():
                return cls(path)
            path.rmdir()
        except OSError:
            pass  # not ours to write to, a threaded group, or no room for one more: the tree walk does without
        return None

    @classmethod
    def recall(cls, path: str) -> "Cgroup | None":
        """The group that a start record names; None when it is gone, or is none that we made."""
        found = Path(path)
        return cls(found) if found.name.startswith(_PREFIX) and (found / "cgroup.kill").exists() else None

    def enter(self) -> None:
        """Moves the calling process in. A refusal is no error: the tree walk will find it."""
        try:
            (self.path / "cgroup.procs").write_text("0")
        except OSError:
            pass  # cgroup namespaces may forbid the move although the file looks writable

    def members(self) -> list[int]:
        """The pids inside."""
        try:
            return [int(pid) for pid in (self.path / "cgroup.procs").read_text().split()]
        except OSError:
            return []

    def kill(self) -> None:
        """Kills all processes inside at one stroke."""
        try:
            (self.path / "cgroup.kill").write_text("1")
        except OSError:
            pass  # removed meanwhile: then nobody was inside

    def remove(self) -> None:
        """Removes the empty group; one that still holds a dying process stays, and costs nothing."""
        end = time.monotonic() + _EMPTY_SECONDS_MAX
        while time.monotonic() < end:
            try:
                self.path.rmdir()
            except FileNotFoundError:
                return
            except OSError:
                time.sleep(0.01)  # the kernel empties the group a moment after the last process was reaped
            else:
                return


def _own_group() -> Path | None:
    try:
        mounts = Path("/proc/self/mountinfo").read_text(encoding="utf-8", errors="replace")
        groups = Path("/proc/self/cgroup").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    within = [line[3:] for line in groups.splitlines() if line.startswith("0::/")]
    for line in mounts.splitlines():
        fields, _, kind = line.partition(" - ")
        if kind.startswith("cgroup2 ") and within:
            root, mount = fields.split()[3:5]
            inside = within[0].removeprefix(root if root != "/" else "")
            return Path(mount) / inside.lstrip("/")
    return None
