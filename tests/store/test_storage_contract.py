"""What every storage does alike."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from storage_kit import LARGE, content, key, make, objects, record

from labtech_cli.store.records import Row, TypeStats
from labtech_cli.store.storage import Storage

KEEPING = ["local", "file", "memory"]
K, A, B, C, OTHER, ABSENT = map(key, ("k", "a", "b", "c", "other", "absent"))


@pytest.fixture(params=[*KEEPING, "null"])
def storage(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Storage]:
    made = make(request.param, tmp_path / "storage")
    yield made
    made.close()


@pytest.fixture(params=KEEPING)
def keeping(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Storage]:
    made = make(request.param, tmp_path / "storage")
    yield made
    made.close()


def test_an_empty_storage_has_nothing(storage: Storage) -> None:
    assert storage.present() == {} == storage.described() == storage.load([K])
    assert list(storage.rows()) == [] == storage.stats() == list(storage.rows([K]))
    assert storage.timings().by_key == {} and storage.remove([K]) == 0
    storage.set_aside(K)


def test_it_says_where_it_is_and_can_be_used_again_after_it_was_closed(storage: Storage) -> None:
    assert storage.describe()
    for _ in range(2):
        storage.check_writable()
        storage.commit([record(storage, K, b"small", LARGE)])
        assert set(storage.present()) == ({K} if storage.keeps else set())
        storage.close()


def test_the_spool_is_gone_once_it_is_closed(storage: Storage) -> None:
    record(storage, K, LARGE)
    spool = Path(storage.spool())
    assert list(spool.rglob("part-0"))
    storage.close()
    assert not spool.exists()


@pytest.mark.parametrize(
    "parts", [(b"small",), (b"",), (LARGE,), (b"small", LARGE, b"more"), (LARGE, LARGE + b"x")], ids=len
)
def test_what_was_committed_is_loaded(keeping: Storage, parts: tuple[bytes, ...]) -> None:
    keeping.commit([record(keeping, OTHER, b"other"), record(keeping, K, *parts)])
    found = keeping.load([K, ABSENT])
    assert list(found) == [K] and found[K].format == "pickle"
    assert content(found[K]) == list(parts)
    assert found[K].size == sum(len(part) for part in parts)


def test_listings_tell_what_is_there_oldest_first(keeping: Storage) -> None:
    keeping.commit([record(keeping, B, b"12", at=20.0, took=3.0), record(keeping, A, LARGE, at=10.0, took=1.0)])
    keeping.commit([record(keeping, C, b"1", kind="m.Other", at=5.0)])
    row = Row(B, "m.T", "v1", '{"x":1}', "pickle", 20.0, 3.0, 2)
    assert [found.key for found in keeping.rows()] == [C, A, B]
    assert list(keeping.rows([B, ABSENT])) == [row]
    assert keeping.present() == {A: 1.0, B: 3.0, C: 0.5}
    assert keeping.stats() == [
        TypeStats("m.Other", 1, 1, 0.5, 5.0, 5.0),
        TypeStats("m.T", 2, 2 + len(LARGE), 4.0, 10.0, 20.0),
    ]


def test_a_task_that_keeps_nothing_leaves_its_description_and_timing(keeping: Storage) -> None:
    keeping.commit([record(keeping, K, took=2.0)])
    assert keeping.present() == {} == keeping.load([K]) and list(keeping.rows()) == []
    assert keeping.described() == {K: ("m.T", "v1", '{"x":1}')}
    assert keeping.timings().by_key == {K: 2.0}


def test_removed_results_leave_their_description_and_timing(keeping: Storage) -> None:
    keeping.commit([record(keeping, one, b"data", LARGE, took=4.0) for one in (A, B, C)])
    assert keeping.remove([A, B, ABSENT]) == 2
    assert keeping.remove([A]) == 0
    assert set(keeping.present()) == {C} and content(keeping.load([C])[C]) == [b"data", LARGE]
    assert set(keeping.described()) == {A, B, C}
    assert keeping.timings().by_type == {"m.T": 4.0}


def test_the_memory_of_tasks_is_known_by_key_and_type_also_when_their_results_are_gone(keeping: Storage) -> None:
    records = [record(keeping, one, b"data") for one in (A, B)] + [record(keeping, C), record(keeping, K, b"data")]
    for one, peak in zip(records, (3 << 20, 5 << 20, 4 << 20, None), strict=True):
        one.peak_memory = peak
    keeping.commit(records)
    for _ in range(2):
        timings = keeping.timings()
        assert timings.memory_by_key == {A: 3 << 20, B: 5 << 20, C: 4 << 20}
        assert timings.memory_by_type == {"m.T": 5 << 20}
        keeping.remove([A, B, K])


def test_a_rerun_replaces_the_result_and_its_files(keeping: Storage) -> None:
    for data in (LARGE, LARGE + b"x"):
        keeping.commit([record(keeping, K, b"small", data)])
        assert content(keeping.load([K])[K]) == [b"small", data]
    assert len([name for name in objects(keeping) if name.endswith("/part-1")]) == 1
    keeping.commit([record(keeping, K, b"tiny now", at=9.0)])
    keeping.close()
    assert [name for name in objects(keeping) if "part" in name] == []
    assert [row.started_at for row in keeping.rows()] == [9.0]


def test_a_rerun_of_a_type_that_no_longer_keeps_results_keeps_the_old_one(keeping: Storage) -> None:
    keeping.commit([record(keeping, K, b"data", took=1.0)])
    keeping.commit([record(keeping, K, took=7.0)])
    assert content(keeping.load([K])[K]) == [b"data"] and keeping.timings().by_key == {K: 7.0}


def test_what_is_set_aside_counts_as_absent_and_is_kept(keeping: Storage) -> None:
    keeping.commit([record(keeping, K, b"small", LARGE), record(keeping, OTHER, b"1")])
    keeping.set_aside(K)
    assert set(keeping.present()) == {OTHER}
    kept = {os.path.basename(name): data for name, data in objects(keeping).items() if name.startswith("damaged/")}
    assert {name: data for name, data in kept.items() if name.startswith("part-")} == {
        "part-0": b"small",
        "part-1": LARGE,
    }


def test_what_was_set_aside_is_listed_until_it_is_discarded(keeping: Storage, tmp_path: Path) -> None:
    assert keeping.aside() == []
    keeping.commit([record(keeping, one, b"small", LARGE) for one in (A, B, K)])
    for one in (A, B):
        keeping.set_aside(one)
    found = sorted(keeping.aside())
    assert sorted(item.key for item in found) == sorted([A, B])
    assert all(len(LARGE) < item.size < len(LARGE) + 2_000 for item in found)
    assert all(abs(item.at - time.time()) < 60 for item in found)
    keeping.discard(found[:1])
    assert keeping.aside() == found[1:]
    keeping.discard(found[1:])
    assert keeping.aside() == [] and set(keeping.present()) == {K}
    assert not list(tmp_path.rglob("damaged/*"))


def test_thousands_of_keys_are_handled_at_once(keeping: Storage) -> None:
    keys = [key(f"key-{number}") for number in range(2_000)]
    keeping.commit([record(keeping, one, one.encode()) for one in keys])
    found = keeping.load(keys)
    assert [content(found[one]) for one in keys] == [[one.encode()] for one in keys]
    assert keeping.remove(keys) == 2_000 and keeping.present() == {}


@pytest.mark.parametrize("kind", ["local", "file"])
@pytest.mark.parametrize("harm", ["gone", "shorter"])
def test_results_whose_files_are_gone_are_known_without_reading_any(tmp_path: Path, kind: str, harm: str) -> None:
    storage = make(kind, tmp_path / kind)
    assert storage.incomplete([A]) == set()
    storage.commit([record(storage, one, b"small", LARGE) for one in (A, B)] + [record(storage, C, b"small")])
    assert storage.incomplete([A, B, C, ABSENT]) == set()
    (file,) = [Path(str(blob.path)) for blob in storage.load([A])[A].blobs if blob.path]
    if harm == "gone":
        file.unlink()
    else:
        os.truncate(file, 5)
    assert storage.incomplete([A, B, C, ABSENT]) == {A} and storage.incomplete([B, C]) == set()
    storage.close()


def test_results_like_a_task_come_first_then_the_newest(keeping: Storage) -> None:
    texts = {A: '{"x":1,"y":2}', B: '{"x":1,"y":3}', C: '{"x":9,"y":2}', K: '{"x":9,"y":9}', OTHER: '{"x":1,"y":2}'}
    made = {one: record(keeping, one, b"1", at=float(at)) for at, one in enumerate(texts)}
    for one, text in texts.items():
        made[one].params = text
    made[OTHER].type = "m.Other"
    keeping.commit(list(made.values()))
    assert [row.key for row in keeping.alike("m.T", ['"x":1', '"y":2'], 9)] == [A, C, B, K]
    assert [row.key for row in keeping.alike("m.T", ['"x":1', '"y":2'], 2)] == [A, C]
    assert [row.key for row in keeping.alike("m.T", [], 3)] == [K, C, B]
    assert keeping.alike("m.Nothing", ['"x":1'], 3) == []
    assert keeping.alike("m.T", ['"x":1'], 1) == list(keeping.rows([B]))
