"""The tables of a local storage, the statements that fill them, and the rubbish of dead runs."""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import Iterator
from pathlib import Path

SCHEMA_VERSION = 1
APPLICATION_ID = 0x4C414254  # "LABT": tells `file` and us whose database it is
SCHEMA = f"""
CREATE TABLE task (
    id INTEGER PRIMARY KEY, key TEXT NOT NULL UNIQUE, type TEXT NOT NULL, code_version TEXT,
    params TEXT NOT NULL, duration REAL NOT NULL, format TEXT, started_at REAL, size INTEGER, parts TEXT
);
CREATE TABLE data (id INTEGER PRIMARY KEY, bytes BLOB NOT NULL);
CREATE TRIGGER task_deleted AFTER DELETE ON task BEGIN DELETE FROM data WHERE id = old.id; END;
PRAGMA user_version = {SCHEMA_VERSION};
PRAGMA application_id = {APPLICATION_ID};
"""
_COLUMNS = "id, key, type, code_version, params, duration"
INSERT = f"INSERT OR REPLACE INTO task ({_COLUMNS}, format, started_at, size, parts) VALUES (?,?,?,?,?,?,?,?,?,?)"
INSERT_TIMING = (
    f"INSERT INTO task ({_COLUMNS}) VALUES (?,?,?,?,?,?) ON CONFLICT (key) DO UPDATE SET duration = excluded.duration"
)


def statements(script: str) -> Iterator[str]:
    """The statements of a script one by one: `executescript` would commit in between."""
    pending = ""
    for line in script.strip().splitlines():
        pending += line + "\n"
        if sqlite3.complete_statement(pending):
            yield pending
            pending = ""


def sweep(spool: Path) -> None:
    """Remove what runs that no longer live on this machine left behind in the spool."""
    if not spool.is_dir():
        return
    for folder in spool.iterdir():
        pid = folder.name.partition(".")[0]
        if pid.isdigit() and not _alive(int(pid)):
            shutil.rmtree(folder, ignore_errors=True)


def remove_own(folder: str, pid: int) -> None:
    """At the end of the process that made it, not of one that was forked from it."""
    if os.getpid() == pid:
        shutil.rmtree(folder, ignore_errors=True)


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
