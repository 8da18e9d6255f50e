"""What every storage does alike."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from storage_kit import LARGE, content, files, record

from labtech_cli.store.local import LocalStorage
from labtech_cli.store.records import Row, TypeStats
from labtech_cli.store.storage import NullStorage, Storage


@pytest.fixture(params=["local", "null"])
def storage(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Storage]:
    made: Storage = LocalStorage(tmp_path / "storage") if request.param == "local" else NullStorage()
    yield made
    made.close()


@pytest.fixture
def keeping(tmp_path: Path) -> Iterator[Storage]:
    made = LocalStorage(tmp_path / "storage")
    yield made
    made.close()


def test_an_empty_storage_has_nothing(storage: Storage) -> None:
    assert storage.present() == {} == storage.described() == storage.load(["k"])
    assert list(storage.rows()) == [] == storage.stats() == list(storage.rows(["k"]))
    assert storage.timings().by_key == {} and storage.remove(["k"]) == 0
    storage.set_aside("k")


def test_it_says_where_it_is_and_can_be_used_again_after_it_was_closed(storage: Storage) -> None:
    assert storage.describe()
    for _ in range(2):
        storage.check_writable()
        storage.commit([record(storage, "k", b"small", LARGE)])
        assert set(storage.present()) == ({"k"} if storage.keeps else set())
        storage.close()


def test_the_spool_is_gone_once_it_is_closed(storage: Storage) -> None:
    record(storage, "k", LARGE)
    spool = Path(storage.spool())
    assert list(spool.rglob("part-0"))
    storage.close()
    assert not spool.exists()


@pytest.mark.parametrize(
    "parts", [(b"small",), (b"",), (LARGE,), (b"small", LARGE, b"more"), (LARGE, LARGE + b"x")], ids=len
)
def test_what_was_committed_is_loaded(keeping: Storage, parts: tuple[bytes, ...]) -> None:
    keeping.commit([record(keeping, "other", b"other"), record(keeping, "k", *parts)])
    found = keeping.load(["k", "absent"])
    assert list(found) == ["k"] and found["k"].format == "pickle"
    assert content(found["k"]) == list(parts)
    assert found["k"].size == sum(len(part) for part in parts)


def test_listings_tell_what_is_there_oldest_first(keeping: Storage) -> None:
    keeping.commit([record(keeping, "b", b"12", at=20.0, took=3.0), record(keeping, "a", LARGE, at=10.0, took=1.0)])
    keeping.commit([record(keeping, "c", b"1", kind="m.Other", at=5.0)])
    row = Row("b", "m.T", "v1", '{"x":1}', "pickle", 20.0, 3.0, 2)
    assert [found.key for found in keeping.rows()] == ["c", "a", "b"]
    assert list(keeping.rows(["b", "absent"])) == [row]
    assert keeping.present() == {"a": 1.0, "b": 3.0, "c": 0.5}
    assert keeping.stats() == [
        TypeStats("m.Other", 1, 1, 0.5, 5.0, 5.0),
        TypeStats("m.T", 2, 2 + len(LARGE), 4.0, 10.0, 20.0),
    ]


def test_a_task_that_keeps_nothing_leaves_its_description_and_timing(keeping: Storage) -> None:
    keeping.commit([record(keeping, "k", took=2.0)])
    assert keeping.present() == {} == keeping.load(["k"]) and list(keeping.rows()) == []
    assert keeping.described() == {"k": ("m.T", "v1", '{"x":1}')}
    assert keeping.timings().by_key == {"k": 2.0}


def test_removed_results_leave_their_description_and_timing(keeping: Storage) -> None:
    keeping.commit([record(keeping, key, b"data", LARGE, took=4.0) for key in ("a", "b", "c")])
    assert keeping.remove(["a", "b", "absent"]) == 2
    assert keeping.remove(["a"]) == 0
    assert set(keeping.present()) == {"c"} and content(keeping.load(["c"])["c"]) == [b"data", LARGE]
    assert set(keeping.described()) == {"a", "b", "c"}
    assert keeping.timings().by_type == {"m.T": 4.0}


def test_a_rerun_replaces_the_result_and_its_files(keeping: Storage, tmp_path: Path) -> None:
    for data in (LARGE, LARGE + b"x"):
        keeping.commit([record(keeping, "k", b"small", data)])
        assert content(keeping.load(["k"])["k"]) == [b"small", data]
    assert len([name for name in files(tmp_path / "storage") if name.startswith("results")]) == 1
    keeping.commit([record(keeping, "k", b"tiny now", at=9.0)])
    keeping.close()
    assert [name for name in files(tmp_path / "storage") if "part" in name] == []
    assert [row.started_at for row in LocalStorage(tmp_path / "storage").rows()] == [9.0]


def test_a_rerun_of_a_type_that_no_longer_keeps_results_keeps_the_old_one(keeping: Storage) -> None:
    keeping.commit([record(keeping, "k", b"data", took=1.0)])
    keeping.commit([record(keeping, "k", took=7.0)])
    assert content(keeping.load(["k"])["k"]) == [b"data"] and keeping.timings().by_key == {"k": 7.0}


def test_what_is_set_aside_counts_as_absent_and_is_kept(keeping: Storage, tmp_path: Path) -> None:
    keeping.commit([record(keeping, "k", b"small", LARGE), record(keeping, "other", b"1")])
    keeping.set_aside("k")
    assert set(keeping.present()) == {"other"}
    kept = {item.name: item.read_bytes() for item in (tmp_path / "storage" / "damaged").rglob("part-*")}
    assert kept == {"part-0": b"small", "part-1": LARGE}


def test_thousands_of_keys_are_handled_at_once(keeping: Storage) -> None:
    keys = [f"key-{number}" for number in range(2_000)]
    keeping.commit([record(keeping, key, key.encode()) for key in keys])
    found = keeping.load(keys)
    assert [content(found[key]) for key in keys] == [[key.encode()] for key in keys]
    assert keeping.remove(keys) == 2_000 and keeping.present() == {}
