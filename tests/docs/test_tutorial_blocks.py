"""The code blocks of the tutorial work as they are written, as a script and through the command."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

BLOCKS = (Path(__file__).parent / "tutorial_blocks.py").read_text(encoding="utf-8").split("\n# %%\n")[1:]
DIAGRAM = """\
classDiagram
    direction BT

    class ExperimentEvaluationTask
    ExperimentEvaluationTask : list[ExperimentTask] experiments
    ExperimentEvaluationTask : run()

    class ClassifierExperiment
    ClassifierExperiment : ClassifierTask classifier_task
    ClassifierExperiment : str dataset_key
    ClassifierExperiment : run() ndarray

    class MinMaxProbabilityExperiment
    MinMaxProbabilityExperiment : ExperimentTask experiment
    MinMaxProbabilityExperiment : run() ndarray

    class LRClassifierTask
    LRClassifierTask : run() ClassifierMixin

    class RFClassifierTask
    RFClassifierTask : int n_estimators
    RFClassifierTask : run() ClassifierMixin


    ExperimentEvaluationTask <-- "many" ClassifierExperiment: experiments
    ExperimentEvaluationTask <-- "many" MinMaxProbabilityExperiment: experiments

    ClassifierExperiment <-- LRClassifierTask: classifier_task
    ClassifierExperiment <-- RFClassifierTask: classifier_task

    MinMaxProbabilityExperiment <-- ClassifierExperiment: experiment
"""


def run_python(*arguments: str, folder: Path, timeout: float = 240) -> subprocess.CompletedProcess[str]:
    dropped = ("LABTECH_", "MLFLOW_", "GITHUB_")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(dropped)}
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    return done


def renamed(code: str) -> str:
    code = re.sub(r"^import labtech$", "import labtech_cli as labtech", code, flags=re.MULTILINE)
    return re.sub(r"^from labtech\.", "from labtech_cli.", code, flags=re.MULTILINE)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("tutorial_blocks")


@pytest.fixture(scope="module")
def printed(folder: Path) -> str:
    """What all blocks in one script print."""
    assert len(BLOCKS) == 19
    (folder / "tutorial_script.py").write_text(renamed("\n\n".join(BLOCKS)), encoding="utf-8")
    return run_python("tutorial_script.py", folder=folder).stdout


def test_every_block_prints_its_log_losses(printed: str) -> None:
    before, mermaid, _ = printed.partition("classDiagram")
    lines = before.splitlines()
    assert mermaid
    # Three single ones; 10 forests; the same pushed to 0 and 1; 11 classifiers; on two datasets; and all of it.
    assert len(lines) == 3 + 10 + 10 + 11 + 22 + 44
    assert all("log_loss" in line for line in lines)
    assert lines[:3] == ["log_loss(digits_y, prob_y) = 0.0912"] * 3
    assert lines[7] == "ClassifierExperiment(n_estimators=5): log_loss(digits_y, prob_y) = 0.0912"
    assert lines[17].startswith(
        "MinMaxProbabilityExperiment(classifier_experiment=ClassifierExperiment(n_estimators=5)): log_loss"
    )
    assert lines[-1].startswith(
        "MinMaxProbabilityExperiment(experiment=ClassifierExperiment("
        "classifier_task=RFClassifierTask(n_estimators=10), dataset_key='iris')): log_loss = "
    )


def test_the_same_experiment_has_the_same_loss_in_every_block(printed: str) -> None:
    losses: dict[str, set[str]] = {}
    for line in printed.partition("classDiagram")[0].splitlines():
        name, _, rest = line.rpartition(": log_loss")
        # A forest on digits is spelled in four ways as the tutorial goes on.
        if "iris" not in name and "LR" not in name and (trees := re.search(r"n_estimators=(\d+)", name)):
            losses.setdefault(f"{name.partition('(')[0]} {trees[1]}", set()).add(rest.rpartition(" = ")[2])
    assert len(losses) == 20
    assert all(len(values) == 1 for values in losses.values()), losses


def test_the_diagram_comes_last(printed: str) -> None:
    assert printed.endswith(DIAGRAM)


def test_the_final_program_runs_unchanged_under_the_command(folder: Path, printed: str) -> None:
    program, separator, _ = BLOCKS[17].partition("# === Task Execution ===")
    assert separator
    assert re.search(r"^import labtech$", program, flags=re.MULTILINE)
    # The tutorial imports numpy in an earlier block.
    (folder / "tutorial_final.py").write_text("import numpy as np\n" + program, encoding="utf-8")
    target = ("tutorial_final.py:evaluation_task", "-s", 'context.loaders.DATASETS="tutorial_final:DATASETS"')
    first = run_python("-m", "labtech_cli", "run", *target, "--show", "none", folder=folder)
    assert first.stdout == ""
    assert "56 succeeded" in first.stderr
    second = run_python("-m", "labtech_cli", "run", *target, "--show", "none", folder=folder)
    assert "1 loaded" in second.stderr
    assert "succeeded" not in second.stderr
    # The script printed the same numbers, in the same order.
    shown = json.loads(run_python("-m", "labtech_cli", "results", *target, "--json", folder=folder).stdout)
    script = [line.rpartition(" = ")[2] for line in printed.partition("classDiagram")[0].splitlines()[-44:]]
    assert [f"{row['log_loss']:.3}" for row in shown["results"]] == script
