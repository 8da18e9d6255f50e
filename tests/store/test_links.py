"""Whatever names and links a storage holds, nothing outside it is removed, moved or written."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
from storage_kit import LARGE, content, edit, key, make, record

from labtech_cli.errors import StorageError
from labtech_cli.store.local import LocalStorage
from labtech_cli.store.storage import Storage

K, OTHER = key("k"), key("other")
LITTER = ["{outside}/thesis", "../outside/thesis", "", ".", "results", "results/..", "results/ab/../../../outside"]
FOLDERS = {
    "local": ["results", "spool", "damaged", "history"],
    "file": [
        *("results", "spool", "damaged", "history", "data", "tasks", "documents", "runs", "leases"),
        *("journal", "staged", "probe"),
    ],
}
LINKED = [(kind, name) for kind, names in FOLDERS.items() for name in names]
STEPS: dict[str, Callable[[Storage], object]] = {
    "enter": lambda storage: storage.enter([K]),
    "commit": lambda storage: storage.commit([record(storage, OTHER, b"small", LARGE)]),
    "replace": lambda storage: storage.commit([record(storage, K, LARGE, b"x")]),
    "keep": lambda storage: storage.keep({"d" * 32: "text"}),
    "set aside": lambda storage: storage.set_aside(K),
    "discard": lambda storage: storage.discard(storage.aside()),
    "remove": lambda storage: storage.remove([K, OTHER]),
    "leave": lambda storage: storage.leave(),
}


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    """What must stay as it is: beside the storage, with names as a storage has them."""
    folder = tmp_path / "outside"
    for name in ("thesis/chapter", f"{K[:2]}/{K}.json", f"{K[:2]}/{K}.12345678/part-1", f"{K}.12345678/part-0", "top"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("precious")
    return folder


def seen(folder: Path) -> dict[str, str]:
    return {str(item): item.read_text() if item.is_file() else "" for item in folder.rglob("*")}


def try_everything(kind: str, folder: Path) -> list[str]:
    """Do all that a storage can, each with a storage of its own; what was refused."""
    told = []
    for name, step in STEPS.items():
        storage = make(kind, folder)
        try:
            step(storage)
        except StorageError as error:
            told.append(f"{name}: {error}")
        with suppress(StorageError):
            storage.close()
    return told


@pytest.mark.parametrize("owner", [None, "dead"])
@pytest.mark.parametrize("name", LITTER)
def test_litter_that_is_no_folder_of_a_result_is_forgotten_and_not_removed(
    tmp_path: Path, outside: Path, name: str, owner: str | None
) -> None:
    before, storage = seen(outside), LocalStorage(tmp_path / "storage")
    storage.commit([record(storage, K, LARGE)])
    storage.close()
    edit(storage.path, "INSERT INTO litter VALUES (?, ?, 1.0)", name.format(outside=outside), owner)
    storage.enter([])
    storage.leave()
    assert seen(outside) == before and content(storage.load([K])[K]) == [LARGE]
    assert storage._database.select("SELECT * FROM litter") == []


@pytest.mark.parametrize(("kind", "name"), LINKED)
def test_a_folder_that_is_a_link_leads_nobody_out(tmp_path: Path, outside: Path, kind: str, name: str) -> None:
    before, folder = seen(outside), tmp_path / "storage"
    storage = make(kind, folder)
    storage.commit([record(storage, K, b"small", LARGE)])
    storage.close()
    shutil.rmtree(folder / name, ignore_errors=True)
    (folder / name).symlink_to(outside)
    told = try_everything(kind, folder)
    assert seen(outside) == before
    assert all("is a link that leads elsewhere; replace the link" in text for text in told), told
    assert make(kind, folder).history() == (None if name == "history" else folder / "history")


@pytest.mark.parametrize("kind", ["local", "file"])
def test_a_linked_folder_of_one_result_leads_nobody_out(tmp_path: Path, outside: Path, kind: str) -> None:
    before, folder = seen(outside), tmp_path / "storage"
    for step in STEPS:
        shutil.rmtree(folder, ignore_errors=True)
        storage = make(kind, folder)
        storage.commit([record(storage, K, b"small", LARGE)])
        storage.close()
        (home,) = [item.parent for item in folder.rglob("part-1")]
        shutil.rmtree(home)
        home.symlink_to(outside / K[:2] / f"{K}.12345678")
        with suppress(StorageError):
            STEPS[step](storage)
        storage.close()
        assert seen(outside) == before, step


@pytest.mark.parametrize(("kind", "name"), [*LINKED[:4], ("file", "spool"), ("file", "history"), ("file", "runs")])
def test_a_run_is_refused_before_anything_is_computed(tmp_path: Path, outside: Path, kind: str, name: str) -> None:
    (tmp_path / "storage").mkdir()
    (tmp_path / "storage" / name).symlink_to(outside)
    with pytest.raises(StorageError, match=f"its folder '{name}' is a link that leads elsewhere"):
        make(kind, tmp_path / "storage").check_writable()


@pytest.mark.parametrize("name", ["labtech.db", "labtech.db-wal", ".gitignore", "CACHEDIR.TAG"])
def test_a_file_of_the_storage_that_is_a_link_is_not_written_through(tmp_path: Path, name: str) -> None:
    folder = tmp_path / "storage"
    folder.mkdir()
    (folder / name).symlink_to(tmp_path / "made")
    with suppress(StorageError):
        LocalStorage(folder).check_writable()
    assert not os.path.lexists(tmp_path / "made")


@pytest.mark.parametrize("kind", ["local", "file"])
def test_the_storage_itself_may_be_a_link(tmp_path: Path, kind: str) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    assert try_everything(kind, tmp_path / "link") == []
    storage = make(kind, tmp_path / "link")
    storage.commit([record(storage, K, LARGE)])
    assert content(make(kind, tmp_path / "real").load([K])[K]) == [LARGE]
