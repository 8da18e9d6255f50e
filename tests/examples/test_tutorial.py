"""The tutorial example: 44 experiments whose log losses are those that scikit-learn computes by itself."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import Any

import pytest
from example_runs import Project

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def tutorial(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """The project after its first run."""
    project = Project("tutorial", tmp_path_factory.mktemp("tutorial"))
    first = project.labtech("run", "evaluation", "--json", timeout=240).check()
    assert first.counts() == {"succeeded": 56}  # 11 classifiers, 22 experiments twice, and their evaluation
    return project


def expected_losses() -> dict[tuple[str, str, int | None, bool], float]:
    """By dataset, classifier, number of trees and whether probabilities are pushed to 0 and 1."""
    import numpy as np
    from sklearn import datasets
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import log_loss
    from sklearn.preprocessing import StandardScaler

    losses = {}
    for dataset, load in (("digits", datasets.load_digits), ("iris", datasets.load_iris)):
        X, y = load(return_X_y=True)
        X = StandardScaler().fit_transform(X)
        classifiers: list[tuple[str, int | None, Any]] = [
            ("LRClassifierTask", None, LogisticRegression(random_state=42))
        ]
        for trees in range(1, 11):
            forest = RandomForestClassifier(n_estimators=trees, random_state=42)
            classifiers.append(("RFClassifierTask", trees, forest))
        for name, trees, classifier in classifiers:
            predicted = classifier.fit(X, y).predict_proba(X)
            hard = np.eye(predicted.shape[1])[predicted.argmax(axis=1)]
            losses[dataset, name, trees, False] = float(log_loss(y, predicted))
            losses[dataset, name, trees, True] = float(log_loss(y, hard))
    return losses


def test_log_losses_are_those_of_scikit_learn(tutorial: Project) -> None:
    document = tutorial.labtech("results", "evaluation", "--json").check().document()
    assert document["schema"] == "labtech.results/1"
    assert len(document["results"]) == 44
    found = {}
    for row in document["results"]:
        hard = row["type"] == "MinMaxProbabilityExperiment"
        prefix = "experiment." if hard else ""
        classifier = f"{prefix}classifier_task"
        key = row[f"{prefix}dataset_key"], row[classifier], row.get(f"{classifier}.n_estimators"), hard
        found[key] = row["log_loss"]
    assert found == {key: pytest.approx(loss, rel=1e-9) for key, loss in expected_losses().items()}


def test_the_second_run_executes_nothing(tutorial: Project) -> None:
    plan = tutorial.labtech("plan", "evaluation", "--check", "--json").check().document()
    assert plan["counts"]["run"] == 0
    assert tutorial.labtech("run", "evaluation", "--json").check().counts() == {"loaded": 1}


def test_every_experiment_is_a_run_of_mlflow(tutorial: Project) -> None:
    with closing(sqlite3.connect(f"file:{tutorial.folder / 'mlflow.db'}?mode=ro", uri=True)) as database:
        runs = database.execute(
            "SELECT tags.value, runs.status, experiments.name, count(*) FROM runs"
            " JOIN experiments USING (experiment_id)"
            " JOIN tags ON tags.run_uuid = runs.run_uuid AND tags.key = 'labtech_task_type'"
            " GROUP BY 1, 2, 3 ORDER BY 1"
        ).fetchall()
        parameters = {row[0] for row in database.execute("SELECT DISTINCT key FROM params")}
    assert runs == [
        ("ClassifierExperiment", "FINISHED", "example_labtech_experiment", 22),
        ("MinMaxProbabilityExperiment", "FINISHED", "example_labtech_experiment", 22),
    ]
    assert {"dataset_key", "classifier_task", "classifier_task.n_estimators"} <= parameters


def test_every_command_of_the_readme_works(tutorial: Project) -> None:
    commands = tutorial.readme_commands()
    assert len(commands) == 4
    for arguments in commands:
        tutorial.labtech(*arguments).check()


def test_the_diagram_names_every_task_type(tutorial: Project) -> None:
    shown = tutorial.labtech("diagram", "evaluation").check().out
    assert shown.startswith("classDiagram")
    assert 'ExperimentEvaluationTask <-- "many" ClassifierExperiment: experiments' in shown
