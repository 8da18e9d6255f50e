"""The tutorial's final program and its diagram, wherever it is shown."""

import sys
import types
from typing import Protocol

import pytest

import labtech_cli.diagram
from labtech_cli.core.decorate import task
from labtech_cli.report.diagram import build_task_diagram, display_task_diagram


class ClassifierMixin: ...


class np:
    """Stands in for numpy: annotations need its name only."""

    ndarray = type("ndarray", (), {"__module__": "numpy"})


class ClassifierTask(Protocol):
    def run(self) -> ClassifierMixin: ...


@task(cache=None)
class RFClassifierTask:
    n_estimators: int

    def run(self) -> ClassifierMixin: ...


@task(cache=None)
class LRClassifierTask:
    def run(self) -> ClassifierMixin: ...


class ExperimentTask(Protocol):
    dataset_key: str

    def run(self) -> ClassifierMixin: ...


@task(mlflow_run=True)
class ClassifierExperiment(ExperimentTask):
    classifier_task: ClassifierTask
    dataset_key: str

    def run(self) -> np.ndarray: ...


@task(mlflow_run=True)
class MinMaxProbabilityExperiment(ExperimentTask):
    experiment: ExperimentTask

    @property
    def dataset_key(self):
        return self.experiment.dataset_key

    def run(self) -> np.ndarray: ...


@task
class ExperimentEvaluationTask:
    experiments: list[ExperimentTask]

    def run(self): ...


TUTORIAL = """classDiagram
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

    MinMaxProbabilityExperiment <-- ClassifierExperiment: experiment"""


def evaluation_task():
    experiments = [
        ClassifierExperiment(classifier_task=classifier, dataset_key=dataset)
        for dataset in ("digits", "iris")
        for classifier in [LRClassifierTask(), *map(RFClassifierTask, range(1, 11))]
    ]
    return ExperimentEvaluationTask([*experiments, *map(MinMaxProbabilityExperiment, experiments)])


def test_the_tutorials_diagram_is_the_same_character_for_character():
    assert build_task_diagram([evaluation_task()], direction="BT") == TUTORIAL


def test_the_public_module_offers_both_functions():
    assert labtech_cli.diagram.build_task_diagram([evaluation_task()]) == TUTORIAL
    assert labtech_cli.diagram.display_task_diagram is display_task_diagram


@pytest.mark.parametrize(("shell", "in_notebook"), [("ZMQInteractiveShell", True), ("TerminalInteractiveShell", False)])
def test_a_notebook_gets_markdown(monkeypatch, capsys, shell, in_notebook):
    shown = []
    package, display = types.ModuleType("IPython"), types.ModuleType("IPython.display")
    package.get_ipython = type(shell, (), {})
    display.Markdown, display.display = str, shown.append
    monkeypatch.setitem(sys.modules, "IPython", package)
    monkeypatch.setitem(sys.modules, "IPython.display", display)
    display_task_diagram([evaluation_task()])
    assert shown == ([f"```mermaid\n{TUTORIAL}\n```"] if in_notebook else [])
    assert bool(capsys.readouterr().out) != in_notebook
