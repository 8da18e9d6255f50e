"""Fixtures: a folder to run the command in, empty or with experiments, and one whose targets have run."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from cli_kit import EXPERIMENTS, Cli


@pytest.fixture
def cli(tmp_path: Path) -> Cli:
    return Cli(tmp_path)


@pytest.fixture
def lab(cli: Cli) -> Cli:
    """With `experiments.py`."""
    cli.write("experiments.py", EXPERIMENTS)
    return cli


@pytest.fixture(scope="session")
def ran_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("ran")
    cli = Cli(folder)
    cli.write("experiments.py", EXPERIMENTS)
    cli("run", "experiments.py:total", "--progress", "none").check()
    cli("run", "experiments.py:many", "--runner", "serial", "--progress", "none").check()
    return folder


@pytest.fixture
def ran(ran_once: Path, tmp_path: Path) -> Cli:
    """Where `total` and `many` have run: 4 + 3 `Add`, 1 `Total`. A copy, to be changed at will."""
    folder = tmp_path / "ran"
    shutil.copytree(ran_once, folder)
    return Cli(folder)


@pytest.fixture(scope="session")
def seen(ran_once: Path) -> Cli:
    """The same, not copied: only to be looked at."""
    return Cli(ran_once)
