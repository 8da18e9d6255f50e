"""Tasks shown to people and programs: exact for small ones, bounded for large ones."""

from __future__ import annotations

import json
import math
from enum import IntFlag
from typing import Any

import pytest
from core_values import TASKS, Colour, Leaf, Level, Node, Perm, chain, ladder
from frozendict import frozendict
from hypothesis import given

from labtech_cli.core.order import dependencies_first
from labtech_cli.core.present import (
    MOST_EXPANDED,
    MOST_IN_JSON,
    flatten,
    json_int,
    params_inline,
    params_json,
    render,
    value_json,
)


class Bits(IntFlag):
    ONE = 1


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "None"),
        (1.0, "1.0"),
        ("it's", '"it\'s"'),
        ([1], "(1,)"),
        ([1, 2], "(1, 2)"),
        ([], "()"),
        ({}, "frozendict({})"),
        ({"a": 1, "b": [2]}, "frozendict({'a': 1, 'b': (2,)})"),
        (Colour.RED, "Colour.RED"),
        (Level.HIGH, "Level.HIGH"),
        (Perm.R | Perm.X, "Perm.R|X"),
        (Perm(0), "Perm.0"),
        (Bits(8), "Bits.8"),
        (Leaf("x"), "Leaf(value='x')"),
        (2**3000, hex(2**3000)),
    ],
)
def test_a_task_prints_as_it_could_be_written(value: Any, text: str) -> None:
    assert repr(Leaf(value)) == f"Leaf(value={text})"


@given(TASKS)
def test_printing_never_fails_and_a_limit_is_kept(made: Any) -> None:
    text = render(made)
    assert text == repr(made)
    for limit in (0, 1, 10, len(text) - 1, len(text), len(text) + 1):
        short = render(made, limit)
        assert len(short) <= max(limit, 1)
        assert short == text if limit >= len(text) else short.endswith("…") and text.startswith(short[:-1])


def test_shared_tasks_are_written_out_while_that_is_cheap() -> None:
    shared = Leaf(1)
    assert repr(Node(shared, shared)) == "Node(left=Leaf(value=1), right=Leaf(value=1), name='')"


def test_a_ladder_prints_in_linear_space() -> None:
    small, large = len(repr(ladder(2_000))), len(repr(ladder(4_000)))
    assert large < 3 * small
    assert "Node(…)" in repr(ladder(2_000))
    assert repr(chain(MOST_EXPANDED * 3)).count("Node(") == MOST_EXPANDED * 3 - 1


def test_a_limit_stops_the_walk_early() -> None:
    assert len(render(chain(10_000), 50)) == 50


def test_json_shows_enums_by_name_and_tasks_by_type_key_and_parameters() -> None:
    inner = Leaf(Colour.GREEN)
    assert params_json(Node([inner, math.nan], {"a": -0.0}, "n")) == {
        "left": [{"type": "Leaf", "key": inner.cache_key, "params": {"value": "GREEN"}}, "nan"],
        "right": {"a": -0.0},
        "name": "n",
    }


def test_json_goes_three_levels_deep() -> None:
    shown: Any = params_json(chain(10))
    for _ in range(3):
        shown = shown["left"]["params"]
    assert "params" not in shown["left"] and len(shown["left"]["key"]) == 32


@given(TASKS)
def test_parameters_are_always_plain_json(made: Any) -> None:
    assert json.loads(json.dumps(params_json(made), allow_nan=False)) == params_json(made)


def test_json_of_many_shared_tasks_stays_small() -> None:
    """60**4 paths, 241 tasks: written out along every path it would be 800 MB."""
    layer: list[Any] = [Leaf(number) for number in range(60)]
    for level in range(3):
        layer = [Node(layer, name=f"{level} {number}") for number in range(60)]
    assert json.dumps(params_json(Node(layer))).count('"params"') == MOST_IN_JSON


def test_json_writes_the_nearest_tasks_out_first() -> None:
    made = Node([Node([Leaf(number), Leaf(-number)]) for number in range(20)])
    shown: Any = params_json(made)
    assert all("params" in node for node in shown["left"])
    assert sum("params" in leaf for node in shown["left"] for leaf in node["params"]["left"]) == MOST_IN_JSON - 20


@given(TASKS)
def test_parameters_are_made_of_those_of_each_task_alone(made: Any) -> None:
    alone = {task.cache_key: params_json(task, 0) for task in dependencies_first([made])}
    assert params_inline(alone[made.cache_key], alone.get) == params_json(made)


def test_numbers_too_large_for_decimal_digits_are_hexadecimal() -> None:
    assert value_json(10**5_000) == hex(10**5_000)
    assert value_json(10**600) == 10**600 and value_json(-5) == -5
    assert json_int(-(2**2_000)) == hex(-(2**2_000))
    assert value_json(frozendict(a=(True, None))) == {"a": [True, None]}


def test_columns_are_dotted_into_dicts_and_dependencies() -> None:
    made = Node(Leaf({"x": 1, "y": [2]}), "plain")
    assert flatten(params_json(made)) == {
        "left": "Leaf",
        "left.value.x": 1,
        "left.value.y": [2],
        "right": "plain",
        "name": "",
    }


def test_a_task_without_its_parameters_is_a_column_of_its_type() -> None:
    assert flatten({"a": {"type": "Leaf", "key": "k"}}, "p.") == {"p.a": "Leaf"}
