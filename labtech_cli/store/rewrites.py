"""Rows of a local storage that get other identities, all in one transaction with the way back, or none at all."""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Collection, Sequence
from contextlib import suppress
from dataclasses import astuple
from typing import Any

from labtech_cli.errors import StorageError
from labtech_cli.store.database import Database, portions
from labtech_cli.store.listings import SOUND
from labtech_cli.store.records import Journal, Move, content_of

_SELECT = (
    "SELECT task.id, key, type, code_version, params, document.digest, signature, format IS NOT NULL, parts "
    "FROM task LEFT JOIN document ON document.id = task.code"
)


def rewrite(database: Database, moves: Sequence[Move], title: str, needed: Collection[str]) -> int:
    """See `Storage.rewrite`; `needed` are the keys that live runs need."""
    with database.transaction() as connection:
        before = _apply(connection, moves, needed)
        text = json.dumps({"moves": [astuple(move) for move in moves], "before": [astuple(move) for move in before]})
        cursor = connection.execute("INSERT INTO journal (at, title, moves) VALUES (?,?,?)", (time.time(), title, text))
        return int(cursor.lastrowid or 0)


def journal(database: Database) -> list[Journal]:
    """See `Storage.journal`."""
    found = []
    for number, at, title, text in database.select("SELECT id, at, title, moves FROM journal ORDER BY id"):
        with suppress(ValueError, TypeError, LookupError, RecursionError):  # no entry of ours: there is nothing to undo
            kept = json.loads(text)
            there, back = (tuple(Move(*values) for values in kept[name]) for name in ("moves", "before"))
            found.append(Journal(number, float(at), str(title), there, back))
    return found


def undo(database: Database, number: int, needed: Collection[str]) -> int:
    """See `Storage.undo`."""
    entry = next((entry for entry in journal(database) if entry.number == number), None)
    if entry is None:
        numbers = ", ".join(str(item.number) for item in journal(database)) or "none"
        raise StorageError(f"the journal has no rewrite {number}", hint=f"it has: {numbers}")
    with database.transaction() as connection:
        rows = _rows(connection, [move.key for move in entry.before])
        contents = {key: content_of(row[8]) for key, row in rows.items()}
        back = [move for move in entry.before if move.content in ("", contents.get(move.key))]
        _apply(connection, back, needed)
        connection.execute("DELETE FROM journal WHERE id = ?", (number,))
    return sum([rows[move.key][7] for move in back if move.key in rows])


def _apply(connection: sqlite3.Connection, moves: Sequence[Move], needed: Collection[str]) -> list[Move]:
    """Make the moves; those that lead back."""
    rows = _rows(connection, [move.key for move in moves])
    wanted = [move for move in moves if move.key in rows]
    _check(connection, wanted, rows, needed)
    before = []
    for move in wanted:  # out of the way first: one's new key may be another's old one
        number, key, kind, version, params, code, signature, _, parts = rows[move.key]
        before.append(Move(move.new_key, key, kind, version, params, code, signature or "", content_of(parts)))
        connection.execute("UPDATE task SET key = ? WHERE id = ?", (f"moving:{number}", number))
    for move in wanted:
        connection.execute("DELETE FROM task WHERE key = ?", (move.new_key,))  # a description without a result
        signature = move.signature or (rows[move.key][6] if move.new_key == move.key else "")
        connection.execute(
            "UPDATE task SET key = ?, type = ?, code_version = ?, params = ?, signature = ?, "
            "code = (SELECT id FROM document WHERE digest = ?) WHERE id = ?",
            (move.new_key, move.type, move.code_version, move.params, signature, move.code, rows[move.key][0]),
        )
    return before


def _check(
    connection: sqlite3.Connection, moves: Sequence[Move], rows: dict[str, tuple[Any, ...]], needed: Collection[str]
) -> None:
    leaving = {move.key for move in moves}
    for move in moves:
        if move.key in needed or move.new_key in needed:
            raise StorageError(f"a live run needs the result {move.key}", hint="wait until it is over")
    arriving: dict[str, str] = {}
    there = _rows(connection, [move.new_key for move in moves])
    for move in moves:
        if move.new_key in arriving:
            raise StorageError(f"{arriving[move.new_key]} and {move.key} would both become {move.new_key}")
        arriving[move.new_key] = move.key
        if move.new_key in there and there[move.new_key][7] and move.new_key not in leaving:
            raise StorageError(
                f"{move.key} would become {move.new_key}, which has a result already",
                hint="remove one of them with 'labtech cache rm'",
            )


def _rows(connection: sqlite3.Connection, keys: Sequence[str]) -> dict[str, tuple[Any, ...]]:
    found = {}
    for marks, some in portions(keys):
        for row in connection.execute(f"{_SELECT} WHERE key IN {marks}", some):
            found[str(row[1])] = row
    return found


def drop_unreadable(database: Database, key: str) -> None:
    """Remove the rows that are listed under `key` though theirs is another, which no text can name."""
    query = f"SELECT id, key FROM task WHERE format IS NOT NULL AND NOT ({SOUND})"
    found = [(number,) for number, shown in database.select(query) if str(shown) == key]
    if not found:
        return
    with database.transaction() as connection:
        for table in ("data", "task"):
            connection.executemany(f"DELETE FROM {table} WHERE id = ?", found)
