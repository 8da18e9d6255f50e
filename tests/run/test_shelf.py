"""Results on their way to the tasks that need them."""

from __future__ import annotations

from pathlib import Path

import pytest
from sample_tasks import After, Number

from labtech_cli.core.graph import Graph
from labtech_cli.errors import TaskNotFound
from labtech_cli.run import shelf as shelf_module
from labtech_cli.run.shelf import Shelf
from labtech_cli.run.worker import Input
from labtech_cli.store import formats
from labtech_cli.store.local import LocalStorage
from labtech_cli.store.records import Record
from labtech_cli.store.storage import NullStorage, Storage


def given(value: object, spool: str = "") -> Input:
    return Input(formats.save(Number(0), value, spool), None, 1.0, 2.0, True)


def make(graph: Graph, storage: Storage | None = None, keep: tuple[int, ...] = ()) -> Shelf:
    return Shelf(graph, storage or NullStorage(), bytearray(b"\1" * len(graph)), keep)


def test_a_result_is_dropped_after_its_last_reader() -> None:
    graph = Graph([After(Number(1), 1), After(Number(1), 2)])
    shelf, result = make(graph), given(1)
    shelf.put(0, result, in_storage=False)
    for reader in (1, 2):
        assert shelf.take(reader) == {0: result}
        shelf.done(reader)
    assert shelf.get(0) is None


def test_a_result_nobody_reads_is_not_kept_but_a_targets_is() -> None:
    graph = Graph([Number(1), Number(2)])
    shelf = make(graph, keep=(1,))
    for number in (0, 1):
        shelf.put(number, given(number), in_storage=False)
    assert shelf.get(0) is None and shelf.get(1) is not None


def test_what_is_in_the_storage_is_fetched_when_it_is_not_at_hand(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shelf_module, "MEMORY_BYTES", 100)
    graph = Graph([After([Number(1), Number(2)])])
    storage = LocalStorage(tmp_path / "storage")
    shelf = make(graph, storage)
    for number in (0, 1):
        result = given("x" * 90)
        key = graph.tasks[number].cache_key
        storage.commit([Record(key, "t", None, "{}", 2.0, 1.0, result.stored)])
        shelf.put(number, result, in_storage=True)
    assert shelf.get(0) is shelf.get(1) is None
    found = shelf.take(2)
    assert found == {0: given("x" * 90), 1: given("x" * 90)}


def test_a_result_that_is_gone_from_the_storage_is_named(tmp_path: Path) -> None:
    graph = Graph([After(Number(1))])
    with pytest.raises(TaskNotFound, match=r"the result of Number\(value=1\) was removed meanwhile"):
        make(graph, LocalStorage(tmp_path / "storage")).take(1)
