"""A plan runs what is needed and not cached, loads what is needed and cached, and leaves the rest alone."""

from __future__ import annotations

import sys
from typing import Any

import pytest
from core_values import Leaf, Loose, Node, chain, graphs, ladder
from hypothesis import given
from hypothesis import strategies as st

from labtech_cli.core.graph import Graph
from labtech_cli.core.plan import Action, Plan, Policy, Why, longest_paths, make_plan

POLICIES = st.builds(Policy, rerun_all=st.booleans(), rerun_targets=st.booleans(), storage=st.booleans())


@st.composite
def cases(draw: st.DrawFn) -> tuple[Graph, set[str], Policy]:
    graph = draw(graphs())
    keys = [item.cache_key for item in graph.tasks]
    return graph, draw(st.sets(st.sampled_from(keys))), draw(POLICIES)


def oracle(graph: Graph, present: set[str], policy: Policy) -> list[Action]:
    """The rules of the contract, said as a recursive definition over tasks."""
    targets = {graph.tasks[number] for number in graph.targets}
    actions: dict[Any, Action] = {}

    def need(item: Any) -> None:
        if item in actions:
            return
        rerun = policy.rerun_all or (policy.rerun_targets and item in targets)
        usable = policy.storage and item.cache_key in present and not isinstance(item, Loose) and not rerun
        actions[item] = Action.LOAD if usable else Action.RUN
        if not usable:
            for dep in item._labtech_deps:
                need(dep)

    for target in targets:
        need(target)
    return [actions.get(item, Action.UNTOUCHED) for item in graph.tasks]


@given(cases())
def test_a_plan_follows_the_contract(case: tuple[Graph, set[str], Policy]) -> None:
    assert make_plan(*case).actions == oracle(*case)


@given(cases())
def test_what_every_plan_promises(case: tuple[Graph, set[str], Policy]) -> None:
    graph, present, policy = case
    plan = make_plan(graph, present, policy)
    wanted = set(graph.targets)
    for number, action in enumerate(plan.actions):
        if action is Action.RUN:
            assert all(plan.actions[dep] is not Action.UNTOUCHED for dep in graph.deps[number])
            wanted.update(graph.deps[number])
        elif action is Action.LOAD:
            assert graph.tasks[number].cache_key in present and plan.whys[number] is Why.CACHED
        assert (action is Action.UNTOUCHED) is (plan.whys[number] is Why.NOT_NEEDED)
    assert {number for number, action in enumerate(plan.actions) if action is not Action.UNTOUCHED} == wanted
    assert sum(plan.counts.values()) == len(graph)
    assert [plan.counts[action] for action in Action] == [len(plan.numbers(action)) for action in Action]
    by_type = plan.by_type()
    assert {action: sum(row[action] for row in by_type.values()) for action in Action} == plan.counts


@given(cases())
def test_after_a_run_there_is_nothing_left_but_what_keeps_no_result(case: tuple[Graph, set[str], Policy]) -> None:
    graph, present, _ = case
    plan = make_plan(graph, present)
    after = present | {graph.tasks[number].cache_key for number in plan.numbers(Action.RUN)}
    for number in make_plan(graph, after).numbers(Action.RUN):
        assert isinstance(graph.tasks[number], Loose) or _feeds_loose(graph, number)


def _feeds_loose(graph: Graph, number: int) -> bool:
    return any(isinstance(graph.tasks[other], Loose) for other, deps in enumerate(graph.deps) if number in deps)


@pytest.mark.parametrize(
    ("present", "policy", "whys"),
    [
        (False, Policy(), [Why.NOT_CACHED, Why.NO_CACHE, Why.NOT_CACHED]),
        (True, Policy(), [Why.NOT_NEEDED, Why.NOT_NEEDED, Why.CACHED]),
        (True, Policy(rerun_targets=True), [Why.CACHED, Why.NO_CACHE, Why.RERUN_TARGET]),
        (True, Policy(rerun_all=True), [Why.RERUN, Why.NO_CACHE, Why.RERUN]),
        (True, Policy(storage=False), [Why.NO_STORAGE] * 3),
    ],
)
def test_each_action_has_its_reason(present: bool, policy: Policy, whys: list[Why]) -> None:
    graph = Graph([Node(Loose(Leaf(1)))])
    keys = {item.cache_key for item in graph.tasks} if present else set()
    assert make_plan(graph, keys, policy).whys == whys


def test_types_are_counted_in_the_order_of_the_graph() -> None:
    plan = make_plan(Graph([Node(Leaf(1), Leaf(2))]), {Leaf(1).cache_key})
    assert [name.rpartition(".")[2] for name in plan.by_type()] == ["Leaf", "Node"]
    assert next(iter(plan.by_type().values())) == {Action.RUN: 1, Action.LOAD: 1, Action.UNTOUCHED: 0}


class Counting(set[str]):
    """A storage's keys that count how often they are asked."""

    asked = 0

    def __contains__(self, key: object) -> bool:
        self.asked += 1
        return super().__contains__(key)


@pytest.mark.parametrize("target", [chain(10_000), ladder(1_000)], ids=["chain", "ladder"])
def test_a_plan_asks_once_per_needed_task_whatever_the_shape(target: Any) -> None:
    graph, present = Graph([target]), Counting()
    plan: Plan = make_plan(graph, present)
    assert present.asked == len(graph) == plan.counts[Action.RUN]
    present = Counting([target.cache_key])
    assert make_plan(graph, present).counts == {Action.RUN: 0, Action.LOAD: 1, Action.UNTOUCHED: len(graph) - 1}
    assert present.asked == 1, "a cached task ends the walk"


@given(cases(), st.lists(st.integers(0, 9), min_size=12, max_size=12))
def test_the_longest_path_is_the_longest_of_all_paths(case: Any, seconds: list[int]) -> None:
    graph, present, policy = case
    runs = [action is Action.RUN for action in make_plan(graph, present, policy).actions]

    def longest(number: int) -> int:
        tails = [longest(other) for other in range(len(graph)) if runs[other] and number in graph.deps[other]]
        return seconds[number] + max(tails, default=0)

    found = longest_paths(graph, runs, seconds.__getitem__)
    assert found == [longest(number) if runs[number] else 0 for number in range(len(graph))]


def test_the_longest_path_of_a_chain_needs_no_recursion() -> None:
    graph = Graph([chain(10_000)])
    assert len(graph) > sys.getrecursionlimit()
    assert longest_paths(graph, bytearray([1] * len(graph)), lambda number: 1.0)[0] == 10_000.0
