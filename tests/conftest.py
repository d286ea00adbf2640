"""Fixtures for all tests."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.box import Box

pytest_plugins = ["tests.support.no_skips"]


@pytest.fixture
def anyio_backend() -> str:
    """The daemon runs on asyncio: aiosqlite and jsonrpcserver know no other loop."""
    return "asyncio"


@pytest.fixture
def box(tmp_path: Path) -> Iterator[Box]:
    """A whole Marathon in a temporary folder."""
    with Box(tmp_path) as made:
        yield made
