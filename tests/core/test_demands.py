"""What tasks take: never more than there is, never a limit where none can bind."""

from __future__ import annotations

from typing import Any

import pytest
from core_values import Leaf, Node, graphs
from hypothesis import given
from hypothesis import strategies as st

from labtech_cli.core.decorate import task
from labtech_cli.core.demands import Admission, Past, Totals, declared, rounded
from labtech_cli.core.graph import Graph
from labtech_cli.core.needs import Needs
from labtech_cli.core.schedule import Demands, Schedule
from labtech_cli.errors import LabError

GB = 10**9


@task(cpus=2, memory="4GB")
class Fit:
    seed: int

    def run(self) -> None: ...


@task(cpus=0.5)
class Half:
    seed: int

    def run(self) -> None: ...


@task(cpus=1.5)
class Most:
    seed: int

    def run(self) -> None: ...


@task
class Sized:
    gigabytes: int

    def resources(self) -> dict[str, Any]:
        return {"memory": self.gigabytes * GB}

    def run(self) -> None: ...


@task(gpus=1)
class Train:
    seed: int

    def run(self) -> None: ...


@task(gpus=0)
class Blind:
    seed: int

    def run(self) -> None: ...


@task(max_parallel=1)
class Single:
    seed: int

    def run(self) -> None: ...


def admission(tasks: list[Any], workers: int = 4, past: Past = Past(), **there: int) -> Admission:
    totals = Totals(there.get("cpus", 4), there.get("memory", 16) * GB, there.get("gpus", 0))
    return Admission(Graph(tasks), bytearray([1] * len(tasks)), totals, workers, past=past)


def together(demands: Demands, tasks: list[Any]) -> int:
    """How many of the tasks start at once."""
    schedule = Schedule(Graph(tasks), bytearray([1] * len(tasks)), [0.0] * len(tasks), demands)
    started = 0
    while schedule.take() is not None:
        started += 1
    return started


needs = st.builds(
    Needs,
    cpus=st.none() | st.sampled_from([0.5, 1, 1.5, 2, 3, 9]),
    memory=st.none() | st.integers(1, 1000),
    gpus=st.none() | st.integers(0, 2),
)


@given(graphs(), st.data())
def test_what_runs_never_exceeds_what_there_is_and_nothing_that_fits_waits(graph: Graph, data: st.DataObject) -> None:
    """Workers take what the schedule gives; tasks end in any order, fail, and turn out to take more than was known."""
    size, workers = len(graph), data.draw(st.integers(1, 4))
    said = {number: data.draw(needs) for number in range(size) if data.draw(st.booleans())}
    totals = Totals(max(workers, data.draw(st.integers(1, 6))), 1000, 2)
    by_key = {task._labtech_key: data.draw(st.integers(1, 1500)) for task in graph.tasks if data.draw(st.booleans())}
    counted = Admission(graph, bytearray([1] * size), totals, workers, said, Past(by_key))
    schedule = Schedule(graph, bytearray([1] * size), [0.0] * size, counted.demands())
    running: list[int] = []
    seen: dict[type, int] = {}

    def memory(number: int) -> int:
        item = graph.tasks[number]
        return said.get(number, Needs()).memory or by_key.get(item._labtech_key) or seen.get(type(item), 0)

    def takes(number: int) -> tuple[float, float, float]:
        own = said.get(number, Needs())
        return min(own.cpus or 1, totals.cpus), min(memory(number), totals.memory), own.gpus or 0

    def fits(number: int) -> bool:
        return all(
            sum(amounts) <= total
            for amounts, total in zip(zip(*map(takes, [*running, number]), strict=True), totals, strict=True)
        )

    left = set(range(size))
    while not schedule.done:
        while len(running) < workers and (number := schedule.take()) is not None:
            assert fits(number), "more runs than there is room for"
            running.append(number)
        ready = [n for n in left if n not in running and not left.intersection(graph.deps[n])]
        if len(running) < workers:
            waiting = [number for number in ready if fits(number)]
            alone = [number for number in (*running, *waiting) if memory(number) > totals.memory]
            assert not waiting or alone, "a task waits though there is room"
        number = running.pop(data.draw(st.integers(0, len(running) - 1)))
        peak = data.draw(st.integers(1, 1200))
        if counted.saw(number, peak):
            seen[type(graph.tasks[number])] = peak
            schedule.readmit(counted.demands())
        if data.draw(st.integers(0, 4)) == 0:
            left -= {number, *schedule.failed(number)}
        else:
            left.discard(number)
            schedule.succeeded(number)
    assert not left


def test_where_nothing_can_bind_nothing_is_limited() -> None:
    tasks = [*[Leaf(value) for value in range(9)], Fit(1)]
    assert admission(tasks, workers=3).demands() == Demands()
    assert admission([Sized(value) for value in range(1, 5)], past=Past({}, {})).demands() == Demands()
    assert admission([Blind(1), Leaf(1)]).demands() == Demands()


def test_cpus_bind_where_the_largest_demands_do_not_fit_together() -> None:
    tasks = [Fit(value) for value in range(8)]
    assert together(admission(tasks).demands(), tasks) == 2
    assert together(admission(tasks, cpus=6).demands(), tasks) == 3
    mixed = [Half(1), Most(1), Leaf(1)]
    assert together(admission(mixed, workers=2, cpus=2).demands(), mixed) == 2, "0.5 and 1.5, then 1"


def test_memory_binds_by_what_each_task_says() -> None:
    tasks = [Sized(value) for value in (5, 6, 7, 8)]
    assert together(admission(tasks).demands(), tasks) == 2
    assert together(admission(tasks, memory=26).demands(), tasks) == 4


def test_whole_shares_of_what_there_is_fit_exactly() -> None:
    sizes = [8 * GB, 4 * GB, 2 * GB, *range(10**6, 10**8, 10**6)]
    found = rounded(dict(enumerate(sizes)), 16 * GB)
    assert [found[0], found[1], found[2]] == [8 * GB, 4 * GB, 2 * GB]


@given(st.lists(st.integers(1, 10**12), min_size=1, max_size=300), st.integers(10**6, 10**12))
def test_many_sizes_become_few_and_no_more_than_a_twentieth_larger(sizes: list[int], total: int) -> None:
    found = rounded(dict(enumerate(sizes)), total)
    for number, amount in enumerate(sizes):
        assert amount <= found[number] <= max(1.05 * amount, amount + total / 10_000) + 1
    assert len({amount for amount in found.values() if amount <= total}) <= 64 + 12 * 21 + 40


def test_gpus_are_always_counted() -> None:
    tasks = [Train(value) for value in range(300)]
    assert together(admission(tasks, gpus=2).demands(), tasks) == 2


def test_a_task_that_sees_no_gpu_follows_no_other_to_a_worker() -> None:
    graph = Graph([Node(Blind(1)), Blind(2), Train(1)])
    demands = Admission(graph, bytearray([1] * len(graph)), Totals(4, GB, 1), 4).demands()
    assert set(demands.groups) == {number for number, item in enumerate(graph.tasks) if not isinstance(item, Node)}


def test_types_that_say_how_many_may_run_are_limited_as_before() -> None:
    tasks = [*[Single(value) for value in range(3)], Leaf(1)]
    assert together(admission(tasks).demands(), tasks) == 2


def test_a_task_that_wants_more_cpus_than_there_are_takes_them_all() -> None:
    tasks = [Fit(1), Leaf(1)]
    one = admission(tasks, workers=1, cpus=1)
    assert one.greedy() == [0] and together(one.demands(), tasks) == 1


@pytest.mark.parametrize(
    ("tasks", "words"),
    [
        (
            [Sized(17)],
            "there is not enough memory for Sized(gigabytes=17): it needs 17 GB, and this run has 16 GB; let the task "
            "need less, or say what there is: memory under [resources]",
        ),
        ([Train(3)], "there are not enough GPUs for Train(seed=3): it needs 1, and this run has 0; let the task"),
    ],
)
def test_a_task_that_can_never_run_is_an_error(tasks: list[Any], words: str) -> None:
    with pytest.raises(LabError) as caught:
        admission(tasks)
    assert words in str(caught.value) and caught.value.exit_status == 2


def test_a_task_is_admitted_with_what_it_took_before() -> None:
    tasks = [Leaf(value) for value in range(4)]
    past = Past({tasks[0]._labtech_key: 9 * GB}, {type(tasks[0]).__labtech__.name: 5 * GB})
    assert together(admission(tasks, past=past).demands(), tasks) == 2
    assert together(admission(tasks[1:], past=past).demands(), tasks[1:]) == 3


def test_what_a_task_declares_counts_whatever_was_learned() -> None:
    tasks = [Sized(1), Sized(2), Sized(3)]
    past = Past({each._labtech_key: 10 * GB for each in tasks}, {type(tasks[0]).__labtech__.name: 10 * GB})
    assert admission(tasks, past=past).demands() == Demands()


def test_a_task_that_took_more_than_there_is_runs_alone() -> None:
    tasks = [Leaf(1), Leaf(2), Node(5)]
    demands = admission(tasks, past=Past({tasks[0]._labtech_key: 20 * GB})).demands()
    schedule = Schedule(Graph(tasks), bytearray([1] * 3), [9.0, 0.0, 0.0], demands)
    assert [schedule.take(), schedule.take(), schedule.take()] == [1, 2, None]
    schedule.succeeded(1)
    assert schedule.take() is None
    schedule.succeeded(2)
    assert schedule.take() == 0


def test_what_the_first_tasks_take_counts_for_the_rest_of_their_type() -> None:
    tasks = [Leaf(value) for value in range(9)]
    counted = admission(tasks)
    schedule = Schedule(Graph(tasks), bytearray([1] * 9), [0.0] * 9, counted.demands())
    assert [schedule.take() for _ in range(4)] == [0, 1, 2, 3]
    assert counted.saw(0, 6 * GB)
    schedule.readmit(counted.demands())
    schedule.succeeded(0)
    schedule.succeeded(1)
    assert schedule.take() is None, "two of 6 GB still run, in 16 GB"
    schedule.succeeded(2)
    assert [schedule.take(), schedule.take()] == [4, None]
    assert not counted.saw(3, 6 * GB) and not counted.saw(3, int(6.2 * GB)) and counted.saw(3, 7 * GB)


def test_peaks_too_small_to_matter_need_not_be_told() -> None:
    assert admission([Leaf(1)], workers=4).watched == 16 * GB // 80


def test_tasks_that_are_not_to_run_need_nothing() -> None:
    graph = Graph([Sized(99), Fit(1)])
    assert list(declared(graph, bytearray([0, 1]))) == [1]
