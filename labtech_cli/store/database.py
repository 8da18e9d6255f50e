"""The SQLite database of a local storage: opened when used, never shared across a fork."""

from __future__ import annotations

import os
import sqlite3
import stat
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

from labtech_cli.errors import StorageError
from labtech_cli.store.links import refuse_links
from labtech_cli.store.mounts import network_file_system
from labtech_cli.store.schema import APPLICATION_ID, READ_OLDER, SCHEMA_VERSION, statements, upgrade

TRUST_LOCKS = "LABTECH_TRUST_LOCKS"
"""The variable by which a user says that a network file system's locks can be trusted."""
_BUSY_SECONDS = 60.0
_RETRY_SECONDS = 0.02
_MANY = 500  # parameters of one statement
_CHECKPOINT_PAGES = 8000  # 32 MB of log: each checkpoint waits for the disk twice
T = TypeVar("T")


class Database:
    """The database in a folder. Reading where there is none finds nothing and makes nothing."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._connection: sqlite3.Connection | None = None
        self._pid = 0
        self._writable = False

    def close(self) -> None:
        if self._connection is not None and self._pid == os.getpid():
            self._connection.close()
        self._connection = None

    def exists(self) -> bool:
        """Whether there is a database. Raises `StorageError` where its folder is a file."""
        try:
            mode = os.stat(self.path).st_mode  # once: another process may make the folder meanwhile
        except (FileNotFoundError, NotADirectoryError):
            return False
        if not stat.S_ISDIR(mode):
            raise StorageError(
                f"storage '{self.path}' is a file, not a folder",
                hint="name a folder with --storage or [lab] storage",
            )
        return (self.path / "labtech.db").exists()

    def select(self, query: str, values: Sequence[object] = ()) -> list[Any]:
        if not self.exists():
            return []
        try:
            database = self.connect(write=False)
            return _patiently(lambda: database.execute(query, tuple(values)).fetchall())
        except sqlite3.Error as error:
            if "decode" in str(error) and database.text_factory is str:  # text that another program wrote
                database.text_factory = lambda data: data.decode("utf-8", "replace")
                return self.select(query, values)
            if "no such table" in str(error):
                return []  # its maker was killed before it wrote the tables; the next to write makes them
            raise self.error(error) from None

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """Changes that are made together or not at all. Nobody else writes meanwhile; readers read on.

        Within another transaction of this process it is part of that one.
        """
        if self.writing() and (database := self.connect(write=True)).in_transaction:
            with self.errors():
                yield database
            return
        database = self.begin()
        try:
            with self.errors():
                yield database
                database.execute("COMMIT")
        finally:
            if database.in_transaction:
                database.execute("ROLLBACK")

    def begin(self) -> sqlite3.Connection:
        """Begin a transaction that the caller ends."""
        database = self.connect(write=True)
        with self.errors():
            _patiently(lambda: database.execute("BEGIN IMMEDIATE"))
        return database

    @contextmanager
    def errors(self) -> Iterator[None]:
        """What SQLite or the file system raises inside becomes a `StorageError`."""
        try:
            yield
        except (sqlite3.Error, OSError) as error:
            raise self.error(error) from None

    def writing(self) -> bool:
        """Whether this process has opened the database to write."""
        return self._connection is not None and self._writable and self._pid == os.getpid()

    def connect(self, *, write: bool) -> sqlite3.Connection:
        if self._connection is not None and self._pid == os.getpid() and (self._writable or not write):
            return self._connection  # also inside a transaction, which then sees what it wrote
        if self._connection is not None and self._pid == os.getpid():
            self._connection.close()
        self._connection = None  # another process's connection must not be touched after a fork
        try:
            if write:
                self._make_folder()
            self._connection = _patiently(lambda: self._open(write))
        except (OSError, sqlite3.Error) as error:
            raise self.error(error) from None
        self._pid, self._writable = os.getpid(), write
        return self._connection

    def compact(self) -> None:
        """Give the file system back what more than a tenth of the database no longer holds."""
        database = self.connect(write=True)
        with self.errors():
            (pages,), (free,) = (
                database.execute(f"PRAGMA {name}").fetchone() for name in ("page_count", "freelist_count")
            )
            if free * 10 > pages:
                _patiently(lambda: database.execute("VACUUM"))
                database.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def faults(self) -> list[str]:
        """What SQLite finds wrong with the file: an index that is not that of its table, a page that is none."""
        return [str(row[0]) for row in self.select("PRAGMA integrity_check(100)") if row != ("ok",)]

    def mend(self) -> None:
        """Make all indexes anew from their tables."""
        database = self.connect(write=True)
        with self.errors():
            _patiently(lambda: database.execute("REINDEX"))

    def _make_folder(self) -> None:
        self.exists()
        self.path.mkdir(parents=True, exist_ok=True)
        self._check_locks()
        if not os.access(self.path, os.W_OK | os.X_OK):
            raise PermissionError(13, "Permission denied")
        for name, text in (
            (".gitignore", "*\n"),
            ("CACHEDIR.TAG", "Signature: 8a477f597d28d172789f06886806bc55\n# results kept by labtech\n"),
        ):
            with suppress(FileExistsError), open(self.path / name, "x", encoding="ascii") as file:
                file.write(text)
        for name in ("labtech.db", "labtech.db-wal", "labtech.db-shm", "labtech.db-journal"):
            refuse_links(self.path, name, str(self.path))

    def _check_locks(self) -> None:
        """Two machines that write to one database through a network file system ruin it: refuse to."""
        kind = None if os.environ.get(TRUST_LOCKS, "") not in ("", "0") else network_file_system(self.path)
        if kind is not None:
            raise StorageError(
                f"storage '{self.path}' is on a network file system ({kind}), where a database is not safe",
                hint=f"use file://{self.path} as the storage, or a folder on a local disk; {TRUST_LOCKS}=1 allows it",
            )

    def _open(self, write: bool) -> sqlite3.Connection:
        file = self.path / "labtech.db"
        if write:
            database = sqlite3.connect(file, timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False)
        else:
            database = self._open_to_read(file)
        try:
            self._set_up(database, write)
        except BaseException:
            database.close()
            raise
        return database

    def _set_up(self, database: sqlite3.Connection, write: bool) -> None:
        database.execute("PRAGMA recursive_triggers = ON")  # REPLACE fires the delete trigger
        if write:
            database.execute("PRAGMA journal_mode = WAL")
            database.execute("PRAGMA synchronous = NORMAL")
            database.execute(f"PRAGMA wal_autocheckpoint = {_CHECKPOINT_PAGES}")
        database.execute("BEGIN IMMEDIATE" if write else "BEGIN")  # so that all of this is of one moment
        (version,) = database.execute("PRAGMA user_version").fetchone()
        (owner,) = database.execute("PRAGMA application_id").fetchone()
        (tables,) = database.execute("SELECT count(*) FROM sqlite_master").fetchone()
        if tables and owner != APPLICATION_ID:
            raise StorageError(
                f"storage '{self.path}': its labtech.db belongs to another program",
                hint="choose another storage, or move the file away",
            )
        if tables and version < 1:
            raise StorageError(
                f"storage '{self.path}': its labtech.db is damaged: it has no format {version}",
                hint="move the file away, or choose another storage",
            )
        if version > SCHEMA_VERSION:
            raise StorageError(
                f"storage '{self.path}' was written by a newer labtech "
                f"(format {version}; this one knows {SCHEMA_VERSION})",
                hint="upgrade labtech, or choose another storage",
            )
        if write and version < SCHEMA_VERSION:
            if tables:
                self._back_up(version)
            upgrade(database, version)
        database.execute("COMMIT")
        if not write and tables and version < SCHEMA_VERSION:
            for statement in statements(READ_OLDER[version]):
                database.execute(statement)

    def _back_up(self, version: int) -> None:
        """Keep the database as it was before it is upgraded, whole or not at all."""
        place = self.path / f"labtech.db.version-{version}"
        beside = place.with_name(f"{place.name}.{os.getpid()}")
        beside.unlink(missing_ok=True)  # a killed process's, or no file of ours
        source, copy = self._open_to_read(self.path / "labtech.db"), sqlite3.connect(beside)
        try:
            source.backup(copy)
        finally:
            source.close()
            copy.close()
        os.replace(beside, place)

    def _open_to_read(self, file: Path) -> sqlite3.Connection:
        """Read without writing, also from a folder that cannot be written to.

        There SQLite needs the files beside the log to see what is in it. Where they are not, the log has to be empty:
        then the file alone is the database, and is read as one that nobody changes.
        """
        uri = f"{file.as_uri()}?mode=ro"
        if os.access(self.path, os.W_OK):
            return _connect(uri)
        database = _connect(uri)
        try:
            database.execute("PRAGMA user_version").fetchone()
        except sqlite3.OperationalError as error:
            database.close()
            if "locked" in str(error):
                raise
            self._check_log(file)
            return _connect(f"{uri}&immutable=1")
        return database

    def _check_log(self, file: Path) -> None:
        """Raise `StorageError` where results are in a log that cannot be read."""
        log = file.with_name(f"{file.name}-wal")
        if log.exists() and log.stat().st_size:
            raise StorageError(
                f"storage '{self.path}': what was saved last is in its log, which you cannot read without writing",
                hint=f"have {file.name}-wal and {file.name}-shm made readable, or a labtech command run by their owner",
            )

    def error(self, error: Exception) -> StorageError:
        if isinstance(error, StorageError):
            return error
        reason = getattr(error, "strerror", None) or str(error)
        hint = "check that the folder can be written to, or choose another with --storage"
        if isinstance(error, sqlite3.DatabaseError) and ("not a database" in reason or "malformed" in reason):
            hint = "the file labtech.db is damaged or not labtech's: move it away, or choose another storage"
            if "malformed" in reason:
                hint = "labtech.db is damaged: try 'labtech cache verify --repair', else move the file away"
        elif "full" in reason or "No space" in reason:
            hint = "make room on the disk; what was saved before is safe"
        return StorageError(f"storage '{self.path}': {reason[:1].lower()}{reason[1:]}", hint=hint)


def _connect(uri: str) -> sqlite3.Connection:
    return sqlite3.connect(uri, uri=True, timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False)


def portions(keys: Sequence[str]) -> Iterator[tuple[str, list[str]]]:
    """Keys, as many at a time as one statement takes: what stands after `IN`, and its values."""
    for start in range(0, len(keys), _MANY):
        some = list(keys[start : start + _MANY])
        yield f"({','.join('?' * len(some))})", some


def _patiently(action: Callable[[], T]) -> T:
    """Do `action`, again while the database is locked: SQLite's own timeout does not cover the switch to
    WAL, nor the recovery of a log, which several commands that start at once run into."""
    deadline = time.monotonic() + _BUSY_SECONDS
    while True:
        try:
            return action()
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) or time.monotonic() > deadline:
                raise
        time.sleep(_RETRY_SECONDS)
