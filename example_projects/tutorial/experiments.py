"""The tutorial's final program: classifiers on two datasets, and one task that evaluates them all.

scikit-learn is imported where it is used: its import takes seconds, which loading cached results saves.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import numpy as np

import labtech_cli as labtech

if TYPE_CHECKING:
    from sklearn.base import ClassifierMixin

DATASET_KEYS = ("digits", "iris")


def load_datasets() -> dict[str, dict[str, np.ndarray]]:
    """The datasets, scaled: labtech.toml names this function as the loader of the context's DATASETS."""
    from sklearn import datasets
    from sklearn.preprocessing import StandardScaler

    loaded = {}
    for key, load in zip(DATASET_KEYS, (datasets.load_digits, datasets.load_iris), strict=True):
        X, y = load(return_X_y=True)
        loaded[key] = {"X": StandardScaler().fit_transform(X), "y": y}
    return loaded


class ClassifierTask(Protocol):
    """A task that makes a classifier."""

    def run(self) -> ClassifierMixin: ...


@labtech.task(cache=None)
class RFClassifierTask:
    """A random forest, not yet fitted."""

    n_estimators: int

    def run(self) -> ClassifierMixin:
        from sklearn.ensemble import RandomForestClassifier

        return RandomForestClassifier(n_estimators=self.n_estimators, random_state=42)


@labtech.task(cache=None)
class LRClassifierTask:
    """A logistic regression, not yet fitted."""

    def run(self) -> ClassifierMixin:
        from sklearn.linear_model import LogisticRegression

        return LogisticRegression(random_state=42)


class ExperimentTask(Protocol):
    """A task that predicts the class probabilities of a dataset."""

    dataset_key: str

    def run(self) -> np.ndarray: ...


@labtech.task(mlflow_run=True)
class ClassifierExperiment(ExperimentTask):
    """The probabilities that a classifier predicts for the dataset it was fitted to."""

    classifier_task: ClassifierTask
    dataset_key: str

    def run(self) -> np.ndarray:
        from sklearn.base import clone

        dataset = self.context["DATASETS"][self.dataset_key]
        # The classifier may be shared between experiments: fit a copy.
        classifier = clone(self.classifier_task.result)
        classifier.fit(dataset["X"], dataset["y"])
        return classifier.predict_proba(dataset["X"])


@labtech.task(mlflow_run=True)
class MinMaxProbabilityExperiment(ExperimentTask):
    """The probabilities of another experiment, with 1 for the likeliest class and 0 for the others."""

    experiment: ExperimentTask

    @property
    def dataset_key(self) -> str:
        return self.experiment.dataset_key

    def run(self) -> np.ndarray:
        prob_y = self.experiment.result
        min_max_prob_y = np.zeros(prob_y.shape)
        min_max_prob_y[np.arange(len(prob_y)), prob_y.argmax(axis=1)] = 1
        return min_max_prob_y


@labtech.task
class ExperimentEvaluationTask:
    """The log loss of every experiment."""

    experiments: list[ExperimentTask]

    def run(self):
        from sklearn.metrics import log_loss

        return {
            experiment: {"log_loss": log_loss(self._labels(experiment), experiment.result)}
            for experiment in self.experiments
        }

    def _labels(self, experiment: ExperimentTask) -> np.ndarray:
        return self.context["DATASETS"][experiment.dataset_key]["y"]


classifier_tasks = [
    LRClassifierTask(),
    *[RFClassifierTask(n_estimators=n_estimators) for n_estimators in range(1, 11)],
]

classifier_experiments = [
    ClassifierExperiment(classifier_task=classifier_task, dataset_key=dataset_key)
    for dataset_key in DATASET_KEYS
    for classifier_task in classifier_tasks
]

min_max_prob_experiments = [
    MinMaxProbabilityExperiment(experiment=classifier_experiment) for classifier_experiment in classifier_experiments
]

evaluation_task = ExperimentEvaluationTask(experiments=[*classifier_experiments, *min_max_prob_experiments])
