"""A schedule starts each task once, after its dependencies, within its limit, the longest path first."""

from __future__ import annotations

import random
from typing import Any

import pytest
from core_values import Leaf, Node, chain, graphs, ladder
from hypothesis import given
from hypothesis import strategies as st

from labtech_cli.core.graph import Graph
from labtech_cli.core.schedule import Demands, Schedule


class Oracle:
    """What the rules allow, recomputed from nothing at each step."""

    def __init__(self, graph: Graph, runs: list[bool], priority: list[float], demands: Demands) -> None:
        self.graph, self.runs, self.priority, self.demands = graph, runs, priority, demands
        self.state = {number: "waiting" for number in range(len(graph)) if runs[number]}

    def ready(self) -> set[int]:
        return {
            number
            for number, state in self.state.items()
            if state == "waiting" and all(self.state.get(dep, "done") == "done" for dep in self.graph.deps[number])
        }

    def best(self) -> int | None:
        """The task that must start next: ready, within its limit, of the highest priority."""
        running = [number for number, state in self.state.items() if state == "running"]
        used = [sum(self.takes(other).get(kind, 0) for other in running) for kind in range(len(self.demands.totals))]
        allowed = [
            number
            for number in self.ready()
            if all(used[kind] + amount <= self.demands.totals[kind] for kind, amount in self.takes(number).items())
        ]
        return min(allowed, key=lambda number: (-self.priority[number], number), default=None)

    def takes(self, number: int) -> dict[int, float]:
        """What a task takes, by kind, at most all there is."""
        group = self.demands.groups.get(number)
        found = () if group is None else self.demands.takes[group]
        return {kind: min(amount, self.demands.totals[kind]) for kind, amount in found}

    def doomed(self, number: int) -> list[int]:
        """All that depend on `number` through tasks that run."""
        lost = {number}
        for other in range(number, len(self.graph)):
            if self.runs[other] and lost.intersection(self.graph.deps[other]):
                lost.add(other)
        return sorted(item for item in lost - {number} if self.state[item] == "waiting")


@given(graphs(), st.data())
def test_any_run_follows_the_rules(graph: Graph, data: st.DataObject) -> None:
    size = len(graph)
    runs = data.draw(st.lists(st.booleans(), min_size=size, max_size=size))
    priority = [float(data.draw(st.integers(0, 3))) for _ in range(size)]
    totals = data.draw(st.lists(st.integers(1, 4), max_size=2))
    amounts = st.dictionaries(st.sampled_from(range(len(totals))), st.integers(1, 5)) if totals else st.just({})
    takes = [tuple(data.draw(amounts).items()) for _ in range(data.draw(st.integers(0, 2)))]
    groups = {number: number % 3 for number in range(size) if number % 3 < len(takes)}
    demands = Demands(groups, takes, totals)
    schedule = Schedule(graph, bytearray(runs), priority, demands)
    oracle = Oracle(graph, runs, priority, demands)
    started: set[int] = set()
    while not schedule.done:
        running = [number for number, state in oracle.state.items() if state == "running"]
        step = data.draw(st.sampled_from(["take", "take", "end"])) if running else "take"
        if step == "take":
            number = schedule.take()
            assert number == oracle.best()
            if number is None:
                assert running, "nothing runs and nothing can start, but it is not done"
                step = "end"
            elif data.draw(st.integers(0, 9)) == 0:
                schedule.put_back(number)
            elif data.draw(st.integers(0, 9)) == 0:
                schedule.hold(number)
                schedule.resume([number])
            else:
                assert number not in started
                started.add(number)
                oracle.state[number] = "running"
        if step == "end":
            number = data.draw(st.sampled_from(running))
            before = oracle.ready()
            if data.draw(st.integers(0, 3)) == 0:
                lost = oracle.doomed(number)
                assert schedule.failed(number) == lost
                oracle.state.update(dict.fromkeys([number, *lost], "gone"))
            else:
                oracle.state[number] = "done"
                assert sorted(schedule.succeeded(number)) == sorted(oracle.ready() - before)
        states = list(oracle.state.values())
        assert schedule.running == states.count("running")
        assert schedule.remaining == states.count("running") + states.count("waiting")
        assert schedule.unfinished() == [
            n for n, state in sorted(oracle.state.items()) if state in ("running", "waiting")
        ]
    assert set(oracle.state.values()) <= {"done", "gone"}


def whole(graph: Graph, **options: Any) -> Schedule:
    """A schedule in which everything runs, by number."""
    return Schedule(graph, bytearray([1] * len(graph)), [0.0] * len(graph), **options)


def test_after_a_stop_nothing_starts_and_what_runs_may_end() -> None:
    schedule = whole(Graph([Leaf(1), Leaf(2)]))
    number = schedule.take()
    assert number is not None
    schedule.stop()
    assert schedule.take() is None and not schedule.done
    assert schedule.unfinished() == [0, 1]
    schedule.succeeded(number)
    assert schedule.done and schedule.unfinished() == [1]


def test_nothing_to_run_is_done_at_once() -> None:
    graph = Graph([Leaf(1)])
    assert Schedule(graph, bytearray(1), [0.0]).done
    assert whole(Graph([])).done


def test_a_full_limit_holds_back_its_own_group_only() -> None:
    graph = Graph([Leaf(number) for number in range(4)])
    schedule = whole(graph, demands=Demands({0: 0, 1: 0, 2: 0}, [[(0, 1)]], [1]))
    assert [schedule.take(), schedule.take(), schedule.take()] == [0, 3, None]
    schedule.failed(0)
    assert [schedule.take(), schedule.take()] == [1, None]


def test_a_task_that_takes_more_than_there_is_runs_when_nothing_else_takes_any() -> None:
    demands = Demands({0: 0, 1: 1}, [[(0, 1)], [(0, 5)]], [2])
    schedule = whole(Graph([Leaf(0), Leaf(1), Leaf(2)]), demands=demands)
    assert [schedule.take(), schedule.take(), schedule.take()] == [0, 2, None]
    schedule.succeeded(0)
    assert schedule.take() == 1


def test_an_isolated_task_runs_while_nothing_else_does() -> None:
    schedule = whole(Graph([Leaf(0), Leaf(1), Leaf(2)]), demands=Demands({0: 0}, [[(0, 2)]], [2]))
    assert [schedule.take(), schedule.take()] == [0, 1]
    schedule.hold(0)
    schedule.isolate(0)
    schedule.resume([0])
    assert [schedule.take(), schedule.take()] == [2, None]
    schedule.succeeded(1)
    assert schedule.take() is None
    schedule.put_back(2)
    schedule.hold(schedule.take() or -1)
    assert schedule.take() == 0 and schedule.running == 1
    schedule.resume([2])
    assert schedule.take() is None
    schedule.succeeded(0)
    assert schedule.take() == 2


def test_what_is_held_is_not_offered_and_not_done() -> None:
    schedule = whole(Graph([Leaf(0)]))
    assert schedule.take() == 0
    schedule.hold(0)
    assert schedule.take() is None and schedule.running == 0 and not schedule.done
    schedule.resume([0])
    assert schedule.take() == 0


def test_what_is_held_can_fail() -> None:
    schedule = whole(Graph([Node(Leaf(0))]))
    assert schedule.take() == 0
    schedule.hold(0)
    assert schedule.failed(0) == [1] and schedule.done


@pytest.mark.parametrize("target", [chain(10_000), ladder(1_000)], ids=["chain", "ladder"])
def test_deep_graphs_run_to_the_end(target: Any) -> None:
    graph = Graph([target])
    schedule, order = whole(graph), []
    while (number := schedule.take()) is not None:
        order.append(number)
        schedule.succeeded(number)
    assert schedule.done and sorted(order) == list(range(len(graph)))


def test_a_failure_at_the_bottom_of_a_chain_skips_all_of_it() -> None:
    schedule = whole(Graph([chain(10_000)]))
    assert schedule.take() == 0
    assert schedule.failed(0) == list(range(1, 10_000))
    assert schedule.done


class Counted(float):
    """A priority that counts comparisons."""

    comparisons = 0

    def __lt__(self, other: float) -> bool:
        Counted.comparisons += 1
        return float(self) < float(other)

    def __neg__(self) -> Counted:
        return Counted(-float(self))


def _comparisons(size: int) -> int:
    graph = Graph([Node(number) for number in range(size)])
    order = random.Random(1).sample(range(size), size)
    groups = {number: 0 for number in range(size) if number % 2}
    Counted.comparisons = 0
    schedule = Schedule(
        graph, bytearray([1] * size), [Counted(item) for item in order], Demands(groups, [[(0, 1)]], [1])
    )
    running = []
    while not schedule.done:
        while (number := schedule.take()) is not None:
            running.append(number)
        schedule.succeeded(running.pop())
    return Counted.comparisons


def test_a_limited_type_is_not_scanned_past() -> None:
    """Twice the tasks take about twice the comparisons, not four times."""
    small, large = _comparisons(1_000), _comparisons(2_000)
    assert 0 < large < 2.8 * small


@given(graphs(), st.data())
def test_tasks_that_follow_others_in_their_lane_keep_all_the_rules(graph: Graph, data: st.DataObject) -> None:
    """Lanes run what they are given in order; a task whose dependency failed in its lane is given back."""
    schedule = whole(graph)
    lanes: list[list[int]] = [[], []]
    well: set[int] = set()
    lost: set[int] = set()
    failed: set[int] = set()
    while not schedule.done:
        for lane in lanes:
            if not lane and (number := schedule.take()) is not None:
                lane.append(number)
        for number, after in schedule.followers():
            assert set(after) == {dep for dep in graph.deps[number] if dep not in well}
            homes = [lane for lane in lanes if set(after) <= set(lane)]
            if homes and data.draw(st.booleans()):
                schedule.follow(number)
                homes[0].append(number)
        lane = data.draw(st.sampled_from([lane for lane in lanes if lane]))
        number = lane.pop(0)
        assert number not in well | failed
        if number in lost or not well.issuperset(graph.deps[number]):
            schedule.put_back(number)
        elif data.draw(st.integers(0, 4)) == 0:
            failed.add(number)
            lost.update(schedule.failed(number))
        else:
            well.add(number)
            schedule.succeeded(number)
    assert well | failed | lost == set(range(len(graph)))
    assert all(well.issuperset(graph.deps[number]) for number in well | failed)
    assert all((lost | failed).intersection(graph.deps[number]) for number in lost)


def test_what_is_scarce_says_how_long_tasks_take_at_least() -> None:
    seconds = [4.0, 2.0, 6.0, 8.0]
    assert Demands().least_seconds(seconds) == 0.0
    two_of_four = Demands({0: 0, 1: 0, 2: 1}, [[(0, 2)], [(0, 9), (1, 1)]], [4, 1])  # more than there is: all of it
    assert two_of_four.least_seconds(seconds) == max((2 * 4 + 2 * 2 + 4 * 6) / 4, 6 / 1)
