"""Whether stored results are whole."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from storage_kit import edit, files, flip
from store_tasks import Color, Plain
from upkeep_kit import Counting, filled

from labtech_cli.core.codec import encode_params
from labtech_cli.store.batches import MOST, MOST_BYTES, batches
from labtech_cli.store.checking import check, wrong_description
from labtech_cli.store.records import Row


def found(storage: Any) -> dict[str, str]:
    """What is wrong, by key."""
    return {item.row.key: item.problem.kind for item in check(storage, storage.rows()) if item.problem}


def row(key: str, size: int) -> Row:
    return Row(key, "m.T", None, "{}", "pickle", 0.0, 0.0, size)


def test_batches_are_bounded_by_number_and_bytes() -> None:
    assert [len(batch) for batch in batches(row(str(n), 1) for n in range(1_100))] == [MOST, MOST, 100]
    sizes = [1, MOST_BYTES * 3, 1, MOST_BYTES // 2, MOST_BYTES // 2, MOST_BYTES // 2]
    assert [[item.size for item in batch] for batch in batches(row("k", size) for size in sizes)] == [
        [1],
        [MOST_BYTES * 3],
        [1, MOST_BYTES // 2],
        [MOST_BYTES // 2, MOST_BYTES // 2],
    ]
    assert list(batches([])) == []


def test_whole_results_are_whole_and_come_with_their_bytes(tmp_path: Path) -> None:
    storage, tasks = filled(tmp_path / "s")
    items = list(check(storage, storage.rows()))
    assert len(items) == len(tasks) == 6
    assert all(item.problem is None and item.stored is not None for item in items)


def test_damage_is_found_wherever_it_is(tmp_path: Path) -> None:
    storage, tasks = filled(tmp_path / "s", 9)
    keys = [task.cache_key for task in tasks]
    large = [tmp_path / "s" / name for name in files(tmp_path / "s") if name.startswith("results")]
    by_key = {path.parent.name.partition(".")[0]: path for path in large}
    flip(by_key[keys[1]])
    by_key[keys[4]].unlink()
    by_key[keys[7]].write_bytes(by_key[keys[7]].read_bytes()[:-1])
    edit(storage.path, "UPDATE data SET bytes = X'00' WHERE id = (SELECT id FROM task WHERE key = ?)", keys[0])
    edit(storage.path, "UPDATE task SET params = '[' WHERE key = ?", keys[2])
    edit(storage.path, "UPDATE task SET params = '{\"value\":77}' WHERE key = ?", keys[3])
    edit(storage.path, "UPDATE task SET parts = '../x\t1\ta\t' WHERE key = ?", keys[5])
    kinds = ["checksum", "checksum", "description", "description", "checksum", "checksum", None, "checksum", None]
    assert [found(storage).get(key) for key in keys] == kinds


def test_what_is_removed_meanwhile_is_not_damaged(tmp_path: Path) -> None:
    storage, tasks = filled(tmp_path / "s")
    rows = list(storage.rows())
    storage.remove([tasks[1].cache_key])
    assert [item.problem for item in check(storage, rows)] == [None] * 5


def test_what_is_replaced_meanwhile_is_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    storage, tasks = filled(tmp_path / "s")
    first = storage.load([task.cache_key for task in tasks])
    by_key = {key: stored._replace(blobs=(stored.blobs[0]._replace(digest="old"),)) for key, stored in first.items()}
    load = storage.load
    answers = iter([by_key])
    monkeypatch.setattr(storage, "load", lambda keys: next(answers, None) or load(keys))
    assert found(storage) == {}


@pytest.mark.parametrize(
    "value",
    [1, 1.0, True, None, -0.0, float("nan"), float("-inf"), 1 << 90, "é\ud800", {"a": [1, {"$b": 2}]}, Color.RED],
    ids=repr,
)
def test_a_description_gives_the_key_of_its_task(value: Any) -> None:
    task = Plain([value, Plain(value)])
    good = Row(task.cache_key, type(task).__labtech__.name, None, encode_params(task), "pickle", 0.0, 0.0, 1)
    assert wrong_description(good) is None
    for change in ({"type": "m.Other"}, {"code_version": "v2"}, {"key": "0" * 32}, {"params": "{}"}, {"params": "{"}):
        if value != "é\ud800" or change.get("params"):
            assert wrong_description(replace(good, **change)) is not None  # type: ignore[arg-type]


def test_descriptions_that_nest_for_ever_or_lie_are_wrong() -> None:
    deep = '{"value":' + "[" * 100_000 + "]" * 100_000 + "}"
    for params in (deep, '{"value":{"$int":"x"}}', '{"value":{"$enum":5}}', "7", "", '{"value":{"$task":[]}}'):
        problem = wrong_description(Row("0" * 32, "m.T", None, params, "", 0.0, 0.0, 0))
        assert problem is not None and problem.kind == "description"


def test_the_cost_is_linear(tmp_path: Path) -> None:
    storage, _ = filled(tmp_path / "s", 5_000)
    counting = Counting(storage)
    assert sum(1 for item in check(counting, storage.rows()) if item.problem is None) == 5_000  # type: ignore[arg-type]
    assert counting.calls == {"load": 10}


def test_a_damaged_result_of_a_foreign_key_is_moved_within_the_storage(tmp_path: Path) -> None:
    storage, tasks = filled(tmp_path / "deep" / "in" / "s")
    edit(storage.path, "UPDATE task SET key = '../../../../x' WHERE key = ?", tasks[0].cache_key)
    storage.set_aside("../../../../x")
    assert [path.name for path in tmp_path.iterdir()] == ["deep"]
    assert len(list((storage.path / "damaged").iterdir())) == 1 and len(storage.present()) == 5
