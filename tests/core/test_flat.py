"""Values with their tasks taken out are plain data, and come back whole."""

from __future__ import annotations

import pickle
from typing import Any

from core_values import VALUES, Leaf
from frozendict import frozendict
from hypothesis import given

from labtech_cli.core.flat import pack, unpack
from labtech_cli.core.order import same


@given(VALUES)
def test_unpack_reverses_pack(value: Any) -> None:
    frozen = Leaf(value).value
    packed, tasks = pack([frozen, 1])
    again = unpack(pickle.loads(pickle.dumps(packed)), tasks)
    assert same(again, (frozen, 1))


def test_tasks_are_listed_in_the_order_of_their_holes() -> None:
    packed, tasks = pack([Leaf(1), (Leaf(2), frozendict(a=Leaf(1))), "x"])
    assert packed == (..., (..., {"a": ...}), "x")
    assert tasks == [Leaf(1), Leaf(2), Leaf(1)]


def test_no_parameter_can_be_mistaken_for_a_hole() -> None:
    import pytest

    from labtech_cli.errors import TaskError

    with pytest.raises(TaskError, match="ellipsis"):
        Leaf(...)
