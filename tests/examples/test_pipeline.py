"""The pipeline example: three steps, shared first steps, intermediate results."""

from __future__ import annotations

import math
import random
from pathlib import Path

import pytest
from example_runs import Project


@pytest.fixture
def pipeline(tmp_path: Path) -> Project:
    return Project("pipeline", tmp_path)


def expected_peak(seed: int, window: int) -> tuple[int, float]:
    """The three steps written out again."""
    noise = random.Random(seed)
    signal = [math.sin(math.pi * i / 200) + noise.gauss(0, 0.2) for i in range(200)]
    smooth = [math.fsum(signal[i : i + window]) / window for i in range(200 - window + 1)]
    return smooth.index(max(smooth)), max(smooth)


def test_shared_steps_run_once_and_results_are_right(pipeline: Project) -> None:
    assert pipeline.labtech("run", "pipelines", "--json").check().counts() == {"succeeded": 10}
    rows = pipeline.labtech("results", "pipelines", "--json").check().document()["results"]
    found = {
        (row["step_b.step_a.seed"], row["step_b.window"]): (row["position"], pytest.approx(row["height"], rel=1e-12))
        for row in rows
    }
    assert found == {(seed, window): expected_peak(seed, window) for seed in (1, 2) for window in (5, 25)}


def test_steps_run_after_what_they_need(pipeline: Project) -> None:
    events = pipeline.labtech("run", "pipelines", "-j", "4", "--json").check().events()
    plan = pipeline.labtech("plan", "pipelines", "--rerun", "--json").check().document()
    needs = {task["key"]: task["dependencies"] for task in plan["tasks"]}
    assert len(needs) == 10
    done: set[str] = set()
    for event in events:
        if event["event"] == "task_started":
            assert done.issuperset(needs[event["key"]])
        elif event["event"] == "task_finished":
            done.add(event["key"])


def test_the_second_run_touches_only_the_last_step(pipeline: Project) -> None:
    pipeline.labtech("run", "pipelines").check()
    plan = pipeline.labtech("plan", "pipelines", "--json").check().document()
    assert plan["counts"]["run"] == 0
    assert plan["counts"]["load"] == 4
    assert pipeline.labtech("run", "pipelines", "--json").check().counts() == {"loaded": 4}


def test_the_script_shows_every_step(pipeline: Project) -> None:
    lines = pipeline.python("experiments.py").check().out.splitlines()
    assert len(lines) == 12
    assert [line.partition("(")[0] for line in lines] == ["StepA", "StepB", "StepC"] * 4
    assert all(", started 20" in line and line.endswith(" s") for line in lines)
    assert lines[0].startswith("StepA(seed=1, points=200): 200 points, ")


def test_the_script_and_the_command_share_results(pipeline: Project) -> None:
    pipeline.labtech("run", "pipelines").check()
    first = pipeline.python("experiments.py").check()
    assert first.out == pipeline.python("experiments.py").check().out  # the same start and duration
    assert pipeline.labtech("run", "pipelines", "--json").check().counts() == {"loaded": 4}


def test_a_script_that_ran_first_leaves_the_command_nothing_to_do(pipeline: Project) -> None:
    pipeline.python("experiments.py").check()
    assert pipeline.labtech("run", "pipelines", "--json").check().counts() == {"loaded": 4}


def test_every_command_of_the_readme_works(pipeline: Project) -> None:
    commands = pipeline.readme_commands()
    assert len(commands) == 3
    for arguments in commands:
        pipeline.labtech(*arguments).check()
