"""A small run of the benchmarks: the command works, on one tiny workload of each kind."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


@pytest.mark.slow
def test_the_benchmarks_run_small_and_write_what_they_measured(tmp_path: Path) -> None:
    file = tmp_path / "measured.json"
    command = [sys.executable, "-m", "tests.bench", "flat", "array", "help", "--repeat", "1", "--scale", "0.01"]
    done = subprocess.run(
        [*command, "--json", str(file)], cwd=ROOT, capture_output=True, text=True, timeout=240, stdin=subprocess.DEVNULL
    )
    assert done.returncode == 0, done.stderr
    measured = json.loads(file.read_text())["workloads"]
    assert [row["workload"] for row in measured] == ["flat", "array", "help"]
    assert all(contender["failed"] is None for row in measured for contender in row["contenders"])


def test_an_unknown_workload_is_refused_by_name() -> None:
    command = [sys.executable, "-m", "tests.bench", "falt"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, stdin=subprocess.DEVNULL)
    assert done.returncode == 2
    assert "there is no workload 'falt'" in done.stderr
