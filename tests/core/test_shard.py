"""The shards of a plan are disjoint and complete, alike on every machine, and about equally long."""

from __future__ import annotations

import time
from typing import Any

import pytest
from core_values import Leaf, Node, graphs
from hypothesis import given
from hypothesis import strategies as st

from labtech_cli.core.graph import Graph
from labtech_cli.core.plan import Action, make_plan
from labtech_cli.core.shard import SLACK, Shard, Split, parse_shard, split_targets
from labtech_cli.errors import ConfigError


class Case:
    """A plan for some targets, and its split; durations by key."""

    def __init__(
        self, targets: list[Any], seconds: dict[Any, float], shards: int, cached: tuple[Any, ...] = ()
    ) -> None:
        self.graph = Graph(targets)
        self.plan = make_plan(self.graph, {item.cache_key for item in cached})
        self.shards = shards
        by_key = {item.cache_key: value for item, value in seconds.items()}
        self.split: Split = split_targets(
            self.plan, [by_key.get(item.cache_key, 1.0) for item in self.graph.tasks], shards
        )

    def parts(self) -> list[set[Any]]:
        """The targets of each shard."""
        found: list[set[Any]] = [set() for _ in range(self.shards)]
        for number, shard in zip(self.graph.targets, self.split.shards, strict=True):
            found[shard].add(self.graph.tasks[number])
        return found


def lpt(costs: list[float], shards: int) -> float:
    """The longest shard when the longest item always goes to the shard that has least."""
    loads = [0.0] * shards
    for cost in sorted(costs, reverse=True):
        loads[loads.index(min(loads))] += cost
    return max(loads)


@st.composite
def cases(draw: st.DrawFn) -> tuple[Graph, dict[Any, float], int, tuple[Any, ...]]:
    graph = draw(graphs())
    times = st.floats(0, 1e5) | st.sampled_from([0.0, 0.001, 1.0, 60.0])
    seconds = {item: draw(times) for item in graph.tasks}
    cached = draw(st.sets(st.sampled_from(graph.tasks)))
    return graph, seconds, draw(st.integers(1, 9)), tuple(cached)


@given(cases(), st.randoms(use_true_random=False))
def test_shards_are_disjoint_complete_and_the_same_for_any_order_of_targets(drawn: Any, random: Any) -> None:
    graph, seconds, shards, cached = drawn
    targets = [graph.tasks[number] for number in graph.targets]
    case = Case(targets, seconds, shards, cached)
    parts = case.parts()
    assert sum(map(len, parts)) == len(targets) and set().union(*parts) == set(targets)
    assert len(case.split.seconds) == shards and min(case.split.seconds) >= 0
    random.shuffle(targets)
    again = Case(targets, dict(reversed(seconds.items())), shards, cached)
    assert again.parts() == parts
    assert (again.split.code, again.split.seconds) == (case.split.code, case.split.seconds)


@given(cases())
def test_what_a_shard_is_said_to_do_is_what_it_has_to_do(drawn: Any) -> None:
    graph, seconds, shards, cached = drawn
    case = Case([graph.tasks[number] for number in graph.targets], seconds, shards, cached)
    for part, told in zip(case.parts(), case.split.seconds, strict=True):
        mine = Graph(sorted(part))
        actions = make_plan(mine, {item.cache_key for item in cached}).actions
        work = [seconds[item] for item, action in zip(mine.tasks, actions, strict=True) if action is Action.RUN]
        assert told == pytest.approx(sum(work), rel=0.06, abs=0.001 * len(work))  # rounded to two digits


@given(st.lists(st.integers(1, 99), min_size=1, max_size=60), st.integers(1, 9))
def test_targets_that_share_nothing_are_balanced_as_lpt_does(weights: list[int], shards: int) -> None:
    targets = [Leaf(position) for position in range(len(weights))]
    case = Case(targets, {item: float(weight) for item, weight in zip(targets, weights, strict=True)}, shards)
    assert max(case.split.seconds) == lpt([float(weight) for weight in weights], shards)


@given(
    st.lists(st.tuples(st.integers(0, 200), st.lists(st.integers(1, 50), min_size=1, max_size=12)), max_size=8),
    st.integers(1, 6),
)
def test_keeping_dependencies_together_costs_a_tenth_at_most(groups: Any, shards: int) -> None:
    seconds: dict[Any, float] = {}
    for name, (dear, cheap) in enumerate(groups):
        shared = Leaf(name)
        seconds[shared] = dear
        seconds |= {Node(shared, position, str(name)): one for position, one in enumerate(cheap)}
    targets = [item for item in seconds if isinstance(item, Node)]
    if not targets:
        return
    case = Case(targets, seconds, shards)
    apart = [0.0] * shards  # each target as if it were alone, dealt the longest first
    needed: list[set[Any]] = [set() for _ in range(shards)]
    for item in sorted(targets, key=lambda item: (-seconds[item], item.cache_key)):
        shard = apart.index(min(apart))
        apart[shard] += seconds[item]
        needed[shard].add(item.left)
    longest = max(
        load + sum(max(seconds[item], 0.001) for item in some) for load, some in zip(apart, needed, strict=True)
    )
    assert max(case.split.seconds) <= longest * SLACK * 1.1 + 1


def group(name: int, dear: float, many: int, each: float) -> tuple[list[Any], dict[Any, float]]:
    """Targets of `each` seconds that share a dependency of `dear` ones."""
    shared = Leaf(name)
    targets = [Node(shared, position, str(name)) for position in range(many)]
    return targets, {shared: dear, **dict.fromkeys(targets, each)}


def joined(*groups: tuple[list[Any], dict[Any, float]]) -> tuple[list[Any], dict[Any, float]]:
    targets = [item for some, _ in groups for item in some]
    return targets, {item: value for _, seconds in groups for item, value in seconds.items()}


def test_groups_that_share_a_dear_dependency_stay_whole() -> None:
    case = Case(*joined(*[group(n, 3600.0, 10, 60.0) for n in range(8)]), 4)
    assert [len({item.left for item in part}) for part in case.parts()] == [2, 2, 2, 2]
    assert case.split.seconds == [8400.0] * 4


def test_what_all_share_is_done_in_each_shard_and_what_some_share_stays_together() -> None:
    data = Leaf("data")
    models = [Node(data, n) for n in range(6)]
    targets = [Node(model, n) for model in models for n in range(20)]
    case = Case(targets, {data: 30.0, **dict.fromkeys(models, 1000.0), **dict.fromkeys(targets, 10.0)}, 3)
    assert [len({item.left for item in part}) for part in case.parts()] == [2, 2, 2]
    assert case.split.seconds == [30.0 + 2 * 1200] * 3


def test_a_cheap_dependency_of_all_joins_nothing() -> None:
    case = Case(*group(0, 0.5, 100, 60.0), 4)
    assert sorted(map(len, case.parts())) == [25] * 4


def test_two_dear_dependencies_are_not_both_done_everywhere() -> None:
    case = Case(*joined(group(0, 3600.0, 300, 60.0), group(1, 3600.0, 300, 60.0)), 10)
    assert max(case.split.seconds) <= 1.25 * (3600 + 60 * 60)
    assert sum(len({item.left for item in part}) for part in case.parts()) <= 12


def test_a_dependency_dearer_than_all_that_needs_it_is_done_once() -> None:
    case = Case(*group(0, 1000.0, 10, 1.0), 4)
    assert sorted(map(len, case.parts())) == [0, 0, 0, 10]


def test_a_target_that_another_target_needs_stays_with_it() -> None:
    models = [Leaf(n) for n in range(4)]
    scores = [Node(model) for model in models]
    case = Case(models + scores, dict.fromkeys(models, 100.0) | dict.fromkeys(scores, 1.0), 2)
    assert all({item.left for item in part if isinstance(item, Node)} <= part for part in case.parts())
    assert case.split.seconds == [202.0, 202.0]


def test_cached_targets_cost_nothing_and_are_dealt_in_turn() -> None:
    cached = [Leaf(n) for n in range(30)]
    dear = [Leaf(n) for n in range(100, 103)]
    case = Case(cached + dear, dict.fromkeys(cached, 1e6) | dict.fromkeys(dear, 60.0), 3, tuple(cached))
    assert [len(part) for part in case.parts()] == [11, 11, 11]
    assert case.split.seconds == [60.0] * 3


def test_small_differences_of_durations_change_nothing() -> None:
    targets = [Leaf(n) for n in range(40)]
    first = Case(targets, {item: 10.0 + n for n, item in enumerate(targets)}, 3)
    second = Case(targets, {item: 10.0 + n + 0.01 * (n % 7) for n, item in enumerate(targets)}, 3)
    assert first.parts() == second.parts() and first.split.code == second.split.code
    third = Case(targets, {item: 100.0 - n for n, item in enumerate(targets)}, 3)
    assert third.split.code != first.split.code


def test_more_shards_than_targets_leave_some_empty() -> None:
    assert sorted(len(part) for part in Case([Leaf(1), Leaf(2)], {}, 5).parts()) == [0, 0, 0, 1, 1]
    assert Case([], {}, 3).parts() == [set()] * 3


@pytest.mark.parametrize("shape", ["alone", "groups", "one dependency", "dense"])
def test_the_cost_is_linear(shape: str) -> None:
    def spent(many: int) -> float:
        if shape == "dense":  # layers of tasks of which each needs many of the layer below
            layer: list[Any] = [Leaf(n) for n in range(many // 100)]
            for depth in range(5):
                layer = [Node(tuple(layer[n:] + layer[:n])[:20], n, str(depth)) for n in range(len(layer))]
            targets = layer
        elif shape == "alone":
            targets = [Leaf(n) for n in range(many)]
        else:
            shared = [Leaf(n) for n in range(many // 10 if shape == "groups" else 1)]
            targets = [Node(shared[n % len(shared)], n) for n in range(many)]
        graph = Graph(targets)
        plan, seconds = make_plan(graph, ()), [1.0 + n % 50 for n in range(len(graph))]
        began = time.process_time()
        split_targets(plan, seconds, 16)
        return time.process_time() - began

    spent(1_000)
    short, long = spent(4_000), spent(16_000)
    assert long < 16 * short + 0.2, (short, long)  # 4 times as many


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("3", "must be K/N"),
        ("a/b", "the second of four is 2/4"),
        ("1/2/3", "must be K/N"),
        ("-1/3", "must be K/N"),
        ("/", "must be K/N"),
        ("١/٢", "must be K/N"),
        ("0/3", "K must be from 1 to 3; did you mean '1/3'?"),
        ("4/3", "K must be from 1 to 3; did you mean '3/4'?"),
        ("1/0", "N must be from 1 to 1,000"),
        ("1/1001", "N must be from 1 to 1,000"),
    ],
)
def test_what_is_no_shard(text: str, said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_shard(text)
    assert str(caught.value).startswith(f"--shard {text}: ") and said in str(caught.value)


def test_what_is_one() -> None:
    assert (parse_shard("2/4"), str(parse_shard("01/10"))) == (Shard(2, 4), "1/10")
