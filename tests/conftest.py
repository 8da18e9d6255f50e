"""What holds for all tests: nothing is written to the home of whoever runs them, and commands start quickly."""

from __future__ import annotations

import compileall
import os
import signal
from pathlib import Path

import pytest


def pytest_configure(config: pytest.Config) -> None:
    """Thousands of commands are started: none should have to compile the package first. What tests write as the user's
    modules is never compiled to a file: Python would take it for the next version of the same size and second."""
    if not hasattr(config, "workerinput"):
        compileall.compile_dir(Path(__file__).parents[1] / "labtech_cli", quiet=2)
    os.environ["PYTHONDONTWRITEBYTECODE"] = "1"
    for number in (signal.SIGHUP, signal.SIGQUIT, signal.SIGTERM):  # `nohup pytest &` ignores some, and so would
        signal.signal(number, signal.SIG_DFL)  # every command that is started
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True, scope="session")
def _state_of_their_own(tmp_path_factory: pytest.TempPathFactory) -> None:
    os.environ["XDG_STATE_HOME"] = str(Path(tmp_path_factory.getbasetemp(), "state"))
