"""Stored parameters are typed, readable text that gives back the same values."""

from __future__ import annotations

import json
import sys
from typing import Any

import core_values
import pytest
from core_values import TASKS, Colour, Leaf, Node, Perm, chain
from hypothesis import given

from labtech_cli.core.codec import Undecodable, decode_params, encode_params, present_params
from labtech_cli.core.key import find_member
from labtech_cli.core.order import dependencies_first
from labtech_cli.core.task import restore


def _decode(made: Any) -> Any:
    by_key = {item.cache_key: item for item in dependencies_first([made])}
    values = decode_params(
        encode_params(made),
        by_key.__getitem__,
        lambda kind, name: find_member(getattr(core_values, kind.removeprefix("core_values.")), name),
    )
    return restore(type(made), made.code_version, None, values.values())


@given(TASKS)
def test_decoding_what_was_encoded_gives_the_same_task(made: Any) -> None:
    assert _decode(made) == made


@given(TASKS)
def test_the_text_is_one_line_of_json_that_any_file_can_hold(made: Any) -> None:
    text = encode_params(made)
    assert "\n" not in text
    text.encode("utf-8")

    def refuse(name: str) -> None:
        raise AssertionError(f"{name} is not JSON")

    json.loads(text, parse_constant=refuse)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ([1, 1.0, True, None, "é"], '[1,1.0,true,null,"é"]'),
        (Colour.RED, '{"$enum":"core_values.Colour","name":"RED"}'),
        (Perm.R | Perm.X, '{"$enum":"core_values.Perm","name":"R|X"}'),
        (float("nan"), '{"$float":"nan"}'),
        (-float("inf"), '{"$float":"-inf"}'),
        (-0.0, "-0.0"),
        (-(2**64), '{"$int":"-10000000000000000"}'),
        ({"a": 1}, '{"a":1}'),
        ({"$task": 1}, '{"$dict":{"$task":1}}'),
        ("\ud800", '"\\ud800"'),
        (Leaf(1), f'{{"$task":"{Leaf(1).cache_key}"}}'),
    ],
)
def test_the_text_is_what_it_was_in_the_first_release(value: Any, text: str) -> None:
    assert encode_params(Leaf(value)) == f'{{"value":{text}}}'


def test_only_keys_of_nested_tasks_are_kept() -> None:
    assert len(encode_params(chain(10_000))) < 100


def test_present_params_shows_plain_json_with_tasks_as_the_caller_wants_them() -> None:
    text = encode_params(Node([Leaf(1), Colour.RED, float("inf")], {"$a": {"b": 2**70}}, "n"))
    shown = present_params(text, lambda key: "task " + key[:1])
    assert shown == {
        "left": ["task " + Leaf(1).cache_key[:1], "RED", "inf"],
        "right": {"$a": {"b": 2**70}},
        "name": "n",
    }


def test_present_params_can_always_be_written_as_json() -> None:
    huge = 10**10_000
    shown = present_params(encode_params(Leaf([huge, -huge])), str)
    assert shown == {"value": [hex(huge), hex(-huge)]}
    assert sys.get_int_max_str_digits() < 10_000
    json.dumps(shown)


@pytest.mark.parametrize("text", ["[]", "3", '"x"', "null"])
def test_text_that_is_no_table_is_undecodable(text: str) -> None:
    with pytest.raises(Undecodable):
        decode_params(text, str, find_member)  # type: ignore[arg-type]
