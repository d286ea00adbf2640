"""Telling the service manager how the daemon is (sd_notify(3)), when there is one."""

import os
import socket
from collections.abc import Mapping

import anyio


class Notifier:
    """Sends states to `$NOTIFY_SOCKET`; without that variable every call does nothing.

    A service manager that cannot be reached is no reason to stop working, so failing to send is ignored.
    """

    def __init__(self, environ: Mapping[str, str], pid: int) -> None:
        address = environ.get("NOTIFY_SOCKET", "")
        self._address = "\0" + address[1:] if address.startswith("@") else address
        own = environ.get("WATCHDOG_PID", str(pid)) == str(pid)
        usec = environ.get("WATCHDOG_USEC", "")
        self._watchdog_seconds = int(usec) / 2_000_000 if own and usec.isdecimal() else 0.0

    def send(self, state: str) -> None:
        """Sends one state such as `READY=1`."""
        if not self._address:
            return
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sock:
            try:
                sock.sendto(state.encode(), socket.MSG_DONTWAIT, self._address)
            except OSError:
                pass  # see the class

    async def keep_watchdog_fed(self) -> None:
        """Shows at half of the watchdog's interval that the event loop turns; returns at once when none is wanted."""
        while self._watchdog_seconds > 0:
            self.send("WATCHDOG=1")
            await anyio.sleep(self._watchdog_seconds)


def forget_service_variables() -> None:
    """Takes the manager's variables out of the environment, so that no agent speaks in the daemon's name."""
    for name in ("NOTIFY_SOCKET", "WATCHDOG_PID", "WATCHDOG_USEC"):
        os.environ.pop(name, None)
