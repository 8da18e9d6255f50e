"""Keys: two tasks share one exactly when type, version and parameters are the same, typed, everywhere."""

from __future__ import annotations

import math
import os
import subprocess
import sys
from enum import Enum, IntFlag
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from core_values import VALUES, Colour, Leaf, Level, Node, Perm, Word, chain, ladder
from frozendict import frozendict
from golden_tasks import Golden, Mode, Paint, Versioned
from hypothesis import given
from hypothesis import strategies as st

from labtech_cli.core.key import enum_name, find_member, freeze, member_name
from labtech_cli.errors import TaskError


class Bits(IntFlag):
    ONE = 1
    TWO = 2


class Pair(NamedTuple):
    x: int
    y: int


class MyStr(str): ...


class MyInt(int): ...


class MyFloat(float): ...


class MyList(list[Any]): ...


class MyTuple(tuple[Any, ...]): ...


class MyDict(dict[str, Any]): ...


DIFFERENT: list[Any] = [
    None, False, True, 0, 1, -1, 0.0, -0.0, 1.0, math.nan, math.inf, -math.inf, "", "1", "None", "nan", "True",
    (), (1,), ((1,),), (1, 1), ("1",), (1.0,), (None,), {}, {"a": 1}, {"a": 1.0}, {"a": (1,)}, {"b": 1}, ({},),
    (("a", 1),), ("a", "b"), ("ab",), ("ab", ""), ("", "ab"), 2**64, 2**64 + 1, float(2**64), "e\u0301", "\u00e9",
    "\ud800",
    Colour.RED, Colour.GREEN, Level.LOW, Word.A, "a", "RED", Perm.R, Perm.W, Perm.RW, Perm.R | Perm.X, Perm(0),
    Bits(0), Bits(1), Bits(3), Bits(8), Bits(9), Leaf(1), Leaf(1.0), Leaf(True), Node(1), (Leaf(1),), {"a": Leaf(1)},
    Leaf(Leaf(1)), Leaf(1).cache_key,
]  # fmt: skip


def _model(value: Any) -> Any:
    """What identity is, said another way: nested tuples of type names and exact texts."""
    if isinstance(value, Enum):
        return type(value).__name__, value.value
    if type(value) is float:
        return "float", value.hex()
    if isinstance(value, (list, tuple)):
        return "tuple", tuple(_model(item) for item in value)
    if isinstance(value, (dict, frozendict)):
        return "dict", frozenset((name, _model(item)) for name, item in value.items())
    if type(value) in (str, int, bool, type(None)):
        return type(value).__name__, value
    return type(value).__name__, tuple(_model(getattr(value, name)) for name in ("value", "left", "right", "name")
                                       if hasattr(value, name))  # fmt: skip


def test_every_two_different_values_make_different_tasks() -> None:
    keys = [Leaf(value).cache_key for value in DIFFERENT]
    assert len(set(keys)) == len(keys)
    assert len({*map(Leaf, DIFFERENT)}) == len(keys)


@given(VALUES, VALUES)
def test_tasks_are_equal_hash_alike_and_share_a_key_exactly_when_their_values_are_the_same(a: Any, b: Any) -> None:
    left, right = Leaf(a), Leaf(b)
    expected = _model(a) == _model(b)
    assert (left == right) is expected
    assert (left != right) is not expected
    assert (left.cache_key == right.cache_key) is expected
    assert not expected or hash(left) == hash(right)


@given(st.dictionaries(st.text(max_size=3), VALUES, max_size=5), st.randoms())
def test_the_order_of_dict_keys_does_not_matter(values: dict[str, Any], random: Any) -> None:
    items = list(values.items())
    random.shuffle(items)
    assert Leaf(values) == Leaf(dict(items))
    assert Leaf([values]) == Leaf([frozendict(items)])


def test_every_nan_is_the_same() -> None:
    assert Leaf(float("nan")) == Leaf(-float("nan")) == Leaf(math.inf - math.inf)


def test_lists_become_tuples_and_dicts_become_frozendicts_at_every_depth() -> None:
    value = Leaf({"a": [1, {"b": [2]}]}).value
    assert value == frozendict(a=(1, frozendict(b=(2,))))
    assert type(value["a"]) is tuple and type(value["a"][1]) is frozendict
    assert Leaf([1, [2]]) == Leaf((1, (2,)))


def test_later_changes_of_a_list_or_dict_do_not_reach_the_task() -> None:
    inner = [1]
    made = Leaf({"a": inner})
    key = made.cache_key
    inner.append(2)
    assert made.value == {"a": (1,)} and made.cache_key == key == Leaf({"a": [1]}).cache_key


@pytest.mark.parametrize(
    ("given_", "plain"),
    [
        (MyStr("a"), "a"),
        (MyInt(3), 3),
        (MyFloat(0.5), 0.5),
        (MyList([1]), (1,)),
        (MyTuple((1,)), (1,)),
        (MyDict(a=1), frozendict(a=1)),
        ({MyStr("a"): 1}, frozendict(a=1)),
    ],
)
def test_subclasses_of_plain_types_become_the_plain_type(given_: Any, plain: Any) -> None:
    made = Leaf(given_)
    assert made == Leaf(plain)
    assert type(made.value) is type(plain) and made.value == plain


def test_scalars_of_numpy_that_are_floats_become_floats() -> None:
    numpy = pytest.importorskip("numpy")
    assert Leaf(numpy.float64(0.5)) == Leaf(0.5)
    assert type(Leaf(numpy.str_("a")).value) is str
    with pytest.raises(TaskError, match=r"\.item\(\)"):
        Leaf(numpy.int64(1))


def test_the_order_in_which_parameters_are_declared_does_not_matter_and_their_names_do() -> None:
    assert Node("a", "b") != Node("b", "a")
    assert Node(left=1, right=2) == Node(right=2, left=1)


def _cyclic() -> list[Any]:
    value: list[Any] = []
    value.append(value)
    return value


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (object(), ["Leaf", "'value'", "'object'", "(at value)"]),
        ([1, {"a": (b"x",)}], ["'bytes'", "(at value[1]['a'][0])", "dependency's result"]),
        ({1: 2}, ["'int'", "(at value[1])", "dict keys must be strings"]),
        ({"a": {None: 2}}, ["'NoneType'", "(at value['a'][None])", "dict keys must be strings"]),
        ({1, 2}, ["'set'", "(at value)"]),
        (1j, ["'complex'"]),
        (Pair(1, 2), ["'Pair'", "give a dict"]),
        ([Leaf], ["'type'", "(at value[0])", "it is a task type, not a task"]),
        (_cyclic(), ["'value'", "nested too deeply, or contains itself"]),
        (Path("x"), ["Path", "(at value)"]),
    ],
)
def test_anything_else_is_an_error_that_names_type_parameter_and_path(value: Any, words: list[str]) -> None:
    with pytest.raises(TaskError) as caught:
        Leaf(value)
    for word in words:
        assert word in str(caught.value)


def test_a_parameter_of_four_hundred_levels_is_kept_whole() -> None:
    value: Any = 0
    for _ in range(400):
        value = [value]
    assert Leaf(value) == Leaf(value)
    assert repr(Leaf(value)).count("(") == 401


def test_huge_integers_have_keys() -> None:
    assert Leaf(10**10_000) == Leaf(10**10_000)
    assert Leaf(10**10_000) != Leaf(10**10_000 + 1)


@given(VALUES)
def test_freezing_what_is_frozen_changes_nothing(value: Any) -> None:
    found: list[Any] = []
    frozen, encoded = freeze(value, found)
    assert freeze(frozen, []) == (frozen, encoded) or "nan" in repr(value)
    assert freeze(frozen, [])[1] == encoded


@pytest.mark.parametrize("member", [*Colour, *Level, *map(Perm, range(8)), *map(Bits, range(16))])
def test_an_enum_member_is_found_again_by_its_name(member: Enum) -> None:
    assert find_member(type(member), member_name(member)) is member


@pytest.mark.parametrize(("kind", "name"), [(Colour, "BLUE"), (Perm, "Q"), (Perm, "R|Q"), (Perm, "99"), (Perm, "")])
def test_a_name_that_an_enum_does_not_have_is_a_key_error(kind: type[Enum], name: str) -> None:
    with pytest.raises(KeyError):
        find_member(kind, name)


def test_an_alias_of_a_member_is_that_member() -> None:
    assert Leaf(Colour.CRIMSON) == Leaf(Colour.RED)
    assert enum_name(Colour).endswith("core_values.Colour")


GOLDEN: dict[str, tuple[Any, str]] = {
    "none": (None, "0fd86607e73edb2b3062310ff03cfcee"),
    "true": (True, "a0719ae19e4d3f2b229a1acb75433b1d"),
    "one": (1, "8e770c38ed219a9eea2e78636897db81"),
    "minus one": (-1, "85eee0a0c072ca768f716ed0c62807d3"),
    "large": (2**100, "962931cfbaeddcfbedece2b0bedc6fc7"),
    "one point oh": (1.0, "f604f83cc7166fb9fae40a2cabeccab1"),
    "minus zero": (-0.0, "6f9d0ffb4f4636cf6d8a24fc2dec13c8"),
    "nan": (math.nan, "7cbc25126837c2e1ad2844ac68cc6fc8"),
    "infinity": (math.inf, "cb50576983a2af0ee65146bdc119e8d1"),
    "text": ("text \u00e9 \U0001f600", "9b7c40592c70255573eee8a0ed003348"),
    "surrogate": ("\ud800", "42c64a30d63c9137c1975f755a26c67b"),
    "empty": ((), "ce178b9901e8e7f8e13cf1f1451bd5d5"),
    "nested": ([1, [2.0, {"b": None, "a": [True]}]], "d3ce49c32cb6214c8beb4d632d3b1ddc"),
    "member": (Paint.RED, "8fc67b57a4aa90bdb5dbf191566a2ef8"),
    "flags": (Mode.R | Mode.W, "5e7ff714b24ef9601c746e0f92e45534"),
    "unnamed flag": (Mode.R | Mode(8), "03860b3d1489ffb96edc17eb9e97b9f3"),
    "no flag": (Mode(0), "947f3c4b6dc74c89160ee0480e9abdab"),
    "task": (Versioned(), "71e8ffbf9b9c2c4fc3f2db41d625c389"),
    "tasks": ({"x": [Versioned(2), Versioned(2, "y")]}, "83c54ac25784ea0753c1405c4fcd3506"),
}


@pytest.mark.parametrize("name", GOLDEN)
def test_keys_are_what_they_were_in_the_first_release(name: str) -> None:
    value, key = GOLDEN[name]
    assert Golden(value).cache_key == key


def test_a_key_is_thirty_two_hexadecimal_digits() -> None:
    key = Leaf(1).cache_key
    assert len(key) == 32 and int(key, 16) >= 0 and key == key.lower()


def test_another_process_with_another_hash_seed_makes_the_same_keys() -> None:
    code = (
        "import test_key as t\n"
        "for value, _ in t.GOLDEN.values(): print(t.Golden(value).cache_key)\n"
        "print(t.Leaf({str(n): n for n in range(50)}).cache_key)"
    )
    expected = [Golden(value).cache_key for value, _ in GOLDEN.values()]
    expected.append(Leaf({str(n): n for n in range(50)}).cache_key)
    for seed in ("1", "4242"):
        done = subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": str(Path(__file__).parent)},
            capture_output=True,
            text=True,
            check=True,
        )
        assert done.stdout.split() == expected


def test_the_cost_of_a_key_is_that_of_its_own_parameters() -> None:
    """A ladder of a thousand levels has 2**1000 paths: only its distinct tasks are ever encoded."""
    assert ladder(1_000) == ladder(1_000)
    assert len({chain(10_000), chain(10_000), chain(9_999)}) == 2
