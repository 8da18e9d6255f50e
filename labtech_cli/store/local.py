"""Results in a local folder: one SQLite database with the index and all small parts, files for the rest.

    labtech.db          the table `task` (every task ever run, with its result's data where it has one)
                        and the table `data` (the bytes of small parts)
    results/ab/KEY.xx/  the large parts of one result
    spool/PID.xx/       large parts being written by a live run
    damaged/            results that did not match their checksum

Order of a commit: large parts are moved into `results/`, then one transaction writes the rows. A row
is the result; a folder without a row is rubbish. SQLite runs in WAL mode with synchronous=NORMAL: a
killed process loses nothing that was committed; a power cut may lose the last commits, never the
database.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
import uuid
import weakref
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from labtech_cli.errors import CacheError, DamagedResult
from labtech_cli.store.blobs import Blob, Stored, check_name
from labtech_cli.store.database import Database
from labtech_cli.store.records import Record, Row, Timings, TypeStats
from labtech_cli.store.schema import INSERT, INSERT_TIMING, remove_own
from labtech_cli.store.storage import Storage

_MANY = 500  # parameters of one statement


class LocalStorage(Storage):
    """A folder on a local disk. Reading one that does not exist finds nothing and makes nothing."""

    def __init__(self, path: str | Path) -> None:
        self.path = Path(os.path.abspath(os.path.expanduser(path)))
        self._database = Database(self.path)
        self._spool: str | None = None

    def describe(self) -> str:
        return str(self.path)

    def check_writable(self) -> None:
        self._database.connect(write=True)

    def spool(self) -> str:
        self._database.connect(write=True)
        if self._spool is None:
            self._spool = str(self.path / "spool" / f"{os.getpid()}.{uuid.uuid4().hex[:8]}")
            os.makedirs(self._spool)
            weakref.finalize(self, remove_own, self._spool, os.getpid())
        return self._spool

    def present(self) -> dict[str, float]:
        return dict(self._database.select("SELECT key, duration FROM task WHERE format IS NOT NULL"))

    def timings(self) -> Timings:
        rows = self._database.select("SELECT key, type, duration FROM task")
        by_key: dict[str, float] = {}
        sums: dict[str, tuple[int, float]] = {}
        for key, kind, duration in rows:
            by_key[key] = duration
            count, total = sums.get(kind, (0, 0.0))
            sums[kind] = count + 1, total + duration
        return Timings(by_key, {kind: total / count for kind, (count, total) in sums.items()})

    def commit(self, records: Sequence[Record]) -> None:
        moved: list[tuple[str, Path]] = []
        old: list[str] = []
        try:
            placed = [self._place(record, moved) for record in records]
            with self._database.transaction() as database:
                there = self._there(database, [record.key for record in records if record.stored])
                pairs = list(zip(records, placed, strict=True))
                late = {record.key for record in records if record.key in there and not record.replace}
                old = [folder for key, folders in there.items() if key not in late for folder in folders]
                old += [folder for record, (parts, _) in pairs if record.key in late for folder in _homes(parts)]
                wanted = [pair for pair in pairs if pair[0].key not in late]
                self._insert(database, wanted)
        except BaseException:
            for source, place in moved:  # so that those that can be committed can be committed without the others
                with suppress(OSError):
                    os.replace(place, source)
                    place.parent.rmdir()
            raise
        for folder in old:
            shutil.rmtree(self.path / folder, ignore_errors=True)

    def _insert(self, database: sqlite3.Connection, wanted: Sequence[tuple[Record, tuple[str, bytes]]]) -> None:
        (last,) = database.execute("SELECT coalesce(max(id), 0) FROM task").fetchone()
        rows, data = [], []
        for number, (record, (parts, inline)) in enumerate(wanted, last + 1):
            stored = record.stored
            rows.append(
                (number, record.key, record.type, record.code_version, record.params, record.duration)
                + ((stored.format, record.started_at, stored.size, parts) if stored else (None,) * 4)
            )
            if inline:
                data.append((number, inline))
        results = [row for row in rows if row[6]]
        if results:
            database.executemany(INSERT, results)
        if len(results) < len(rows):
            database.executemany(INSERT_TIMING, [row[:6] for row in rows if not row[6]])
        if data:
            database.executemany("INSERT INTO data VALUES (?, ?)", data)

    def load(self, keys: Sequence[str]) -> dict[str, Stored]:
        found: dict[str, Stored] = {}
        for start in range(0, len(keys), _MANY):
            some = keys[start : start + _MANY]
            marks = ",".join("?" * len(some))
            query = (
                "SELECT key, format, parts, bytes FROM task LEFT JOIN data USING (id) "
                f"WHERE format IS NOT NULL AND key IN ({marks})"
            )
            for key, form, parts, data in self._database.select(query, some):
                try:
                    found[key] = Stored(
                        form, self._read_parts(parts, data if isinstance(data, bytes) else str(data or "").encode())
                    )
                except (CacheError, ValueError):  # such a name is not followed: the result counts as damaged
                    found[key] = Stored(form, (Blob("the list of its files", 0, "", None, ""),))
        return found

    def rows(self, keys: Iterable[str] | None = None) -> Iterator[Row]:
        columns = "SELECT key, type, code_version, params, format, started_at, duration, size FROM task"
        if keys is None:
            for row in self._database.select(f"{columns} WHERE format IS NOT NULL ORDER BY started_at, id"):
                yield Row(*row)
            return
        for key in keys:
            for row in self._database.select(f"{columns} WHERE format IS NOT NULL AND key = ?", (key,)):
                yield Row(*row)

    def described(self) -> dict[str, tuple[str, str | None, str]]:
        rows = self._database.select("SELECT key, type, code_version, params FROM task")
        return {key: (kind, version, params) for key, kind, version, params in rows}

    def stats(self) -> list[TypeStats]:
        query = (
            "SELECT type, count(*), sum(size), sum(duration), min(started_at), max(started_at) "
            "FROM task WHERE format IS NOT NULL GROUP BY type ORDER BY type"
        )
        return [TypeStats(*row) for row in self._database.select(query)]

    def remove(self, keys: Sequence[str]) -> int:
        if not keys or not self._database.exists():
            return 0
        removed = 0
        with self._database.transaction() as database:
            folders = [folder for homes in self._there(database, keys).values() for folder in homes]
            clear = "UPDATE task SET format = NULL, started_at = NULL, size = NULL, parts = NULL"
            for start in range(0, len(keys), _MANY):
                some = list(keys[start : start + _MANY])
                marks = ",".join("?" * len(some))
                database.execute(f"DELETE FROM data WHERE id IN (SELECT id FROM task WHERE key IN ({marks}))", some)
                removed += database.execute(f"{clear} WHERE format IS NOT NULL AND key IN ({marks})", some).rowcount
        for folder in folders:
            shutil.rmtree(self.path / folder, ignore_errors=True)
        return removed

    def set_aside(self, key: str) -> None:
        stored = self.load([key]).get(key)
        if stored is None:
            return
        folder = self.path / "damaged" / f"{key}.{uuid.uuid4().hex[:8]}"
        folder.mkdir(parents=True)
        for blob in stored.blobs:
            if blob.data is not None:
                (folder / blob.name).write_bytes(blob.data)
            elif os.path.exists(str(blob.path)):
                os.replace(str(blob.path), folder / blob.name)
        self.remove([key])

    def close(self) -> None:
        self._database.close()
        if self._spool is not None:
            shutil.rmtree(self._spool, ignore_errors=True)
            self._spool = None

    # -- parts ---------------------------------------------------------------------------------

    def _place(self, record: Record, moved: list[tuple[str, Path]]) -> tuple[str, bytes]:
        """Move large parts to where they stay; the text that describes the parts, and the small bytes."""
        if record.stored is None:
            return "", b""
        home = ""
        lines, inline = [], []
        for blob in record.stored.blobs:
            if blob.data is None:
                home = home or f"results/{record.key[:2]}/{record.key}.{uuid.uuid4().hex[:8]}"
                try:
                    os.makedirs(self.path / home, exist_ok=True)
                    os.replace(str(blob.path), self.path / home / blob.name)
                    moved.append((str(blob.path), self.path / home / blob.name))
                except OSError as error:
                    raise self._database.error(error) from None
            else:
                inline.append(blob.data)
            lines.append(f"{blob.name}\t{blob.size}\t{blob.digest}\t{home if blob.data is None else ''}")
        return "\n".join(lines), b"".join(inline)

    def _read_parts(self, parts: str, data: bytes) -> tuple[Blob, ...]:
        found = []
        position = 0
        for line in parts.split("\n"):
            name, size, digest, home = line.split("\t")
            check_name(name)
            if home:
                found.append(Blob(name, int(size), digest, None, str(self._inside(home) / name)))
            else:
                found.append(Blob(name, int(size), digest, data[position : position + int(size)], None))
                position += int(size)
        return tuple(found)

    def _inside(self, home: str) -> Path:
        """A folder of `results/`; anything else in the database is not followed."""
        if not _is_home(home):
            raise DamagedResult(f"the storage names a folder outside its results: {home!r}")
        return self.path / home

    def _there(self, database: sqlite3.Connection, keys: Sequence[str]) -> dict[str, list[str]]:
        """Those of `keys` that have a result, with the folders of its large parts."""
        found: dict[str, list[str]] = {}
        for start in range(0, len(keys), _MANY):
            some = list(keys[start : start + _MANY])
            marks = ",".join("?" * len(some))
            query = f"SELECT key, parts FROM task WHERE parts IS NOT NULL AND key IN ({marks})"
            for key, parts in database.execute(query, some):
                found[key] = _homes(parts)
        return found


def _homes(parts: str) -> list[str]:
    """The folders that the text of a result's parts names."""
    return list({home for line in parts.split("\n") if _is_home(home := line.rpartition("\t")[2])})


def _is_home(folder: str) -> bool:
    """Whether this is the name of a result's folder, inside `results/`."""
    parts = folder.split("/")
    plain = all(part not in ("", ".", "..") and "\0" not in part for part in parts)
    return len(parts) == 3 and parts[0] == "results" and plain
