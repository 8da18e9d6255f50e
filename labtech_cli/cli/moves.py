"""Moves of results shown: as rows, as totals, and as the error that says which would collide."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, TextIO

from labtech_cli.cli.catalogue import short
from labtech_cli.errors import ConfigError, LabtechError, UntrustedResult
from labtech_cli.report.tables import write_rows
from labtech_cli.report.words import count
from labtech_cli.store.migrate import Change, Migration
from labtech_cli.store.records import Move
from labtech_cli.store.signing import Trust
from labtech_cli.store.storage import Storage

_AT_ONCE = 500  # results read from the storage at a time: bounds memory


def write_moves(place: Storage, changes: Sequence[Change], number: int | None, form: str, out: TextIO) -> None:
    """Write what is done, or would be where it has no `number` in the journal."""
    rows = [_brief(change) if form in ("table", "md") else _row(change) for change in changes]
    if form == "csv":
        rows = [{**row, "fields": ", ".join(row["fields"])} for row in rows]
    extra = {
        "storage": place.describe(),
        "applied": number is not None,
        "number": number,
        "results": sum(change.result for change in changes),
        "tasks": len(changes),
    }
    write_rows(rows, None, form, out, schema="labtech.cache.migrate/1", key="moves", extra=extra)


def _row(change: Change) -> dict[str, Any]:
    return {
        "key": change.move.key,
        "new_key": change.move.new_key,
        "type": change.old_type,
        "new_type": change.move.type,
        "code_version": change.old_version,
        "new_code_version": change.move.code_version,
        "fields": list(change.fields),
        "reason": change.reason,
        "result": change.result,
    }


def _brief(change: Change) -> dict[str, Any]:
    """A row for people. Types are shown without their modules where that says enough."""
    names = change.old_type, change.move.type
    old, new = map(short, names) if len({*names}) == len({*map(short, names)}) else names
    row = {"key": change.move.key[:12], "new_key": change.move.new_key[:12], "type": old, "new_type": new}
    return {**row, "fields": ", ".join(change.fields) or None, "reason": change.reason}


def announce(migration: Migration) -> None:
    """Say on stderr how much is to be done, and who gets an identity that several would have."""
    changes = migration.changes
    results = [change for change in changes if change.result]
    follow = sum(change.reason.startswith("depends on") for change in results)
    accepted = all(change.move.key == change.move.new_key for change in changes)
    text = f"to be {'accepted' if accepted else 'migrated'}: {count(len(results), 'result')}"
    text += f", {follow:,} of them because of what they depend on" if follow else ""
    bare = len(changes) - len(results)
    print(text + (f", and {count(bare, 'task')} without a result" if bare else ""), file=sys.stderr)
    for conflict in migration.conflicts:
        keys = [key[:12] for key in (*conflict.keys, *[conflict.new_key] * conflict.existing)]
        print(f"  of {', '.join(keys)}, {str(conflict.kept)[:12]} has {conflict.new_key[:12]} then", file=sys.stderr)


def signed(place: Storage, moves: Sequence[Move]) -> list[Move]:
    """The moves, each with the signature of its result for the new key. Raises for a result that is not trusted."""
    trust = Trust.from_environment()
    if not trust:
        return list(moves)
    done = []
    for start in range(0, len(moves), _AT_ONCE):
        some = moves[start : start + _AT_ONCE]
        found = place.load([move.key for move in some])
        for move in some:
            stored = found.get(move.key)
            if stored is not None:
                try:
                    trust.check(move.key, stored)
                except UntrustedResult as error:
                    raise UntrustedResult(f"nothing was migrated: {error.message}", hint=error.hint) from None
                move = replace(move, signature=trust.sign(move.new_key, stored).signature)
            done.append(move)
    return done


def undecided(migration: Migration, keep: str | None) -> LabtechError:
    """The first conflict as an error, and how many more there are."""
    first, *more = migration.undecided
    keys = " and ".join(first.keys[:2]) + (f" and {len(first.keys) - 2} more" if len(first.keys) > 2 else "")
    text = f"{'results' if len(first.keys) > 1 else 'result'} {keys} would have the key {first.new_key}"
    text += ", where there is a result already" if first.existing else ""
    text += f" (and {count(len(more), 'more such conflict')})" if more else ""
    if migration.entangled and keep:
        return ConfigError(
            f"{text}, and others take each other's keys, so that --keep cannot decide",
            hint="migrate in two steps, each with --where",
        )
    hint = "--keep newest gives it to the newest, and the others stay under, or get, an old identity"
    return ConfigError(text, hint=hint + ("; --keep existing leaves it as it is" if first.existing else ""))
