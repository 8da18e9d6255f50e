"""Results in a local folder: one SQLite database with the index and all small parts, files for the rest.

    labtech.db          the table `task` (every task ever run, with its result's data where it has one),
                        the table `data` (the bytes of small parts), and what `schema` describes
    results/ab/KEY.xx/  the large parts of one result
    spool/OWNER/        large parts being written by a live run
    damaged/            results that did not match their checksum
    history/RUN/        what happened in each run (see `report.history`)

Order of a commit: the folders of large parts are noted as litter, the parts are moved into them, and
then one transaction writes the rows and strikes the folders off the litter. A row is the result; a
folder without a row is litter, swept once its owner is dead. SQLite runs in WAL mode with
synchronous=NORMAL: a killed process loses nothing that was committed; a power cut may lose the last
commits, never the database. See docs/notes/commit-protocol.md.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
import weakref
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, suppress
from pathlib import Path
from typing import Any

from labtech_cli.store import ledger, listings, local_aside, rewrites
from labtech_cli.store.blobs import Stored
from labtech_cli.store.database import Database, portions
from labtech_cli.store.links import link_on_the_way, refuse_links
from labtech_cli.store.parts import homes, new_home, read_stored, write_parts
from labtech_cli.store.records import Aside, Journal, Move, Owner, Record, Row, Timings, TypeStats
from labtech_cli.store.schema import CLEAR, INSERT, INSERT_TIMING
from labtech_cli.store.seals import UNTRUSTED
from labtech_cli.store.storage import Claiming, Storage

_FOLDERS = ("results", "spool", "damaged", "history")


class LocalStorage(Storage):
    """A folder on a local disk. Reading one that does not exist finds nothing and makes nothing."""

    def __init__(self, path: str | Path) -> None:
        self.path = Path(os.path.abspath(os.path.expanduser(path)))
        self._database = Database(self.path)
        self._ledger = ledger.Ledger(self.path, self._database)
        self._numbers: dict[str | None, int] = {}  # of documents, by digest
        self._spool: str | None = None

    def describe(self) -> str:
        return str(self.path)

    def history(self) -> Path | None:
        """None where a link is in its place: what it leads to is not ours."""
        return None if link_on_the_way(self.path, "history") else self.path / "history"

    def exists(self) -> bool:
        return self._database.exists()

    def check_writable(self) -> None:
        for name in _FOLDERS:
            refuse_links(self.path, name, self.describe())
        self._database.connect(write=True)

    def spool(self) -> str:
        name = self._ledger.me().id
        if self._spool is None or os.path.basename(self._spool) != name:
            refuse_links(self.path, f"spool/{name}", self.describe())
            spool = str(self.path / "spool" / name)
            with self._database.errors():
                os.makedirs(spool)
            self._spool = spool
            weakref.finalize(self, _remove_own, self._spool, os.getpid())
        return self._spool

    def present(self) -> dict[str, float]:
        self._ledger.listed = (self._database.select(ledger.LISTED) or [(0, 0)])[0]
        return listings.present(self._database)

    def timings(self) -> Timings:
        return listings.timings(self._database)

    # -- results ---------------------------------------------------------------------------------

    def commit(self, records: Sequence[Record]) -> None:
        me = self._ledger.me().id
        placed = [(record, self._home(record)) for record in records]
        folders = [home for _, home in placed if home]
        if folders:
            self._ledger.announce(folders)
        moved: list[tuple[str, Path]] = []
        try:
            for record, home in placed:
                self._move(record, home, moved)
            with self._database.transaction() as database:
                there = self._there(database, [record.key for record in records if record.stored])
                late = {record.key for record in records if record.key in there and not record.replace}
                old = [folder for key, found in there.items() if key not in late for folder in found]
                self._insert(database, [(record, home) for record, home in placed if record.key not in late])
                ledger.release(database, [record.key for record in records], me)
                kept = [(home,) for record, home in placed if home and record.key not in late]
                database.executemany("DELETE FROM litter WHERE folder = ?", kept)
                ledger.litter(database, [*old, *(home for record, home in placed if record.key in late)], None)
        except BaseException:
            for source, place in moved:  # so that those that can be committed can be committed without the others
                with suppress(OSError):
                    os.makedirs(os.path.dirname(source), exist_ok=True)
                    os.replace(place, source)
                    place.parent.rmdir()
            raise
        if old:
            self._ledger.sweep()

    def _home(self, record: Record) -> str:
        """A new folder for the large parts of a result, or the empty text where it has none."""
        return "" if record.stored is None or record.stored.inline else new_home(record.key)

    def _move(self, record: Record, home: str, moved: list[tuple[str, Path]]) -> None:
        """Move large parts to where they stay."""
        if not home or record.stored is None:
            return
        with self._database.errors():
            refuse_links(self.path, home, self.describe())
            os.makedirs(self.path / home, exist_ok=True)
            for blob in record.stored.blobs:
                if blob.data is None:
                    os.replace(str(blob.path), self.path / home / blob.name)
                    moved.append((str(blob.path), self.path / home / blob.name))
            with suppress(OSError):  # some of its parts may be still to come
                os.rmdir(os.path.dirname(moved[-1][0]))

    def _insert(self, database: sqlite3.Connection, wanted: Sequence[tuple[Record, str]]) -> None:
        (last,) = database.execute("SELECT coalesce(max(id), 0) FROM task").fetchone()
        results, timings, data = [], [], []
        numbers = self._numbers_of({name for record, _ in wanted for name in (record.code, record.origin)})
        for number, (record, home) in enumerate(wanted, last + 1):
            row = (number, record.key, record.type, record.code_version, record.params, record.duration)
            stored = record.stored
            if stored is None:
                timings.append((*row, record.peak_memory))
                continue
            parts, inline = write_parts(stored, home)
            code, origin = numbers.get(record.code), numbers.get(record.origin)
            size = stored.size, parts, record.peak_memory, code, origin, stored.signature
            results.append((*row, stored.format, record.started_at, *size))
            if inline:
                data.append((number, inline))
        if results:
            database.executemany(INSERT, results)
        if timings:
            database.executemany(INSERT_TIMING, timings)
        if data:
            database.executemany("INSERT INTO data VALUES (?, ?)", data)

    def load(self, keys: Sequence[str]) -> dict[str, Stored]:
        found: dict[str, Stored] = {}
        columns, tables = "key, format, parts, bytes, signature", "task LEFT JOIN data USING (id)"
        for key, form, parts, data, signature in self._parts(keys, columns, tables):
            inline = data if isinstance(data, bytes) else str(data or "").encode()
            found[key] = read_stored(self.path, form, parts, inline, signature)
        return found

    def rows(self, keys: Iterable[str] | None = None) -> Iterator[Row]:
        return listings.rows(self._database, keys)

    def described(self) -> dict[str, tuple[str, str | None, str]]:
        return listings.described(self._database)

    def stats(self) -> list[TypeStats]:
        return listings.stats(self._database)

    def outlines(self, keys: Sequence[str]) -> dict[str, Stored]:
        found = {}
        for key, form, parts, signature in self._parts(keys, "key, format, parts, signature"):
            stored = read_stored(self.path, form, parts, b"", signature)
            if stored.blobs[0] is not UNTRUSTED:  # such a list names nothing: there is nothing to compare
                found[key] = stored.outline()
        return found

    def alike(self, kind: str, texts: Sequence[str], most: int) -> list[Row]:
        return listings.alike(self._database, kind, texts, most)

    def incomplete(self, keys: Sequence[str]) -> set[str]:
        return listings.incomplete(self._database, keys)

    def _parts(self, keys: Sequence[str], columns: str, tables: str = "task") -> Iterator[Any]:
        """What `tables` tell of results, many at a time."""
        for marks, some in portions(keys):
            query = f"SELECT {columns} FROM {tables} WHERE format IS NOT NULL AND key IN {marks}"
            yield from self._database.select(query, some)

    def remove(self, keys: Sequence[str]) -> int:
        return self._remove(keys, spare=False)

    def remove_unneeded(self, keys: Sequence[str]) -> int:
        return self._remove(keys, spare=True)

    def _remove(self, keys: Sequence[str], *, spare: bool) -> int:
        """Whether a live run needs a result is asked under the lock: no run can come to need it meanwhile."""
        if not keys or not self._database.exists():
            return 0
        removed = 0
        with self._database.transaction() as database:
            needed = self._ledger.needed() if spare else ()
            keys = [key for key in keys if key not in needed]
            folders = [folder for found in self._there(database, keys).values() for folder in found]
            ledger.litter(database, folders, None)
            for marks, some in portions(keys):
                database.execute(f"DELETE FROM data WHERE id IN (SELECT id FROM task WHERE key IN {marks})", some)
                removed += database.execute(f"{CLEAR} WHERE format IS NOT NULL AND key IN {marks}", some).rowcount
        self._ledger.sweep()
        return removed

    def compact(self) -> None:
        if self._database.exists() and not self._ledger.others():
            self._database.compact()

    def faults(self) -> list[str]:
        return self._database.faults()

    def mend(self) -> None:
        self._database.mend()

    def set_aside(self, key: str) -> None:
        stored = self.load([key]).get(key)
        if stored is None:
            rewrites.drop_unreadable(self._database, key)
            return
        with self._database.errors():
            local_aside.set_aside(self.path, key, stored)
        self.remove([key])

    def aside(self) -> list[Aside]:
        return local_aside.listed(self.path)

    def discard(self, asides: Iterable[Aside]) -> None:
        with self._database.errors():
            local_aside.discard(self.path, asides)

    def _there(self, database: sqlite3.Connection, keys: Sequence[str]) -> dict[str, list[str]]:
        """Those of `keys` that have a result, with the folders of its large parts."""
        found: dict[str, list[str]] = {}
        for marks, some in portions(keys):
            query = f"SELECT key, parts FROM task WHERE parts IS NOT NULL AND key IN {marks}"
            for key, parts in database.execute(query, some):
                found[key] = homes(parts)
        return found

    # -- documents ---------------------------------------------------------------------------------

    def keep(self, documents: Mapping[str, str]) -> None:
        with self._database.transaction() as database:
            database.executemany("INSERT OR IGNORE INTO document (digest, text) VALUES (?, ?)", list(documents.items()))
        self._numbers = {}

    def documents(self, digests: Iterable[str]) -> dict[str, str]:
        query = "SELECT digest, text FROM document WHERE digest = ?"
        return {name: text for digest in digests for name, text in self._database.select(query, (digest,))}

    def codes(self) -> dict[tuple[str, str | None], int]:
        return listings.codes(self._database)

    def produced_by(self, codes: Collection[str | None]) -> dict[str, str | None]:
        return listings.produced_by(self._database, codes)

    def _numbers_of(self, digests: Iterable[str | None]) -> dict[str | None, int]:
        """The numbers of documents that were kept."""
        for name in digests:
            if name is not None and name not in self._numbers:
                for (number,) in self._database.select("SELECT id FROM document WHERE digest = ?", (name,)):
                    self._numbers[name] = number
        return self._numbers

    # -- other identities, other runs ----------------------------------------------------------------

    def rewrite(self, moves: Sequence[Move], title: str) -> int:
        return rewrites.rewrite(self._database, moves, title, self._ledger.needed())

    def journal(self) -> list[Journal]:
        return rewrites.journal(self._database)

    def undo(self, number: int) -> int:
        return rewrites.undo(self._database, number, self._ledger.needed())

    def enter(self, needs: Collection[str]) -> None:
        self._ledger.enter(needs)
        self._ledger.sweep()

    def leave(self) -> None:
        """A spool that holds results which are kept nowhere else stays until the storage is closed."""
        if self._spool is not None:
            with suppress(OSError):
                os.rmdir(self._spool)
                self._spool = None
        self._ledger.leave(stay=self._spool is not None)

    def beat(self) -> None:
        self._ledger.beat()

    def claiming(self) -> AbstractContextManager[Claiming]:
        return self._ledger.claiming()

    def release(self, keys: Sequence[str]) -> None:
        self._ledger.release(keys)

    def alone(self) -> bool:
        return self._ledger.alone()

    def live(self) -> list[Owner]:
        return self._ledger.others()

    def needed(self) -> set[str]:
        return self._ledger.needed()

    def close(self) -> None:
        if self._spool is not None:
            shutil.rmtree(self._spool, ignore_errors=True)
            self._spool = None
        if self._ledger.registered:  # who only read writes nothing
            self._ledger.leave(stay=False)
        self._database.close()


def _remove_own(folder: str, pid: int) -> None:
    """At the end of the process that made it, not of one that was forked from it."""
    if os.getpid() == pid:
        shutil.rmtree(folder, ignore_errors=True)
