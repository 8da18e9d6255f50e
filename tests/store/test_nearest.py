"""How tasks differ, and which result is nearest."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from memory_storage import MemoryStorage, remember
from migrate_tasks import Fit, Grown, Kind, Loose, Report, Train

from labtech_cli import task
from labtech_cli.core.graph import Graph
from labtech_cli.core.task import type_of
from labtech_cli.store.nearest import Descriptions, Difference, Nearest, Versionless, _candidates, differences, path_to
from labtech_cli.store.records import Row

ATOMS = st.one_of(st.none(), st.booleans(), st.integers(-1, 1), st.floats(), st.text(max_size=1), st.sampled_from(Kind))
VALUES = st.recursive(
    ATOMS | st.integers(),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(st.sampled_from(["a", "b c", "$task", "$enum"]), inner, max_size=2),
        st.builds(Train, inner),
        st.builds(Report, inner),
        st.builds(Loose, inner),
    ),
    max_leaves=8,
)


def known(*tasks: Any) -> Descriptions:
    graph = Graph(tasks)
    return Descriptions({}, lambda key: graph.tasks[graph.index[key]] if key in graph.index else None)


def told(before: Any, after: Any) -> list[tuple[Any, ...]]:
    return [tuple(item) for item in differences(known(before, after), before.cache_key, after.cache_key)]


@settings(deadline=None)
@given(VALUES, VALUES)
def test_there_are_no_differences_exactly_when_the_keys_are_the_same(one: Any, other: Any) -> None:
    before, after = Report(one), Report(other)
    assert (not told(before, after)) is (before.cache_key == after.cache_key)


@settings(deadline=None)
@given(VALUES, VALUES)
def test_what_was_added_one_way_is_removed_the_other_way(one: Any, other: Any) -> None:
    there, back = told(Report(one), Report(other)), told(Report(other), Report(one))
    names = {"added": "removed", "removed": "added"}
    assert sorted((path, names.get(kind, kind)) for path, kind, *_ in there) == sorted(
        (path, kind) for path, kind, *_ in back
    )


@settings(deadline=None)
@given(VALUES, VALUES)
def test_a_bound_is_never_above_the_number_of_differences(one: Any, other: Any) -> None:
    before, after = Train(one, other), Train(other, one)
    place = known(before, after)
    description = place(after.cache_key)
    assert description is not None
    bounds = [item.bound(description) for item in _candidates([row(before)])]
    assert bounds[0] <= len(told(before, after))


def test_differences_are_typed_and_followed_into_nested_tasks() -> None:
    assert told(Train(1), Train(1.0)) == [("lr", "value", 1, 1.0)]
    assert told(Train(0.0), Train(-0.0)) == [("lr", "value", 0.0, -0.0)]
    assert told(Train({"a": 1, "b c": 2}), Train({"a": 2, "d": 3})) == [
        ("lr.a", "value", 1, 2),
        ("lr.d", "added", None, 3),
        ("lr['b c']", "removed", 2, None),
    ]
    assert told(Report([Train(1), Train(Train(2))]), Report([Train(1), Train(Train(3))])) == [
        ("parts[1].lr.lr", "value", 2, 3)
    ]
    assert [item[:2] for item in told(Report(Train(1)), Report(Fit(1)))] == [("parts", "type")]
    assert [item[:2] for item in told(Report([Train(1)]), Report([Train(0), Train(1)]))] == [("parts[0]", "added")]


def test_another_version_is_a_difference_of_its_own() -> None:
    fit = Fit(1)
    older = Descriptions({"0" * 32: (type_of(fit).name, "v1", '{"rate":1,"momentum":0.9}')}, known(fit)._at_hand)
    assert differences(older, "0" * 32, fit.cache_key) == [Difference("code_version", "code_version", "v1", "v2")]


def test_what_is_not_described_differs_as_a_whole() -> None:
    place = known(Train(1))
    assert differences(place, "0" * 32, Train(1).cache_key) == [Difference("", "task", "0" * 32, Train(1).cache_key)]


def test_deep_and_shared_dependencies_cost_nothing_extra() -> None:
    one: Any = Train(0)
    other: Any = Train(1)
    for _ in range(3_000):
        one, other = Report([one, one]), Report([other, other])
    assert len(told(one, other)) == 1
    place = known(one, other)
    assert path_to(place, one.cache_key, type_of(Train(0)).name) == "parts[0]" + ".parts[0]" * 2_999
    names = Versionless(place)
    assert names.name(one.cache_key) != names.name(other.cache_key)


def row(made: Any, at: float = 0.0) -> Row:
    from labtech_cli.core.codec import encode_params

    kind = type_of(made)
    return Row(made.cache_key, kind.name, made.code_version, encode_params(made), "pickle", at, 1.0, 1)


def among(rows: Sequence[Row]) -> Callable[[str, Sequence[str]], list[Row]]:
    """A search of these results."""

    class Rows(MemoryStorage):
        def rows(self, keys: Any = None) -> Iterator[Row]:
            return iter(rows)

    return lambda kind, texts: Rows().alike(kind, texts, 5_000)


def nearest(made: Any, *rows: Row, others: tuple[Any, ...] = ()) -> str | None:
    return Nearest(known(made, *others), among(rows)).to(made.cache_key)


def test_the_nearest_has_the_fewest_differences_then_is_the_newest() -> None:
    rows = [row(Train(1, "a"), 3), row(Train(2, "b"), 1), row(Train(3, "b"), 2), row(Grown(1), 9)]
    assert nearest(Train(4, "b"), *rows) == Train(3, "b").cache_key
    assert nearest(Train(1, "b"), *rows) == Train(1, "a").cache_key
    assert nearest(Report(1), *rows) is None
    assert nearest(Train(2, "b"), row(Train(2, "b"))) is None


def test_nested_tasks_decide_which_is_nearest() -> None:
    near, far = Report(Train(1, "a")), Report(Train(2, "b"))
    rows = [row(near, 1), row(far, 2)]
    assert nearest(Report(Train(1, "c")), *rows, others=(near, far)) == near.cache_key


def test_a_damaged_description_is_passed_over() -> None:
    bad = Row("0" * 32, type_of(Train(1)).name, None, "{", "pickle", 9.0, 1.0, 1)
    odd = Row("1" * 32, bad.type, None, '{"lr": {"$enum": 1}}', "pickle", 9.0, 1.0, 1)
    assert nearest(Train(1), bad, odd, row(Train(2))) == Train(2).cache_key


@pytest.mark.slow
def test_a_hundred_thousand_results_are_searched_in_no_time() -> None:
    rows = [
        Row(f"{number:032x}", "migrate_tasks.Train", None, f'{{"lr":{number},"note":{{"$task":"{number:032x}"}}}}',
            "pickle", number, 1.0, 1)
        for number in range(100_000)
    ]  # fmt: skip
    search = Nearest(known(Train(7, Train(1))), among(rows))
    began = time.process_time()
    assert search.to(Train(7, Train(1)).cache_key) is not None
    assert time.process_time() - began < 6.0  # about 1 s on an idle machine


@settings(deadline=None)
@given(VALUES, VALUES)
def test_without_versions_tasks_are_alike_as_they_are_with_them_where_these_are_the_same(one: Any, other: Any) -> None:
    before, after = Report(one), Report(other)
    names = Versionless(known(before, after))
    assert (names.name(before.cache_key) == names.name(after.cache_key)) is (before.cache_key == after.cache_key)


def test_tasks_that_differ_in_versions_alone_have_one_name() -> None:
    storage = MemoryStorage()
    remember(storage, Report([Train(1)]))
    described = storage.described()
    inner, outer = Train(1).cache_key, Report([Train(1)]).cache_key
    described["1" * 32] = described[inner][0], "v9", described[inner][2]
    described["2" * 32] = described[outer][0], None, described[outer][2].replace(inner, "1" * 32)
    names = Versionless(Descriptions(described))
    assert names.name("2" * 32) == names.name(outer) and names.name("1" * 32) == names.name(inner)


def test_a_cycle_in_a_damaged_storage_ends() -> None:
    described = {"1" * 32: ("m.A", None, f'{{"a":{{"$task":"{"2" * 32}"}}}}')}
    described["2" * 32] = "m.A", None, f'{{"a":{{"$task":"{"1" * 32}"}}}}'
    assert Versionless(Descriptions(described)).name("1" * 32)
    assert path_to(Descriptions(described), "1" * 32, "m.B") is None


@task
class Named:
    def run(self) -> None: ...


def test_the_path_to_a_type_is_the_shortest() -> None:
    made = Report([Train(Report(Named())), Train(Named())])
    place = known(made)
    assert path_to(place, made.cache_key, type_of(Named()).name) == "parts[1].lr"
    assert path_to(place, made.cache_key, type_of(made).name) == ""
    assert path_to(place, made.cache_key, "m.Other") is None
