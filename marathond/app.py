"""The daemon as a whole: takes its lock, builds its parts, serves, and hands over.

Order matters. The lock comes before the socket, because the lock alone says which process is the daemon; the services come before
the socket too, so that whoever connects finds a daemon that has recovered. At the end it is the other way round.
"""

import asyncio
import logging
import os
import signal
import threading
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import NamedTuple

import anyio

from marathond import __version__
from marathond.attempt.redact import Redactor
from marathond.config import Config
from marathond.domain.limits import HALT_SECONDS_MAX, HANDOVER_SECONDS_MAX
from marathond.engine.alarm import SystemClock
from marathond.logs import log_to
from marathond.notify import Notifier, forget_service_variables
from marathond.places import Places
from marathond.server.bounds import Bounds
from marathond.server.listener import Listener, adopt_listeners, open_listener
from marathond.server.services import Services
from marathond.server.serving import Server, raise_descriptor_limit
from marathond.store.accept import accept_head as accept_loss
from marathond.store.database import prepare
from marathond.store.locks import DaemonLock

_log = logging.getLogger("marathond")


class Setting(NamedTuple):
    """What the parts of a daemon are built from."""

    places: Places
    config: Config
    environment: dict[str, str]
    """The `environment` file of the configuration: for sessions whose client sent none."""


Build = Callable[[Setting], AbstractAsyncContextManager[Services]]
"""Opens the ledger, recovers, and gives the services; leaving the context closes what was opened."""


def build_services(setting: Setting) -> AbstractAsyncContextManager[Services]:
    """The real engine."""
    from marathond.engine.service import open_services  # heavy, and a test may bring its own

    return open_services(setting.places, setting.config, setting.environment)


def accept_head(setting: Setting) -> str:
    """Records that entries were lost which the head beside the ledger still names; a sentence on what was done.

    Raises DAEMON_RUNNING while a daemon lives, and what opening the ledger raises.
    """
    places = setting.places
    with DaemonLock.acquire(places.lock):
        prepare(places)
        entry = accept_loss(places, SystemClock())
    if entry is None:
        return "The ledger agrees with the head kept beside it; there was nothing to accept."
    return f"The loss is recorded as entry {entry.seq} (head.accepted); the ledger goes on from there."


def run(setting: Setting, *, foreground: bool, build: Build = build_services) -> None:
    """Is the daemon until it is told to end. Raises MarathonError when it cannot start."""
    with DaemonLock.acquire(setting.places.lock):
        if not foreground:
            log_to(setting.places.log, setting.config.log_level, clean=Redactor().redact_text, rotate=True)
        anyio.run(_live, setting, build)


async def _live(setting: Setting, build: Build) -> None:
    notifier = Notifier(os.environ, os.getpid())
    forget_service_variables()
    raise_descriptor_limit(setting.config.connections_max)
    end = _End()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, end.ask)
    async with build(setting) as services:
        listeners = adopt_listeners(os.environ, os.getpid()) or [open_listener(setting.places.socket)]
        server = Server(services, end.ask, Bounds(connections=setting.config.connections_max))
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(server.serve, listeners)
            tasks.start_soon(notifier.keep_watchdog_fed)
            notifier.send("READY=1")
            _log.info("ready", extra={"version": __version__, "pid": os.getpid(), "socket": listeners[0].path})
            await end.asked.wait()
            notifier.send("STOPPING=1")
            await _hand_over(server, services, listeners, end.seconds)
            tasks.cancel_scope.cancel()


class _End:
    """The wish that the daemon ends, and how long it may take.

    If the end takes longer than that, the process exits all the same: what was acknowledged is on disk, supervisors need no
    daemon, and the next one recovers as it would after a crash.
    """

    def __init__(self) -> None:
        self.asked = anyio.Event()
        self.seconds = HANDOVER_SECONDS_MAX

    def ask(self, halt: bool = False) -> None:
        """Asks once; asking again changes nothing."""
        if self.asked.is_set():
            return
        self.seconds = HALT_SECONDS_MAX if halt else HANDOVER_SECONDS_MAX
        last_resort = threading.Timer(self.seconds, os._exit, (0,))
        last_resort.daemon = True
        last_resort.start()
        self.asked.set()


async def _hand_over(server: Server, services: Services, listeners: list[Listener], seconds: float) -> None:
    """Ends the intake, lets the services commit and let go, and sends what is queued."""
    server.stop_intake()
    for listener in listeners:
        listener.remove()
    with anyio.move_on_after(seconds / 2) as scope:
        await services.hand_over()
    await server.flush()
    _log.info("handed over", extra={"complete": not scope.cancelled_caught})
