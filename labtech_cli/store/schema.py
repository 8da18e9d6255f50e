"""The tables of a local storage, the statements that fill them, and how older ones become newer ones."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator

SCHEMA_VERSION = 2
APPLICATION_ID = 0x4C414254  # "LABT": tells `file` and us whose database it is
_VERSION_1 = """
CREATE TABLE task (
    id INTEGER PRIMARY KEY, key TEXT NOT NULL UNIQUE, type TEXT NOT NULL, code_version TEXT,
    params TEXT NOT NULL, duration REAL NOT NULL, format TEXT, started_at REAL, size INTEGER, parts TEXT
);
CREATE TABLE data (id INTEGER PRIMARY KEY, bytes BLOB NOT NULL);
CREATE TRIGGER task_deleted AFTER DELETE ON task BEGIN DELETE FROM data WHERE id = old.id; END;
"""
# document: texts under their digests, named by `task.code` and `task.origin`. owner: live runs, with the keys they
# need. lease: tasks being computed. litter: folders that belong to no result, or not yet. journal: rewrites done.
_VERSION_2 = """
ALTER TABLE task ADD COLUMN peak_memory INTEGER;
ALTER TABLE task ADD COLUMN code INTEGER;
ALTER TABLE task ADD COLUMN origin INTEGER;
ALTER TABLE task ADD COLUMN signature TEXT;
CREATE TABLE document (id INTEGER PRIMARY KEY, digest TEXT NOT NULL UNIQUE, text TEXT NOT NULL);
CREATE TABLE owner (
    id TEXT PRIMARY KEY, host TEXT NOT NULL, pid INTEGER NOT NULL, born TEXT NOT NULL, began REAL NOT NULL,
    beat INTEGER NOT NULL, needs BLOB NOT NULL
) WITHOUT ROWID;
CREATE TABLE lease (key TEXT PRIMARY KEY, owner TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE litter (folder TEXT PRIMARY KEY, owner TEXT, since REAL NOT NULL) WITHOUT ROWID;
CREATE TABLE journal (id INTEGER PRIMARY KEY, at REAL NOT NULL, title TEXT NOT NULL, moves TEXT NOT NULL);
"""
STEPS = (_VERSION_1, _VERSION_2)
"""What makes each version of the one before; the first begins with nothing."""
# To read a storage of version 1 without writing to it: what version 2 added, as if it were there and empty.
_READ_VERSION_1 = """
CREATE TEMP VIEW task AS SELECT *, NULL AS peak_memory, NULL AS code, NULL AS origin, NULL AS signature FROM main.task;
CREATE TEMP TABLE document (id INTEGER PRIMARY KEY, digest TEXT, text TEXT);
CREATE TEMP TABLE owner (id TEXT, host TEXT, pid INTEGER, born TEXT, began REAL, beat INTEGER, needs BLOB);
CREATE TEMP TABLE lease (key TEXT, owner TEXT);
CREATE TEMP TABLE litter (folder TEXT, owner TEXT, since REAL);
CREATE TEMP TABLE journal (id INTEGER, at REAL, title TEXT, moves TEXT);
"""
READ_OLDER = {1: _READ_VERSION_1}
_COLUMNS = "id, key, type, code_version, params, duration"
INSERT = (
    f"INSERT OR REPLACE INTO task ({_COLUMNS}, format, started_at, size, parts, peak_memory, code, origin, signature) "
    "VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?)"
)
INSERT_TIMING = (
    f"INSERT INTO task ({_COLUMNS}, peak_memory) VALUES (?,?,?,?,?,?,?) "
    "ON CONFLICT (key) DO UPDATE SET duration = excluded.duration, "
    "peak_memory = coalesce(excluded.peak_memory, peak_memory)"
)
CLEAR = (
    "UPDATE task SET format = NULL, started_at = NULL, size = NULL, parts = NULL, "
    "code = NULL, origin = NULL, signature = NULL"
)
"""How long it took, and how much memory, stays known."""


def statements(script: str) -> Iterator[str]:
    """The statements of a script one by one: `executescript` would commit in between."""
    pending = ""
    for line in script.strip().splitlines():
        pending += line + "\n"
        if sqlite3.complete_statement(pending):
            yield pending
            pending = ""


def upgrade(database: sqlite3.Connection, version: int) -> None:
    """Bring the tables from `version` (0: none yet) up to date, inside the caller's transaction."""
    for step in STEPS[version:]:
        for statement in statements(step):
            database.execute(statement)
    database.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
    database.execute(f"PRAGMA application_id = {APPLICATION_ID}")
