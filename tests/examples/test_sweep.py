"""The sweep example: grids, defaults, a function target, a failing and a slow combination."""

from __future__ import annotations

import math
import time
from pathlib import Path

import pytest
from example_runs import Project


@pytest.fixture
def sweep(tmp_path: Path) -> Project:
    return Project("sweep", tmp_path)


def test_parameters_that_are_not_given_have_their_defaults(sweep: Project) -> None:
    events = sweep.labtech("run", "integral", "-p", "intervals=10", "--json").check().events()
    finished = [event for event in events if event["event"] == "task_finished"]
    assert [event["params"] for event in finished] == [{"rule": "TRAPEZOID", "intervals": 10, "seed": 42}]
    assert finished[0]["outcome"] == "succeeded"


def test_grids_multiply_out_and_results_are_a_table(sweep: Project) -> None:
    grid = ("integral", "--grid", "rule=MIDPOINT,TRAPEZOID", "--grid", "intervals=1..5")
    assert sweep.labtech("run", *grid, "--json").check().counts() == {"succeeded": 10}
    document = sweep.labtech("results", *grid, "--json").check().document()
    assert document["schema"] == "labtech.results/1"
    rows = {(row["rule"], row["intervals"]): row for row in document["results"]}
    assert set(rows) == {(rule, number) for rule in ("MIDPOINT", "TRAPEZOID") for number in range(1, 6)}
    assert rows["MIDPOINT", 1]["area"] == pytest.approx(math.pi, rel=1e-12)
    assert rows["TRAPEZOID", 2]["area"] == pytest.approx(math.pi / 2, rel=1e-12)
    assert rows["TRAPEZOID", 2]["error"] == pytest.approx(2 - math.pi / 2, rel=1e-12)
    assert sweep.labtech("run", *grid, "--json").check().counts() == {"loaded": 10}


def test_keep_going_runs_what_the_failure_does_not_touch(sweep: Project) -> None:
    grid = ("integral", "--grid", "rule=TRAPEZOID,SIMPSON", "--grid", "intervals=3,4")
    ended = sweep.labtech("run", "-k", *grid, "--json").check(1)
    assert ended.counts() == {"succeeded": 3, "failed": 1}
    failed = [event for event in ended.events() if event.get("outcome") == "failed"]
    assert [(event["params"]["rule"], event["params"]["intervals"]) for event in failed] == [("SIMPSON", 3)]
    assert "even number of intervals, not 3" in ended.err
    again = sweep.labtech("run", "-k", *grid, "--json").check(1)
    assert again.counts() == {"loaded": 3, "failed": 1}


def test_without_keep_going_nothing_starts_after_the_failure(sweep: Project) -> None:
    ended = sweep.labtech(
        "run", "integral", "-p", "rule=SIMPSON", "--grid", "intervals=3,4,6,8", "-j", "1", "--json"
    ).check(1)
    assert ended.counts() == {"failed": 1, "cancelled": 3}


def test_a_function_makes_the_tasks(sweep: Project) -> None:
    target = ("convergence", "-p", "rule=MIDPOINT", "-p", "doublings=6")
    assert sweep.labtech("run", *target, "--json").check().counts() == {"succeeded": 6}
    rows = sweep.labtech("results", *target, "--json").check().document()["results"]
    assert [row["intervals"] for row in rows] == [2, 4, 8, 16, 32, 64]
    errors = [row["error"] for row in rows]
    assert errors == sorted(errors, reverse=True)
    assert errors[-1] < 1e-3


def test_a_result_made_one_way_is_found_another_way(sweep: Project) -> None:
    sweep.labtech("run", "integral", "-p", "rule=SIMPSON", "-p", "intervals=4").check()
    plan = sweep.labtech("plan", "convergence", "--json").check().document()
    assert plan["counts"] == {"run": 3, "load": 1, "untouched": 0}


def test_the_slow_combination_is_slow_once(sweep: Project) -> None:
    slow = ("run", "integral", "-p", "rule=MONTE_CARLO", "-p", "intervals=100000", "--json")
    first = sweep.labtech(*slow).check().events()
    took = next(event["duration_seconds"] for event in first if event.get("outcome") == "succeeded")
    assert took >= 2
    began = time.monotonic()
    assert sweep.labtech(*slow).check().counts() == {"loaded": 1}
    assert time.monotonic() - began < took + 10


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["-p", "rule=SIMPSONS"], "SIMPSON"),
        (["-p", "interval=3"], "intervals"),
        (["-p", "intervals=many"], "intervals"),
    ],
)
def test_a_wrong_parameter_is_explained(sweep: Project, arguments: list[str], said: str) -> None:
    ended = sweep.labtech("run", "integral", *arguments).check(2)
    assert ended.out == ""
    assert said in ended.err
    assert "Traceback" not in ended.err
    assert not (sweep.folder / "labtech_storage").exists()


def test_every_command_of_the_readme_works(sweep: Project) -> None:
    commands = sweep.readme_commands()
    assert len(commands) == 7
    for arguments in commands:
        sweep.labtech(*arguments).check(1 if "-k" in arguments else 0)
