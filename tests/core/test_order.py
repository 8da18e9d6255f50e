"""Tasks have one total order, and dependencies come before what needs them."""

from __future__ import annotations

import math
import random
from functools import cmp_to_key
from itertools import pairwise
from typing import Any

import pytest
from core_values import TASKS, VALUES, Colour, Leaf, Level, Loose, Node, Perm, Word, chain, graphs, ladder
from hypothesis import given
from hypothesis import strategies as st

from labtech_cli.core.graph import Graph
from labtech_cli.core.order import compare, dependencies_first, same
from labtech_cli.core.task import restore

ASCENDING: list[Any] = [
    None, False, True, -(2**70), -1, 0, 1, 2**70, -math.inf, -1.0, -0.0, 0.0, 5e-324, 1.0, math.inf, math.nan,
    "", "A", "a", "aa", "\ud800", "\U0001f600",
    Colour.RED, Colour.GREEN, Level.LOW, Level.HIGH, Perm(0), Perm.R, Perm.W, Perm.RW, Perm.X, Perm.R | Perm.X,
    Word.A, Word.B,
    (), (None,), (1,), (1, 0), (1, 2), (1.0,), ("a",), ((),), (((),),),
    {}, {"a": 1}, {"a": 1, "b": 0}, {"a": 2}, {"b": 0},
    Leaf(1), Leaf(2), Leaf(1.0), Leaf(()), Loose(1), Node(1), Node(2),
]  # fmt: skip


def test_values_of_one_kind_are_in_their_natural_order_and_kinds_in_a_fixed_one() -> None:
    tasks = [Leaf(value) for value in ASCENDING]
    for position, left in enumerate(tasks):
        for other, right in enumerate(tasks):
            assert compare(left, right) == (position > other) - (position < other), (left, right)
    mixed = tasks.copy()
    random.Random(1).shuffle(mixed)
    assert sorted(mixed) == tasks


@given(TASKS, TASKS)
def test_the_order_is_antisymmetric_and_agrees_with_equality(a: Any, b: Any) -> None:
    assert compare(a, b) == -compare(b, a)
    assert (compare(a, b) == 0) is (a == b)
    assert (a < b, a <= b, a > b, a >= b) == (
        compare(a, b) < 0, compare(a, b) <= 0, compare(a, b) > 0, compare(a, b) >= 0,
    )  # fmt: skip


@given(st.lists(TASKS, min_size=3, max_size=6))
def test_the_order_is_transitive(tasks: list[Any]) -> None:
    ordered = sorted(tasks, key=cmp_to_key(compare))
    for position, left in enumerate(ordered):
        assert all(compare(left, right) <= 0 for right in ordered[position:])


@given(VALUES, VALUES)
def test_two_values_are_the_same_exactly_when_their_tasks_are(a: Any, b: Any) -> None:
    left, right = Leaf(a), Leaf(b)
    assert same(left.value, right.value) is (left == right)


def test_types_come_first_then_parameters_in_field_order_then_the_version() -> None:
    assert Leaf(9) < Loose(0) < Node(0)
    assert Node(1, 9) < Node(2, 0)
    assert restore(Loose, None, None, [1]) < restore(Loose, "v0", None, [1]) < Loose(1)
    assert Loose(1) < restore(Loose, None, None, [2])


@pytest.mark.parametrize("size", [1, 3])
def test_a_class_that_was_defined_twice_still_has_an_order(size: int) -> None:
    def define(*names: str) -> Any:
        from labtech_cli.core.decorate import task

        body = {"run": lambda self: None, "__annotations__": dict.fromkeys(names, Any), "__module__": __name__}
        return task(type("Twice", (), {**body, "__qualname__": "Twice"}))

    first, second = define("a", "b"), define(*"acdefg"[:size])
    left, right = first(1, 2), second(*range(1, size + 1))
    assert left != right
    assert compare(left, right) == -compare(right, left) != 0
    assert define("a")(1) == define("a")(1) and compare(define("a")(1), define("a")(1)) == 0


@given(graphs())
def test_each_task_comes_once_and_after_all_its_dependencies(graph: Graph) -> None:
    targets = [graph.tasks[number] for number in graph.targets]
    seen: set[Any] = set()
    for item in dependencies_first(targets):
        assert item not in seen
        assert set(item._labtech_deps) <= seen
        seen.add(item)
    assert set(targets) <= seen


def test_dependencies_first_is_linear_in_a_ladder_and_needs_no_recursion_in_a_chain() -> None:
    assert len(list(dependencies_first([ladder(1_000)]))) == 2 + 2_000 + 1
    items = list(dependencies_first([chain(10_000)]))
    assert len(items) == 10_000
    assert all(item in other._labtech_deps for item, other in pairwise(items))


def test_the_order_does_not_depend_on_how_tasks_were_made() -> None:
    again = [item.cache_key for item in dependencies_first([ladder(5), Leaf(1)])]
    assert again == [item.cache_key for item in dependencies_first([ladder(5)])]
