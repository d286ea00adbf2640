"""Fixtures for all tests."""

import pytest


@pytest.fixture
def anyio_backend() -> str:
    """The daemon runs on asyncio: aiosqlite and jsonrpcserver know no other loop."""
    return "asyncio"
