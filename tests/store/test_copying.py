"""Results copied from one storage to another."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path
from typing import Any

import pytest
from storage_kit import LARGE, edit, files, flip, make
from store_tasks import Plain
from upkeep_kit import Counting, filled, record, value_of

from labtech_cli.errors import StorageError
from labtech_cli.store import copying, formats
from labtech_cli.store.checking import check
from labtech_cli.store.copying import Copied, Copier
from labtech_cli.store.local import LocalStorage
from labtech_cli.store.signing import Trust
from labtech_cli.store.storage import Storage


def copied(source: Storage, target: Storage, *, everything: bool = False, **options: Any) -> Copied:
    return Copier(source, target, **options).copy(list(source.rows()), everything=everything)


def counts(done: Copied) -> tuple[int, int, list[str]]:
    return done.copied, done.there, [problem.kind for _, problem in done.problems]


def whole(storage: Storage) -> int:
    """How many results there are, all of them whole."""
    items = list(check(storage, storage.rows()))
    assert [item.problem for item in items if item.problem] == []
    return len(items)


def everything_in(folder: Path) -> list[Any]:
    """The rows of a storage as they lie in its database, sound or not, and what its files hold."""
    database = sqlite3.connect(folder / "labtech.db")
    rows = [row for table in ("task", "data", "document") for row in database.execute(f"SELECT * FROM {table}")]
    database.close()
    return rows + [item.read_bytes() for item in sorted((folder / "results").rglob("*.pickle"))]


@pytest.fixture
def target(tmp_path: Path) -> LocalStorage:
    return LocalStorage(tmp_path / "target")


def test_results_arrive_with_all_that_is_known_of_them(tmp_path: Path, target: LocalStorage) -> None:
    source, tasks = filled(tmp_path / "s")
    assert counts(copied(source, target)) == (6, 0, [])
    assert list(target.rows()) == list(source.rows()) and whole(target) == 6
    stored = target.load([task.cache_key for task in tasks])
    assert [formats.load(task, stored[task.cache_key]) for task in tasks] == [value_of(n) for n in range(6)]
    assert target.documents(["c0de", "0r1g"]) == {"c0de": "the code", "0r1g": "the origin"}
    assert target.described() == source.described()
    assert target.timings() == source.timings()
    assert not os.listdir(tmp_path / "target" / "spool")


def test_what_is_there_is_not_copied_again(tmp_path: Path, target: LocalStorage) -> None:
    source, _ = filled(tmp_path / "s")
    copied(source, target)
    before = files(target.path)
    done = copied(source, target)
    assert counts(done) == (0, 6, []) and done.copied_bytes == done.described == 0
    assert files(target.path) == before


def test_shards_are_joined(tmp_path: Path, target: LocalStorage) -> None:
    source, tasks = filled(tmp_path / "s", 9)
    for number in range(3):
        shard = LocalStorage(tmp_path / f"shard{number}")
        Copier(source, shard).copy([row for at, row in enumerate(source.rows()) if at % 3 <= number])
        copied(shard, target, everything=True)
    assert whole(target) == len(tasks) and target.described() == source.described()


def test_descriptions_of_what_is_not_copied_come_along(tmp_path: Path, target: LocalStorage) -> None:
    source, tasks = filled(tmp_path / "s")
    rows = list(source.rows([tasks[-1].cache_key]))
    assert Copier(source, target).copy(rows).described == 2
    keys = {task.cache_key for task in (tasks[-1], tasks[0], Plain("inner"))}
    assert set(target.described()) == keys == set(target.timings().by_key)
    assert Copier(source, target).copy(rows, everything=True).described == 4
    assert set(target.described()) == set(source.described())


def test_deep_chains_are_described_without_recursion(tmp_path: Path, target: LocalStorage) -> None:
    source, task = LocalStorage(tmp_path / "s"), Plain(0)
    made = []
    for _ in range(3_000):
        made.append(record(source, task, None, kept=False))
        task = Plain(task)
    source.commit(made)
    source.commit([record(source, task, "end")])
    assert copied(source, target).described == 3_000


def test_another_result_of_the_same_task_stays_unless_it_is_to_be_overwritten(
    tmp_path: Path, target: LocalStorage
) -> None:
    source, tasks = filled(tmp_path / "s")
    target.commit([record(target, tasks[0], "other"), record(target, tasks[1], value_of(1) + "other")])
    assert counts(copied(source, target)) == (4, 0, ["conflict", "conflict"])
    (stored,) = target.load([tasks[0].cache_key]).values()
    assert formats.load(tasks[0], stored) == "other"
    done = copied(source, target, overwrite=True)
    assert counts(done) == (2, 4, []) and done.overwritten == 2
    assert list(target.rows()) == list(source.rows()) and whole(target) == 6


def test_damaged_results_are_told_and_not_copied(tmp_path: Path, target: LocalStorage) -> None:
    source, tasks = filled(tmp_path / "s", 9)
    keys = [task.cache_key for task in tasks]
    by_key = {path.parent.name.partition(".")[0]: path for path in (source.path / "results").rglob("*.pickle")}
    flip(by_key[keys[1]])
    by_key[keys[4]].write_bytes(by_key[keys[4]].read_bytes() + b"more")
    by_key[keys[7]].unlink()
    edit(source.path, "UPDATE data SET bytes = X'00' WHERE id = (SELECT id FROM task WHERE key = ?)", keys[0])
    edit(source.path, "UPDATE task SET key = '../../../x' WHERE key = ?", keys[2])
    edit(source.path, "UPDATE task SET parts = '../x\t1\ta\t' WHERE key = ?", keys[3])
    before = everything_in(source.path)
    assert counts(copied(source, target, dry_run=True))[0] >= 3
    assert not target.path.exists()
    done = copied(source, target, everything=True)
    assert done.copied == 3 == whole(target)
    told = {row.key: problem.kind for row, problem in done.problems}
    assert told == {**{keys[n]: "checksum" for n in (0, 1, 3, 4, 7)}, "../../../x": "description"}
    assert len(os.listdir(tmp_path)) == 2
    assert not os.listdir(target.path / "spool") and keys[0] in target.described()
    assert everything_in(source.path) == before, "nothing of the source is changed"


def test_what_does_not_come_back_from_the_target_is_set_aside(
    tmp_path: Path, target: LocalStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, _ = filled(tmp_path / "s")
    commit = target.commit

    def rot(records: Any) -> None:
        commit(records)
        for path in target.path.glob("results/*/*/*"):
            flip(path)

    monkeypatch.setattr(target, "commit", rot)
    done = copied(source, target)
    assert counts(done) == (4, 0, ["checksum", "checksum"])
    assert "after it was written" in done.problems[0][1].message
    assert whole(target) == 4 and len(os.listdir(target.path / "damaged")) == 2


def test_a_full_disk_is_an_error_and_the_copy_goes_on_later(
    tmp_path: Path, target: LocalStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, _ = filled(tmp_path / "s")

    def full(blob: Any) -> Any:
        yield from pieces(blob)
        if blob.size > 1_000:
            raise OSError(28, "No space left on device")

    pieces = copying.pieces
    monkeypatch.setattr(copying, "pieces", full)
    with pytest.raises(StorageError, match=r"target': no space left on device; .* copy again to go on"):
        copied(source, target)
    assert not list((target.path / "spool").iterdir())
    monkeypatch.undo()
    copied(source, target)
    assert whole(target) == 6


def test_an_interrupt_leaves_both_whole(tmp_path: Path, target: LocalStorage, monkeypatch: pytest.MonkeyPatch) -> None:
    source, _ = filled(tmp_path / "s", 1_200)
    seen = 0

    def told(many: int) -> None:
        nonlocal seen
        seen += 1
        if seen == 800:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        copied(source, target, told=told)
    assert whole(target) == 500 and whole(source) == 1_200
    assert not list((target.path / "spool").iterdir())
    assert counts(copied(source, target)) == (700, 500, [])


def test_large_parts_are_never_held_whole(
    tmp_path: Path, target: LocalStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = LocalStorage(tmp_path / "s")
    source.commit([record(source, Plain(), b"x" * 9_000_000)])
    longest = 0

    def measured(blob: Any) -> Any:
        nonlocal longest
        for piece in pieces(blob):
            longest = max(longest, len(piece))
            yield piece

    pieces = copying.pieces
    monkeypatch.setattr(copying, "pieces", measured)
    assert copied(source, target).copied == 1 == whole(target)
    assert longest <= 1 << 20


def test_it_says_that_it_lives_while_a_large_result_is_copied(
    tmp_path: Path, target: LocalStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, _ = filled(tmp_path / "s")
    monkeypatch.setattr(copying, "BEAT_SECONDS", -1.0)
    counting = Counting(target)
    copied(source, counting)  # type: ignore[arg-type]
    assert counting.calls["beat"] >= 6


def test_the_cost_is_linear(tmp_path: Path, target: LocalStorage) -> None:
    source, _ = filled(tmp_path / "s", 5_000)
    here, there = Counting(source), Counting(target)
    assert copied(here, there, everything=True).copied == 5_000  # type: ignore[arg-type]
    assert here.calls["load"] == here.calls["outlines"] == there.calls["load"] == there.calls["outlines"] == 10
    assert there.calls["commit"] == 11 and max((here.calls + there.calls).values()) < 5_100  # spool: once a result
    assert here.calls["described"] == there.calls["described"] == here.calls["rows"] == 1
    assert copied(source, target).there == 5_000


@pytest.mark.parametrize("kinds", [("local", "file"), ("file", "local"), ("local", "memory"), ("memory", "file")])
def test_between_any_two_storages(tmp_path: Path, kinds: tuple[str, str]) -> None:
    first, _ = filled(tmp_path / "first")
    one, other = (make(kind, tmp_path / f"{number}{kind}") for number, kind in enumerate(kinds))
    copied(first, one, everything=True)
    assert counts(copied(one, other, everything=True)) == (6, 0, [])
    assert list(other.rows()) == list(first.rows()) and whole(other) == 6
    assert other.described() == first.described() and other.timings() == first.timings()
    assert other.documents(["c0de"]) == {"c0de": "the code"}
    assert counts(copied(one, other)) == (0, 6, [])


def test_a_signature_stays_valid_wherever_it_is_copied(
    tmp_path: Path, target: LocalStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LABTECH_SIGNING_KEY", "0123456789abcdef" * 2)
    trust = Trust.from_environment()
    source, tasks = LocalStorage(tmp_path / "s"), [Plain(1), Plain(2)]
    for task, value in zip(tasks, ("small", LARGE), strict=True):
        made = record(source, task, value)
        assert made.stored is not None
        made.stored = trust.sign(task.cache_key, made.stored)
        source.commit([made])
    monkeypatch.delenv("LABTECH_SIGNING_KEY")  # who copies need not have the key
    assert counts(copied(source, target)) == (2, 0, [])
    for task in tasks:
        trust.check(task.cache_key, target.load([task.cache_key])[task.cache_key])
    unsigned, _ = filled(tmp_path / "unsigned", 3)
    monkeypatch.setenv("LABTECH_SIGNING_KEY", "0123456789abcdef" * 2)
    assert copied(unsigned, target, overwrite=True).copied == 3
    assert copied(unsigned, target).there == 3
