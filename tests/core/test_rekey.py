"""The key of a stored description is the key of the task it describes."""

from __future__ import annotations

from typing import Any

import pytest
from core_values import TASKS, Colour, Leaf, Level, Loose, Node, Perm, Word, chain
from hypothesis import given

from labtech_cli.core.codec import encode_params, encode_value, read_params, write_params
from labtech_cli.core.key import freeze
from labtech_cli.core.order import dependencies_first
from labtech_cli.core.rekey import UNREADABLE, references, rewritten, stored_key
from labtech_cli.core.task import type_of


def described(made: Any) -> tuple[str, str | None, dict[str, Any]]:
    return type_of(made).name, made.code_version, read_params(encode_params(made))


@given(TASKS)
def test_a_description_has_the_key_of_its_task(made: Any) -> None:
    for item in dependencies_first([made]):
        assert stored_key(*described(item)) == item.cache_key


@pytest.mark.parametrize(
    "value",
    [
        float("nan"),
        -float("nan"),
        float("inf"),
        -float("inf"),
        -0.0,
        0.0,
        5e-324,
        1e300,
        1,
        1.0,
        True,
        False,
        None,
        2**63,
        2**63 - 1,
        -(2**63),
        -(2**64),
        pytest.param(1 << 20_000, id="very large"),
        "",
        "é\U0001f600",
        "\ud800",
        "a\udfffb",
        Colour.CRIMSON,
        Level.HIGH,
        Word.A,
        Perm(0),
        Perm.RW | Perm.X,
        {"b": 1, "a": (2, [3])},
        {"$task": "x"},
        {"$dict": {"$enum": 1, "name": 2}},
        {"x": {"$float": "nan"}},
        {"": {}},
        [],
        [[], {}],
        [Leaf(1), Loose(Leaf(2)), {"t": Leaf(None)}],
    ],
)
def test_odd_values_have_the_key_of_their_task(value: Any) -> None:
    for made in (Leaf(value), Loose(value), Node(value, [value], "n")):
        assert stored_key(*described(made)) == made.cache_key


def test_the_order_of_stored_fields_does_not_matter() -> None:
    name, version, values = described(Node(1, Leaf(2), "x"))
    assert stored_key(name, version, dict(reversed(values.items()))) == Node(1, Leaf(2), "x").cache_key


def test_long_chains_are_no_recursion() -> None:
    made = chain(3_000)
    assert all(stored_key(*described(item)) == item.cache_key for item in dependencies_first([made]))


@given(TASKS)
def test_references_are_the_dependencies(made: Any) -> None:
    tasks, _ = references(described(made)[2])
    assert set(tasks) == {item.cache_key for item in made._labtech_deps}


@given(TASKS)
def test_rewriting_by_the_same_changes_nothing(made: Any) -> None:
    _, _, values = described(made)
    same = {name: rewritten(value, lambda key: key, lambda *member: member) for name, value in values.items()}
    assert write_params(same) == encode_params(made)


def test_rewriting_replaces_tasks_and_members_wherever_they_are() -> None:
    made = Node({"$x": [Leaf(1), Colour.RED]}, (Colour.RED, {"name": Leaf(1)}), "RED")
    _, _, values = described(made)
    changed = {
        name: rewritten(value, lambda key: Leaf(2).cache_key, lambda kind, name: (kind, "GREEN"))
        for name, value in values.items()
    }
    wanted = Node({"$x": [Leaf(2), Colour.GREEN]}, (Colour.GREEN, {"name": Leaf(2)}), "RED")
    assert write_params(changed) == encode_params(wanted)
    assert set(references(values)[1]) == {"core_values.Colour"}


def test_a_user_s_dict_that_looks_like_a_reference_is_none() -> None:
    _, _, values = described(Leaf([{"$task": "x"}, {"$enum": "y", "name": "z"}]))
    assert references(values) == ({}, {})


def test_values_that_no_task_made_are_encoded_alike() -> None:
    value = [1, 2.5, float("inf"), {"$a": None}, 2**80]
    assert encode_value(freeze(value, [])[0]) == read_params(encode_params(Leaf(value)))["value"]


@pytest.mark.parametrize(
    "values", [{"a": {"$enum": 1}}, {"a": {"$float": "x"}}, {"a": {"$dict": 3}}, {"a": {"$enum": "k"}}]
)
def test_damaged_descriptions_raise_what_callers_expect(values: dict[str, Any]) -> None:
    with pytest.raises(UNREADABLE):
        stored_key("m.T", None, values)
