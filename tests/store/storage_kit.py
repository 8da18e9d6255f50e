"""Records for storages, and a folder of results with something to damage."""

from __future__ import annotations

import hashlib
import os
import sqlite3
import traceback
from collections.abc import Callable
from pathlib import Path

import pytest

from labtech_cli.store.blobs import INLINE_MAX, Blob, PartFolder, Stored, verify
from labtech_cli.store.folder_place import FolderPlace
from labtech_cli.store.local import LocalStorage
from labtech_cli.store.records import Record
from labtech_cli.store.remote import FsspecStorage
from labtech_cli.store.storage import NullStorage, Storage

LARGE = b"0123456789abcdef" * (INLINE_MAX // 8)


def key(name: str) -> str:
    """A cache key that stands for `name`."""
    return hashlib.md5(name.encode()).hexdigest()


def objects(storage: Storage) -> dict[str, bytes]:
    """All that a storage that is not in memory keeps, by its name below the storage, but for a database."""
    if isinstance(storage, LocalStorage):
        return _contents(storage.path)
    assert isinstance(storage, FsspecStorage)
    place = storage._place
    if isinstance(place, FolderPlace):
        return _contents(Path(place.root))
    start = len(place.path(""))  # type: ignore[attr-defined]
    return {name[start:]: place.fs.cat_file(name) for name in place.fs.find(place.path("")[:-1])}  # type: ignore[attr-defined]


def _contents(folder: Path) -> dict[str, bytes]:
    return {name: (folder / name).read_bytes() for name in files(folder) if (folder / name).is_file()}


def make(kind: str, folder: Path) -> Storage:
    """A storage of some kind; two made for one folder are one storage."""
    if kind == "null":
        return NullStorage()
    if kind == "local":
        return LocalStorage(folder)
    if kind == "memory":
        pytest.importorskip("fsspec")
    return FsspecStorage(f"{kind}://{folder}")


def write(folder: PartFolder, name: str, data: bytes) -> None:
    with folder.file_handle("", name, mode="wb") as part:
        part.write(data)


def record(storage: Storage, key: str, *parts: bytes, kind: str = "m.T", at: float = 1.0, took: float = 0.5) -> Record:
    """A result of some parts, as a worker makes it; without parts, a task that keeps nothing."""
    stored = None
    if parts:
        folder = PartFolder(storage.spool())
        for number, data in enumerate(parts):
            write(folder, f"part-{number}", data)
        stored = Stored("pickle", tuple(folder.blobs))
    return Record(key, kind, "v1", '{"x":1}', took, at, stored)


def content(stored: Stored) -> list[bytes]:
    """The bytes of each part, once they are verified."""
    verify(stored)
    return [bytes_of(blob) for blob in stored.blobs]


def bytes_of(blob: Blob) -> bytes:
    return blob.data if blob.data is not None else Path(str(blob.path)).read_bytes()


def files(folder: Path) -> list[str]:
    """Every file and empty folder below `folder`, but for the database's own."""
    found = [item for item in folder.rglob("*") if item.is_file() or not any(item.iterdir())]
    names = sorted(str(item.relative_to(folder)) for item in found)
    return [name for name in names if not name.startswith("labtech.db") and name not in (".gitignore", "CACHEDIR.TAG")]


def edit(folder: Path, statement: str, *values: object) -> None:
    """Change the database behind the storage's back."""
    database = sqlite3.connect(folder / "labtech.db")
    with database:
        database.execute(statement, values)
    database.close()


def flip(path: Path) -> None:
    """Change one byte in the middle of a file."""
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def as_somebody_else(action: Callable[[], None]) -> str:
    """Run `action` in a process that is not root; the traceback of what it raises."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            if os.getuid() == 0:
                os.setuid(65534)
            action()
        except BaseException:
            os.write(writing, traceback.format_exc().encode())
        finally:
            os._exit(0)
    os.close(writing)
    with open(reading, encoding="utf-8") as pipe:
        text = pipe.read()
    os.waitpid(pid, 0)
    return text
