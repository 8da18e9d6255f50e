"""Differences in words."""

from __future__ import annotations

import json
from enum import Enum
from typing import Any

import pytest

from labtech_cli import task
from labtech_cli.cli.differing import difference_json, difference_text, task_text
from labtech_cli.core.graph import Graph
from labtech_cli.store.nearest import Descriptions, differences


class Kind(Enum):
    SMALL = 1


@task
class One:
    x: Any = None

    def run(self) -> None: ...


@task
class Two:
    x: Any = None

    def run(self) -> None: ...


def known(*tasks: Any) -> Descriptions:
    graph = Graph(tasks)
    return Descriptions({}, lambda key: graph.tasks[graph.index[key]] if key in graph.index else None)


@pytest.mark.parametrize(
    ("before", "after", "text"),
    [
        (1, 1.0, "x 1 -> 1.0"),
        ("a", None, "x 'a' -> None"),
        (Kind.SMALL, float("nan"), "x Kind.SMALL -> nan"),
        (True, 2**70, f"x True -> {2**70}"),
        ([1], [1, {"a": One()}], "x[1] added: {'a': One(…)}"),
        ({"a b": 1}, {}, "x['a b'] removed: 1"),
        (One(1), One(2), "x.x 1 -> 2"),
        (One(1), Two(1), "x: One -> Two"),
        (One(1), 3, "x One(…) -> 3"),
        ("a" * 200, "", f"x '{'a' * 78}… -> ''"),
    ],
)
def test_a_difference_is_told_in_a_few_words(before: Any, after: Any, text: str) -> None:
    there, here = One(before), One(after)
    place = known(there, here)
    (found,) = differences(place, there.cache_key, here.cache_key)
    assert difference_text(found, place) == text
    document = difference_json(found, place)
    assert document["text"] == text and json.loads(json.dumps(document, allow_nan=False)) == document


def test_an_unknown_task_is_named_by_its_key() -> None:
    place = known(One(1))
    (found,) = differences(place, "0" * 32, One(1).cache_key)
    assert difference_text(found, place) == f"the task: {'0' * 12} -> {One(1).cache_key[:12]} (not described)"
    assert task_text("0" * 32, place) == f"task {'0' * 32}" and task_text(One(1).cache_key, place) == "One(x=1)"
