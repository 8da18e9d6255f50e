"""Whether stored results are whole, told without the user's code and without loading them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from labtech_cli.core.codec import read_params
from labtech_cli.core.rekey import UNREADABLE, stored_key
from labtech_cli.errors import CacheError, DamagedResult
from labtech_cli.store.batches import batches
from labtech_cli.store.blobs import Stored, verify
from labtech_cli.store.records import UNREADABLE_FORMAT, Record, Row
from labtech_cli.store.storage import Storage


class Problem(NamedTuple):
    """What is wrong with a result: `kind` is `description`, `checksum`, or one of its finder's own."""

    kind: str
    message: str


class Checked(NamedTuple):
    """A result that was looked at, with its bytes where they are whole."""

    row: Row
    stored: Stored | None
    problem: Problem | None


def check(storage: Storage, rows: Iterable[Row]) -> Iterator[Checked]:
    """The results with what is wrong with each. Those that were removed meanwhile are left out."""
    for batch in batches(rows):
        found = storage.load([row.key for row in batch])
        for row in batch:
            stored = found.pop(row.key, None)
            problem = damage(row, stored)
            if problem is not None and problem.kind == "checksum":  # a run may have put another one in its place
                stored = storage.load([row.key]).get(row.key)
                problem = damage(row, stored)
            if stored is not None or row.format == UNREADABLE_FORMAT:
                yield Checked(row, None if problem else stored, problem)


def damage(row: Row, stored: Stored | None) -> Problem | None:
    """What is wrong with a result's description, or with its bytes where they are given."""
    problem = Problem("description", "it is no result") if row.format == UNREADABLE_FORMAT else wrong_description(row)
    if problem is None and stored is not None:
        try:
            verify(stored)
        except DamagedResult as error:
            problem = Problem("checksum", str(error))
    return problem


def wrong_description(row: Row | Record) -> Problem | None:
    """What is wrong with a result's description. It says as much as the task, so it gives the task's key."""
    try:
        key = stored_key(row.type, row.code_version, read_params(row.params))
    except (*UNREADABLE, CacheError):
        return Problem("description", "its parameters cannot be read")
    # Lone surrogates that stand side by side are read as one character: of those nothing can be told.
    if key != row.key and "\\ud" not in row.params:
        return Problem("description", "it describes another task than its key stands for")
    return None
