"""The processes of a job: all of them, however they detached themselves, and how they are ended."""

import os
import signal

from marathond.attempt.processes import JOB_MARKER, Process, descendants, identify, marked, send
from marathond.attempt.supervisor.cgroup import Cgroup


class Tree:
    """The descendants of this process, the processes marked as the job's, and the members of its control group.

    This process is a subreaper, so a daemonised grandchild becomes its child and cannot leave the tree; the marker and the
    group catch what was started on the job's behalf by somebody else.
    """

    def __init__(self, job: str, cgroup: Cgroup | None) -> None:
        self._job = job
        self._cgroup = cgroup

    def members(self) -> list[Process]:
        """Everybody alive, without the supervisor itself."""
        found = {*descendants(os.getpid()), *marked(JOB_MARKER, value=self._job)}
        if self._cgroup is not None:
            found |= {process for pid in self._cgroup.members() if (process := identify(pid)) is not None}
        return [process for process in found if process.pid != os.getpid()]

    def ask(self, number: signal.Signals) -> None:
        """Sends everybody a signal that asks for the end."""
        for process in self.members():
            send(process, number)

    def kill(self) -> None:
        """Ends everybody. What is being forked at this moment may escape: call again until `members` is empty."""
        if self._cgroup is not None:
            self._cgroup.kill()
        for process in self.members():
            send(process, signal.SIGKILL)
