"""Who may not write to a storage's folder sees what is in it, or is told why not."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from storage_kit import LARGE, as_somebody_else, content, record

from labtech_cli.store.local import LocalStorage

LOG, MEMORY = "labtech.db-wal", "labtech.db-shm"


@pytest.fixture
def place() -> Iterator[Path]:
    """A folder that everybody may look into, unlike pytest's own."""
    with tempfile.TemporaryDirectory() as made:
        os.chmod(made, 0o755)
        yield Path(made)


@pytest.fixture
def live(place: Path) -> Iterator[Path]:
    """A storage whose results are all in the log, of a process that has not ended."""
    storage = LocalStorage(place / "live")
    storage.commit([record(storage, "k", b"data", LARGE)])
    assert (storage.path / LOG).stat().st_size
    yield storage.path
    os.chmod(storage.path, 0o755)
    storage.close()


def only_readable(folder: Path) -> Path:
    for item in [folder, *folder.rglob("*")]:
        os.chmod(item, 0o555 if item.is_dir() else 0o444)
    return folder


def reading(folder: Path) -> str:
    """What somebody else's process says when it reads the storage's result: nothing, if all is well."""

    def read() -> None:
        storage = LocalStorage(folder)
        assert set(storage.present()) == {"k"}
        assert content(storage.load(["k"])["k"]) == [b"data", LARGE]

    return as_somebody_else(read)


def test_results_of_a_run_that_lives_are_seen(live: Path) -> None:
    assert reading(only_readable(live)) == ""


def test_results_of_a_run_that_was_killed_are_seen(live: Path, place: Path) -> None:
    shutil.copytree(live, place / "killed")
    assert reading(only_readable(place / "killed")) == ""


@pytest.mark.parametrize("hidden", [LOG, MEMORY])
def test_results_in_a_log_that_cannot_be_read_are_told_of(live: Path, place: Path, hidden: str) -> None:
    shutil.copytree(live, place / "killed")
    os.chmod(only_readable(place / "killed") / hidden, 0o000)
    told = reading(place / "killed")
    assert "StorageError" in told and f"{LOG} and {MEMORY} made readable" in told


def test_a_log_without_its_index_is_told_of(live: Path, place: Path) -> None:
    shutil.copytree(live, place / "killed")
    (place / "killed" / MEMORY).unlink()
    told = reading(only_readable(place / "killed"))
    assert "StorageError" in told and "what was saved last is in its log" in told


def test_a_storage_that_nobody_has_open_is_read(live: Path, place: Path) -> None:
    shutil.copytree(live, place / "closed")
    storage = LocalStorage(place / "closed")
    storage.check_writable()
    storage.close()
    assert not (place / "closed" / LOG).exists()
    assert reading(only_readable(place / "closed")) == ""
    os.chmod(place / "closed", 0o755)
    (place / "closed" / LOG).touch()
    assert reading(only_readable(place / "closed")) == ""
