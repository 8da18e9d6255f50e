"""The listings of a local storage, as queries. Whatever is in a row, a listing tells of it and goes on.

A row that labtech did not write (a number that is text, a name that is no text) is *unsound*: it counts
as no result, and is listed as one that cannot be read, so that it is seen and can be removed.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any

from labtech_cli.store.database import Database, portions
from labtech_cli.store.parts import lacks_files
from labtech_cli.store.records import Row, Timings, TypeStats, unreadable_row

_DESCRIBED = (
    "typeof(key) = 'text' AND typeof(type) = 'text' AND typeof(params) = 'text' AND typeof(duration) = 'real' "
    "AND typeof(code_version) IN ('text', 'null') AND duration BETWEEN -1e300 AND 1e300"
)
_RESULT = (
    f"typeof(format) = 'text' AND {_DESCRIBED} AND typeof(started_at) IN ('real', 'integer') "
    "AND started_at BETWEEN 0 AND 2e11 AND typeof(size) = 'integer'"
)
SOUND = f"{_RESULT} AND key NOT GLOB '*[^0-9A-Za-z-]*'"
"""What holds of the row of a result; a row without a result has no format. To look through a key costs as much as
all the rest, so where keys are only looked up, or are all at hand in the end, that is left out (see `_plain`)."""
_PLAIN = re.compile("[0-9A-Za-z-]*")
_COLUMNS = "key, type, code_version, params, format, started_at, duration, size, peak_memory, code, origin"


def present(database: Database) -> dict[str, float]:
    """See `Storage.present`."""
    return dict(_plain(database.select(f"SELECT key, duration FROM task WHERE {_RESULT}")))


def _plain(found: list[Any]) -> list[Any]:
    """The rows whose key, which comes first, is one: asked of all at once, for nearly always all are."""
    if _PLAIN.fullmatch("".join([row[0] for row in found])):
        return found
    return [row for row in found if _PLAIN.fullmatch(row[0])]


def timings(database: Database) -> Timings:
    """See `Storage.timings`."""
    return Timings.learn(database.select(f"SELECT key, type, duration, peak_memory FROM task WHERE {_DESCRIBED}"))


def rows(database: Database, keys: Iterable[str] | None) -> Iterator[Row]:
    """See `Storage.rows`."""
    names = documents(database)
    query = f"SELECT {_COLUMNS}, ({SOUND}) FROM task WHERE format IS NOT NULL"
    if keys is None:
        found = database.select(f"{query} ORDER BY started_at, id")
    else:
        found = [row for key in keys for row in database.select(f"{query} AND key = ?", (key,))]
    unsound = []
    for row in found:
        if row[-1]:
            yield _row(row, names)
        elif keys is None:
            unsound.append(unreadable_row(str(row[0])))
    yield from unsound


def _row(found: Sequence[Any], names: Mapping[int, str]) -> Row:
    """`_COLUMNS` of a sound row."""
    memory = found[8] if type(found[8]) is int else None
    return Row(*(*found[:8], memory, names.get(found[9]), names.get(found[10])))


def alike(database: Database, kind: str, texts: Sequence[str], most: int) -> list[Row]:
    """See `Storage.alike`."""
    names = documents(database)
    lacking = " + ".join(["(instr(params, ?) = 0)"] * len(texts)) or "NULL"
    query = f"SELECT {_COLUMNS} FROM task WHERE type = ? AND {_RESULT} ORDER BY {lacking}, started_at DESC LIMIT ?"
    return [_row(found, names) for found in _plain(database.select(query, (kind, *texts, most)))]


def incomplete(database: Database, keys: Sequence[str]) -> set[str]:
    """See `Storage.incomplete`. Most results have no files: those are not even read."""
    found = set()
    for marks, some in portions(keys):
        query = f"SELECT key, parts FROM task WHERE key IN {marks} AND instr(parts, 'results/')"
        found.update([key for key, parts in database.select(query, some) if lacks_files(database.path, parts)])
    return found


def described(database: Database) -> dict[str, tuple[str, str | None, str]]:
    """See `Storage.described`."""
    found = _plain(database.select(f"SELECT key, type, code_version, params FROM task WHERE {_DESCRIBED}"))
    return {key: (kind, version, params) for key, kind, version, params in found}


def stats(database: Database) -> list[TypeStats]:
    """See `Storage.stats`."""
    query = (
        "SELECT type, count(*), CAST(total(size) AS INTEGER), sum(duration), min(started_at), max(started_at) "
        f"FROM task WHERE {SOUND} GROUP BY type ORDER BY type"
    )
    return [TypeStats(*row) for row in database.select(query)]


def documents(database: Database) -> dict[int, str]:
    """The digests of the documents that are kept, by number."""
    return dict(database.select("SELECT id, digest FROM document"))


def codes(database: Database) -> dict[tuple[str, str | None], int]:
    """See `Storage.codes`."""
    names = documents(database)
    query = f"SELECT type, code, count(*) FROM task WHERE {_RESULT} GROUP BY type, code"
    return {(kind, names.get(code)): many for kind, code, many in database.select(query)}


def produced_by(database: Database, wanted: Collection[str | None]) -> dict[str, str | None]:
    """See `Storage.produced_by`."""
    names = documents(database)
    numbers: list[int | None] = [number for number, digest in names.items() if digest in wanted]
    if None in wanted:
        numbers.append(None)
    found: dict[str, str | None] = {}
    for number in numbers:
        query = f"SELECT key FROM task WHERE {_RESULT} AND code IS ?"
        digest = None if number is None else names[number]
        found.update({key: digest for (key,) in _plain(database.select(query, (number,)))})
    return found
