"""Fixtures for all tests."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.box import Box

pytest_plugins = ["tests.support.no_skips"]

AT_ONCE = 4
"""Whole sessions wait for processes most of the time, so this many keep two cores busy."""


def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """Worker processes for `-n auto`: some for the whole suite, none where tests are named, since starting them would take longer."""
    whole = config.args_source is not pytest.Config.ArgsSource.ARGS and not config.option.keyword
    return AT_ONCE if whole else 0


@pytest.fixture
def anyio_backend() -> str:
    """The daemon runs on asyncio: aiosqlite and jsonrpcserver know no other loop."""
    return "asyncio"


@pytest.fixture
def box(tmp_path: Path) -> Iterator[Box]:
    """A whole Marathon in a temporary folder."""
    with Box(tmp_path) as made:
        yield made
