"""The real `marathond` command around services in memory; run it as `python -m tests.support.memory_daemon [options]`."""

import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from marathond.__main__ import main
from marathond.app import Setting
from tests.support.memory_services import MemoryServices


@asynccontextmanager
async def build(setting: Setting) -> AsyncIterator[MemoryServices]:
    """Services whose one task has written a line."""
    services = MemoryServices()
    services.write_output(1, b"hello\n")
    yield services


if __name__ == "__main__":
    sys.exit(main(build=build))
