"""Storages of earlier formats: read as they are, upgraded with a backup when they are written to."""

from __future__ import annotations

import os
import shutil
import sqlite3
from pathlib import Path

import pytest
from crash_kit import Steps, die, every_step, in_a_child
from storage_kit import LARGE, as_somebody_else, content, record

from labtech_cli.errors import StorageError
from labtech_cli.store.blobs import digest
from labtech_cli.store.local import LocalStorage
from labtech_cli.store.schema import APPLICATION_ID, SCHEMA_VERSION

VERSION_1 = f"""
CREATE TABLE task (
    id INTEGER PRIMARY KEY, key TEXT NOT NULL UNIQUE, type TEXT NOT NULL, code_version TEXT,
    params TEXT NOT NULL, duration REAL NOT NULL, format TEXT, started_at REAL, size INTEGER, parts TEXT
);
CREATE TABLE data (id INTEGER PRIMARY KEY, bytes BLOB NOT NULL);
CREATE TRIGGER task_deleted AFTER DELETE ON task BEGIN DELETE FROM data WHERE id = old.id; END;
PRAGMA user_version = 1;
PRAGMA application_id = {APPLICATION_ID};
"""
KEYS = {f"{number:032x}" for number in range(3)}


@pytest.fixture
def old(tmp_path: Path) -> Path:
    """A storage as the first version wrote it: two small results, a large one, and a task without one."""
    folder = tmp_path / "storage"
    home = f"results/00/{0:032x}.abcdef01"
    (folder / home).mkdir(parents=True)
    (folder / home / "result.pickle").write_bytes(LARGE)
    database = sqlite3.connect(folder / "labtech.db")
    database.execute("PRAGMA journal_mode = WAL")
    database.executescript(VERSION_1)
    for number in range(3):
        data = LARGE if number == 0 else b"small"
        parts = f"result.pickle\t{len(data)}\t{digest(data)}\t{home if number == 0 else ''}"
        row = (number + 1, f"{number:032x}", "m.T", None, '{"x":1}', 2.0, "pickle", 5.0 + number, len(data), parts)
        database.execute("INSERT INTO task VALUES (?,?,?,?,?,?,?,?,?,?)", row)
        if number:
            database.execute("INSERT INTO data VALUES (?,?)", (number + 1, data))
    database.execute("INSERT INTO task VALUES (9,?,?,NULL,?,?,NULL,NULL,NULL,NULL)", ("f" * 32, "m.N", "{}", 1.5))
    database.commit()
    database.close()
    return folder


def version(folder: Path, name: str = "labtech.db") -> int:
    database = sqlite3.connect(folder / name)
    (found,) = database.execute("PRAGMA user_version").fetchone()
    database.close()
    return int(found)


def check(storage: LocalStorage) -> None:
    """Everything is there, and what was not recorded then is not known now."""
    assert set(storage.present()) == KEYS
    found = storage.load(sorted(KEYS))
    assert [content(found[key]) for key in sorted(KEYS)] == [[LARGE], [b"small"], [b"small"]]
    rows = list(storage.rows())
    assert [row.key for row in rows] == sorted(KEYS) and {row.code for row in rows} == {row.origin for row in rows} == {
        None
    }
    assert storage.codes() == {("m.T", None): 3} and set(storage.produced_by([None])) == KEYS
    assert len(storage.described()) == 4 and storage.timings().by_type == {"m.T": 2.0, "m.N": 1.5}
    assert storage.journal() == [] and storage.live() == [] and storage.needed() == set()
    assert storage.stats()[0].results == 3


def test_an_older_storage_is_read_without_being_changed(old: Path) -> None:
    before = (old / "labtech.db").read_bytes()
    storage = LocalStorage(old)
    check(storage)
    storage.close()
    assert version(old) == 1 and (old / "labtech.db").read_bytes() == before


def test_an_older_storage_in_a_folder_that_cannot_be_written_to_is_read(old: Path) -> None:
    shutil.rmtree(old / "nothing", ignore_errors=True)
    for item in [old, *old.rglob("*"), *(place for place in old.parents if "pytest-" in str(place))]:
        item.chmod(0o755 if item.is_dir() else 0o644)
    assert as_somebody_else(lambda: check(LocalStorage(old))) == ""


def test_an_older_storage_is_upgraded_with_a_backup_when_it_is_written_to(old: Path) -> None:
    storage = LocalStorage(old)
    storage.commit([record(storage, "a" * 32, b"new")])
    assert version(old) == SCHEMA_VERSION and version(old, "labtech.db.version-1") == 1
    storage.remove(["a" * 32])
    check_after = LocalStorage(old)
    assert set(check_after.present()) == KEYS
    assert content(check_after.load([f"{0:032x}"])[f"{0:032x}"]) == [LARGE]
    backup = old.parent / "backup"
    shutil.copytree(old, backup)
    os.replace(backup / "labtech.db.version-1", backup / "labtech.db")
    for name in ("labtech.db-wal", "labtech.db-shm"):
        (backup / name).unlink(missing_ok=True)
    check(LocalStorage(backup))


def test_an_upgrade_that_is_killed_at_any_step_is_done_by_the_next_one(old: Path, tmp_path: Path) -> None:
    folder = tmp_path / "copy"

    def killed_at(number: int) -> int:
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(old, folder)

        def action() -> None:
            Steps(number, die)
            LocalStorage(folder).check_writable()

        return in_a_child(action)

    steps = 0
    for _ in every_step(killed_at):
        steps += 1
        check(LocalStorage(folder))
        storage = LocalStorage(folder)
        storage.check_writable()
        check(storage)
        assert version(folder) == SCHEMA_VERSION
        storage.close()
    assert steps > 8


def test_a_newer_storage_is_refused_with_a_hint(old: Path) -> None:
    database = sqlite3.connect(old / "labtech.db")
    database.execute(f"PRAGMA user_version = {SCHEMA_VERSION + 1}")
    database.close()
    for action in (LocalStorage(old).present, LocalStorage(old).check_writable):
        with pytest.raises(StorageError, match="newer labtech") as caught:
            action()
        assert "upgrade labtech" in str(caught.value.hint)
    assert version(old) == SCHEMA_VERSION + 1
