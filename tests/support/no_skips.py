"""In continuous integration (`CI` set) a test that is skipped fails: a skip there would hide what was not proved.

A plugin of pytest, loaded by tests/conftest.py.
"""

import os
from collections.abc import Iterator
from typing import Any

import pytest

COUNTS = os.environ.get("CI", "").lower() not in ("", "0", "false")


def _refuse(report: Any) -> None:
    """Turns a skip into a failure with its reason; what is expected to fail (xfail) is no skip."""
    if COUNTS and report.skipped and not hasattr(report, "wasxfail"):
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
        report.outcome = "failed"
        report.longrepr = f"{report.nodeid} was skipped, which CI does not accept: {reason}"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Iterator[None]:
    """A test or a fixture that skips."""
    report = yield
    _refuse(report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Iterator[None]:
    """A whole module that skips."""
    report = yield
    _refuse(report)
    return report
