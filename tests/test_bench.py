"""A small run of the benchmarks: every workload, the peers' scripts, and what is said of a peer that fails."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.bench import tasks
from tests.bench.measure import Measured, measure
from tests.bench.model import Contender, Target, Workload
from tests.bench.peers import shapes
from tests.bench.report import as_table, rows
from tests.bench.workloads import Workloads

ROOT = Path(__file__).parent.parent
PEERS = ROOT / "tests/bench/peers"
NAMES = [workload.name for workload in Workloads().all()]


def bench(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "tests.bench", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=240, stdin=subprocess.DEVNULL)


@pytest.mark.slow
@pytest.mark.parametrize("names", [NAMES[:7], NAMES[7:12], NAMES[12:]], ids=lambda names: names[0])
def test_the_benchmarks_run_small_and_write_what_they_measured(names: list[str], tmp_path: Path) -> None:
    file = tmp_path / "measured.json"
    done = bench(*names, "--repeat", "1", "--scale", "0.002", "--json", str(file))
    assert done.returncode == 0, done.stderr
    measured = json.loads(file.read_text())
    assert [row["workload"] for row in measured["workloads"]] == names
    contenders = [contender for row in measured["workloads"] for contender in row["contenders"]]
    assert [contender["name"] for contender in contenders if contender["failure"]] == []
    assert measured["machine"]["versions"]["sqlite"]
    assert "scaled: targets are not judged" in done.stdout


@pytest.fixture
def broken_peers(tmp_path: Path) -> str:
    """A Python of peers in which every script fails."""
    python = tmp_path / "python"
    python.write_text(
        f'#!/bin/sh\n[ "$1" = -c ] && exec {sys.executable} "$@"\n'
        "echo 'RecursionError: maximum recursion depth exceeded' >&2\necho 'cleaning up' >&2\nexit 1\n"
    )
    python.chmod(0o755)
    return str(python)


@pytest.mark.slow
def test_a_peer_that_fails_is_reported_by_its_words_and_stops_nothing(broken_peers: str, tmp_path: Path) -> None:
    file = tmp_path / "measured.json"
    done = bench("chain", "makespan", "--peers", broken_peers, "--repeat", "2", "--scale", "0.002", "--json", str(file))
    assert done.returncode == 0, done.stderr
    assert "FAILED: RecursionError: maximum recursion depth exceeded" in done.stdout
    chain, makespan = json.loads(file.read_text())["workloads"]
    failed = {contender["name"]: contender["failure"] for contender in chain["contenders"]}
    assert failed["dask 4"] == "RecursionError: maximum recursion depth exceeded"
    assert failed["labtech"] is failed["executor"] is None
    assert makespan["contenders"][1]["measures"]["ratio"] > 0


@pytest.mark.slow
@pytest.mark.parametrize("peer", ["executor", "joblib"])
def test_peers_print_their_seconds(peer: str, tmp_path: Path) -> None:
    done = measure([sys.executable, str(PEERS / f"with_{peer}.py"), "flat", "10"], tmp_path, timeout=60)
    assert (done.failure, (done.work_seconds or 0) > 0) == ("", True)


def test_every_peer_has_a_script_and_a_pinned_version() -> None:
    pinned = {line.split("==")[0] for line in (PEERS.parent / "requirements.txt").read_text().splitlines()[1:]}
    scripts = {
        Path(contender.command[1]).stem.removeprefix("with_")
        for workload in Workloads(peers="python").all()
        for contender in workload.contenders
        if contender.peer
    }
    assert all((PEERS / f"with_{name}.py").exists() for name in scripts)
    assert {"distributed" if name == "dask" else name for name in scripts} <= pinned


def test_the_peers_get_the_same_graphs_as_labtech() -> None:
    def plain(targets: list[Any]) -> list[tuple[int, int, list[int]]]:
        found: dict[int, tuple[int, int, list[int]]] = {}
        left = list(targets)
        while left:
            task = left.pop()
            deps = list(getattr(task, "deps", ()))
            found[task.n] = (task.n, getattr(task, "milliseconds", 0), [dep.n for dep in deps])
            left += [dep for dep in deps if dep.n not in found]
        return [found[number] for number in sorted(found)]

    def given(nodes: list[shapes.Node]) -> list[tuple[int, int, list[int]]]:
        return [(number, milliseconds, list(deps)) for number, milliseconds, deps in nodes]

    assert plain(tasks.flat(5)) == given(shapes.flat(5))
    assert plain([tasks.chain(5)]) == given(shapes.chain(5))
    assert plain(tasks.ladder(4)) == given(shapes.ladder(4))
    assert plain(tasks.heavy_tailed(30, 5)) == given(shapes.heavy_tailed(30, 5))
    reached = plain(tasks.layered(8, 3))
    assert reached == [node for node in given(shapes.layered(8, 3)) if node[0] in [number for number, *_ in reached]]


def test_no_schedule_beats_the_critical_path_or_half_of_all() -> None:
    assert shapes.ideal_makespan([shapes.Node(0, 300), shapes.Node(1, 100)]) == 0.3
    assert shapes.ideal_makespan([shapes.Node(0, 100), shapes.Node(1, 100, (0,)), shapes.Node(2, 100, (1,))]) == 0.3
    assert shapes.ideal_makespan([shapes.Node(number, 100) for number in range(6)]) == pytest.approx(0.3)


def test_a_command_that_takes_too_long_is_killed_and_said_so(tmp_path: Path) -> None:
    done = measure([sys.executable, "-c", "import time; time.sleep(60)"], tmp_path, timeout=1)
    assert done.failure == "over 1 s"
    assert done.wall_seconds < 20


def test_ratios_are_of_the_time_for_each_task_where_sizes_differ() -> None:
    contenders = [
        Contender("executor", work=1_000),
        Contender("labtech", ["labtech"], work=1_000, targets=(Target("ratio", 0.7), Target("rate", 5_000))),
        Contender("slow 100", ["slow"], work=100, peer=True),
        Contender("broken", ["broken"], peer=True),
    ]
    workload = Workload("flat", "independent tasks", contenders, "executor")
    runs = {
        "executor": [Measured(1.0)],
        "labtech": [Measured(0.4), Measured(0.5), Measured(0.6)],
        "slow 100": [Measured(2.0)],
        "broken": [Measured(60.0, failure="over 60 s")],
    }
    found = rows(workload, runs)
    assert [row.measures.get("ratio") for row in found] == [1.0, 0.5, 20.0, None]
    _, labtech, _, slow, broken = list(as_table(workload, found))[2:]
    assert "0.40..0.60" in labtech and labtech.endswith("ratio <= 0.7: met; rate >= 5,000: MISSED")
    assert "20.0" in slow
    assert broken.endswith("FAILED: over 60 s")


def test_the_names_can_be_listed_and_an_unknown_one_is_refused() -> None:
    assert [line.split()[0] for line in bench("--list").stdout.splitlines()] == NAMES
    done = bench("falt")
    assert done.returncode == 2
    assert "there is no workload 'falt'" in done.stderr
    assert "there is no Python at nowhere" in bench("--peers", "nowhere").stderr
