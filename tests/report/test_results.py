"""Results as rows."""

import subprocess
import sys
from collections import Counter, namedtuple
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from enum import Enum
from itertools import count
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from labtech_cli.core.decorate import task
from labtech_cli.report.results import describe, result_rows


@task
class Classifier:
    trees: int = 1

    def run(self): ...


@task
class Experiment:
    classifier: Classifier
    seed: int = 0

    def run(self): ...


@task
class Scaled:
    experiment: Experiment
    type: str = "minmax"

    def run(self): ...


@task
class Evaluation:
    experiments: Any

    def run(self): ...


@dataclass
class Score:
    loss: float
    model: object = None


class Colour(Enum):
    RED = 1


class Odd:
    def __getattribute__(self, name):
        raise RuntimeError(name)

    def __repr__(self):
        raise RuntimeError

    def __len__(self):
        raise RuntimeError


Pair = namedtuple("Pair", "left right")
PARAMS = {"trees": 5}


def columns(result):
    """The columns of the one row for `result`, beside the parameters of its task."""
    (row,) = result_rows(Classifier(5), result)
    assert {name: row.pop(name) for name in PARAMS} == PARAMS
    return row


def test_parameters_of_dependencies_come_first_and_are_dotted():
    (row,) = result_rows(Experiment(Classifier(3), seed=1), 0.5)
    assert list(row.items()) == [
        ("classifier", "Classifier"),
        ("classifier.trees", 3),
        ("seed", 1),
        ("result", 0.5),
    ]


@pytest.mark.parametrize(
    ("value", "cell"),
    [
        (None, None),
        (True, True),
        (3, 3),
        ("text", "text"),
        (np.float64(0.5), 0.5),
        (np.float32(0.5), 0.5),
        (np.int8(3), 3),
        (np.bool_(True), True),
        (np.str_("a"), "a"),
        (np.array(2.5), 2.5),
        (Colour.RED, "RED"),
        (date(2026, 1, 2), "2026-01-02"),
        (timedelta(seconds=61), "0:01:01"),
        (Decimal("1.50"), "1.50"),
        (1 << 3_000, "int of 3001 bits"),
    ],
)
def test_a_scalar_is_the_column_result_as_a_plain_python_value(value, cell):
    row = columns(value)
    assert row == {"result": cell}
    assert type(row["result"]) is type(cell)


def test_a_mapping_a_dataclass_and_a_named_tuple_are_a_column_per_item():
    assert columns({"loss": np.float64(1), "by": {"class": {1: 0.5}}}) == {"loss": 1.0, "by.class.1": 0.5}
    assert columns(Score(0.25, {"a": 1})) == {"loss": 0.25, "model.a": 1}
    assert columns(Pair(1, [1, 2])) == {"left": 1, "right": "[1, 2]"}


def test_a_column_whose_name_a_parameter_has_gets_a_prefix():
    assert columns({"trees": 7, "loss": 1}) == {"result.trees": 7, "loss": 1}


def test_a_list_of_mappings_is_a_row_each():
    rows = result_rows(Classifier(5), [{"epoch": 1}, {"epoch": 2, "loss": 0.1}])
    assert rows == [{"trees": 5, "epoch": 1}, {"trees": 5, "epoch": 2, "loss": 0.1}]
    assert columns([1, 2]) == {"result": "[1, 2]"}
    assert columns([]) == {"result": "[]"}


def test_a_mapping_from_tasks_is_a_row_per_task_with_its_parameters():
    experiments = [Experiment(Classifier(trees), seed) for seed in range(2) for trees in range(11)]
    experiments += map(Scaled, list(experiments))
    task = Evaluation(experiments)
    rows = result_rows(task, {item: {"log_loss": np.float64(0.5)} for item in experiments})
    assert len(rows) == 44
    params = {"classifier": "Classifier", "classifier.trees": 1, "seed": 0}
    assert rows[1] == {"type": "Experiment", **params, "log_loss": 0.5}
    assert (rows[-1]["type"], rows[-1]["params.type"], rows[-1]["experiment.seed"]) == ("Scaled", "minmax", 1)


def test_tasks_in_a_parameter_are_counted_by_type():
    (row,) = result_rows(Evaluation([Classifier(1), Classifier(2), Experiment(Classifier())]), 1)
    assert row == {"experiments": "2 Classifier, 1 Experiment", "result": 1}
    assert result_rows(Evaluation([1, 2]), 1) == [{"experiments": [1, 2], "result": 1}]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (np.zeros((1797, 10)), "ndarray float64 (1797, 10)"),
        (pd.DataFrame(np.zeros((100, 4)), columns=list("abcd")), "DataFrame 100x4"),
        (pd.DataFrame({"dtype": [1], "columns": [2]}), "DataFrame 1x2"),
        (pd.Series([1.0, 2.0]), "Series float64 (2,)"),
        (Classifier(5), "Classifier(trees=5)"),
        (b"\x00" * 9, "bytes of 9"),
        (Counter("abc"), "Counter of 3"),
        ({}, "{}"),
        ([np.zeros(3), Odd()], "[ndarray float64 (3,), <Odd>]"),
        (Odd(), "<Odd>"),
        (object(), "<object object>"),
        (Score, "<class 'test_results.Score'>"),
    ],
    ids=map(str, count()),  # pytest would look into the odd ones
)
def test_anything_else_is_described_in_a_few_words(value, text):
    assert describe(value) == text


def test_a_description_is_one_line_of_at_most_the_width():
    text = columns(make_pipeline(StandardScaler(), LogisticRegression()))["result"]
    assert text.startswith("Pipeline(steps=[('standardscaler', StandardScaler()), (")
    assert text.endswith("…") and len(text) == 60 and "\n" not in text
    assert describe("x" * 100, 10) == "x" * 9 + "…"


def test_odd_objects_never_raise():
    loop: dict[str, Any] = {"one": 1}
    loop["again"] = loop
    assert columns(Odd()) == {"result": "<Odd>"}
    assert columns({"fine": 1, "odd": Odd()}) == {"fine": 1, "odd": "<Odd>"}
    assert columns(loop)["one"] == 1
    assert columns(dict.fromkeys(range(1000), 1.0))["result"].startswith("{0: 1.0, 1: 1.0")


def test_no_foreign_package_is_imported():
    code = "import sys, labtech_cli.report.results; print({'numpy', 'pandas', 'rich'} & set(sys.modules))"
    assert subprocess.check_output([sys.executable, "-c", code], text=True) == "set()\n"
