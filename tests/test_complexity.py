"""What is done per task is counted, for n tasks and for 2n: time would depend on the machine, counts do not."""

from __future__ import annotations

import hashlib
import sqlite3
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import labtech_cli as labtech
from labtech_cli.core import key as keys
from labtech_cli.core.plan import Policy
from labtech_cli.lab import Lab
from labtech_cli.run.wire import Channel
from labtech_cli.store.local import LocalStorage
from labtech_cli.store.storage import Storage

N = 600


@labtech.task
class Leaf:
    number: int

    def run(self) -> int:
        return self.number


@labtech.task
class Sum:
    leaves: list[Leaf]

    def run(self) -> int:
        return sum(leaf.result for leaf in self.leaves)


def layered(size: int) -> list[Sum]:
    """Leaves, and a tenth as many tasks that depend on five of them each."""
    leaves = [Leaf(number) for number in range(size)]
    return [Sum([leaves[(place * 7 + step) % size] for step in range(5)]) for place in range(size // 10)]


class Statements:
    """How often SQLite is asked for what, by the first word."""

    def __init__(self) -> None:
        self.by = Counter[str]()

    def note(self, statement: str) -> None:
        self.by[statement.split()[0].upper()] += 1


@pytest.fixture
def statements(monkeypatch: pytest.MonkeyPatch) -> Statements:
    """Every connection made from now on tells its statements."""
    seen, connect = Statements(), sqlite3.connect

    def traced(*arguments: Any, **options: Any) -> sqlite3.Connection:
        made = connect(*arguments, **options)
        made.set_trace_callback(seen.note)
        return made

    monkeypatch.setattr(sqlite3, "connect", traced)
    return seen


@pytest.fixture
def digests(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """One item for each key that is digested, with the bytes it is made of."""
    seen: list[int] = []

    def counted(data: bytes, **options: Any) -> Any:
        seen.append(len(data))
        return hashlib.blake2b(data, **options)

    monkeypatch.setattr(keys, "blake2b", counted)
    return seen


class Calls:
    """A storage whose methods count."""

    def __init__(self, storage: Storage) -> None:
        self.by = Counter[str]()
        for name in ("present", "timings", "load", "rows", "commit", "stats", "described", "remove"):
            setattr(storage, name, self._counted(name, getattr(storage, name)))

    def _counted(self, name: str, method: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **options: Any) -> Any:
            self.by[name] += 1
            return method(*arguments, **options)

        return call


def counted_lab(folder: Path, runner: str = "serial") -> tuple[Lab, Calls]:
    storage = LocalStorage(folder)
    return Lab(storage=storage, runner_backend=runner, max_workers=2), Calls(storage)


def test_each_task_is_digested_once_when_it_is_made_and_never_again(digests: list[int], tmp_path: Path) -> None:
    sizes = {}
    for size in (N, 2 * N):
        digests.clear()
        leaves = [Leaf(number) for number in range(size)]
        sums = [Sum(leaves[place : place + 5]) for place in range(size)]
        assert len(digests) == 2 * size
        sizes[size] = sum(digests)
        lab, _ = counted_lab(tmp_path / str(size))
        assert {*sums} and sums[0] == sums[0] and sorted(sums)[0] and repr(sums[0])
        lab.prepare(sums)
        assert len(digests) == 2 * size
    assert sizes[2 * N] < 2.1 * sizes[N]


def test_the_key_of_a_task_reads_its_dependencies_keys_and_not_what_is_below(digests: list[int]) -> None:
    task: Any = Leaf(0)
    lengths = set()
    for _ in range(50):
        task = Sum([task])
        lengths.add(digests[-1])
    assert len(lengths) == 1


def test_a_plan_lists_the_storage_once_however_many_tasks_there_are(tmp_path: Path) -> None:
    for size in (N, 2 * N):
        lab, calls = counted_lab(tmp_path / str(size))
        lab.prepare(layered(size))
        lab.prepare(layered(size), Policy(rerun_all=True))
        assert calls.by == Counter(present=2, timings=2)


def test_a_plan_of_cached_tasks_reads_no_result(tmp_path: Path, statements: Statements) -> None:
    lab, calls = counted_lab(tmp_path)
    lab.execute(lab.prepare(layered(N)))
    calls.by.clear()
    statements.by.clear()
    assert lab.prepare(layered(N)).plan.counts["run"] == 0
    assert calls.by == Counter(present=1)
    assert sum(statements.by.values()) <= 5


@pytest.mark.parametrize("runner", ["serial", "process"])
def test_results_are_committed_in_groups_and_no_statement_is_made_per_task_but_its_rows(
    tmp_path: Path, runner: str, statements: Statements
) -> None:
    commits = {}
    for size in (N, 2 * N):
        lab, calls = counted_lab(tmp_path / str(size), runner)
        statements.by.clear()
        result = lab.execute(lab.prepare([Leaf(number) for number in range(size)]))
        assert result.counts["succeeded"] == size
        commits[size] = calls.by["commit"]
        assert statements.by["INSERT"] <= 4 * size + 50  # its row, its bytes, the claim; some are handed out twice
        assert statements.by["DELETE"] <= 2 * size + 50  # the claim
        others = sum(statements.by.values()) - statements.by["INSERT"] - statements.by["DELETE"]
        assert others <= 40 * commits[size] + 100
    if runner == "process":
        assert commits[2 * N] <= N, "tiny tasks are committed many at a time"


def test_a_run_that_loads_everything_asks_for_many_results_at_a_time(tmp_path: Path, statements: Statements) -> None:
    tasks = [Leaf(number) for number in range(4 * N)]
    lab, _ = counted_lab(tmp_path)
    lab.execute(lab.prepare(tasks))
    asked = {}
    for size in (2 * N, 4 * N):
        statements.by.clear()
        result = lab.execute(lab.prepare(tasks[:size]))
        assert [value for _, value in result.results(tasks[:size])] == list(range(size))
        asked[size] = sum(statements.by.values())
    assert asked[4 * N] <= 2 * asked[2 * N] and asked[4 * N] < N / 4


def test_tiny_tasks_share_messages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    posted: list[int] = []
    post = Channel.post

    def counted(self: Channel, message: Any) -> None:
        posted.append(1)
        post(self, message)

    monkeypatch.setattr(Channel, "post", counted)
    for size in (2 * N, 4 * N):
        posted.clear()
        lab, _ = counted_lab(tmp_path / str(size), "process")
        lab.execute(lab.prepare([Leaf(number) for number in range(size)]))
        assert len(posted) < size / 2  # by far: a busy machine makes tasks seem longer than they are


@pytest.mark.parametrize("command", ["rows", "stats", "present"])
def test_listings_are_a_query_or_two(tmp_path: Path, command: str, statements: Statements) -> None:
    for size in (N, 2 * N):
        lab, _ = counted_lab(tmp_path / str(size))
        lab.execute(lab.prepare([Leaf(number) for number in range(size)]))
        statements.by.clear()
        found = list(getattr(lab.storage, command)())
        assert len(found) in (1, size) and sum(statements.by.values()) <= 2
