"""`labtech cache rm` and `gc`: results that go. What live runs need stays."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from typing import Annotated, Any

import typer

from labtech_cli.cli.catalogue import Catalogue, short, utc
from labtech_cli.cli.choosing import catalogue_of, statuses_of
from labtech_cli.cli.filters import Filters, bytes_of, seconds_of
from labtech_cli.cli.options import (
    ConfigOption,
    CurrentOption,
    DryRunOption,
    JsonOption,
    ModuleOption,
    NamesArgument,
    OlderOption,
    OrphanedOption,
    ProfileOption,
    SetOption,
    StaleOption,
    StorageOption,
    WhereOption,
    YesOption,
)
from labtech_cli.cli.shared import confirmed, data_stream, find_targets, read_config
from labtech_cli.errors import ConfigError, StorageError
from labtech_cli.report.words import count, duration, size
from labtech_cli.store.records import Aside, Row
from labtech_cli.store.storage import Storage
from labtech_cli.store.sweeping import Choice, Rules, choose

_AT_ONCE = 5_000  # results removed in one step: others can write in between


def rm(
    names: NamesArgument = None,
    target: Annotated[
        list[str] | None, typer.Option("--target", metavar="TARGET", help="The results of these targets.")
    ] = None,
    where: WhereOption = None,
    older_than: OlderOption = None,
    module: ModuleOption = None,
    stale: StaleOption = False,
    current: CurrentOption = False,
    orphaned: OrphanedOption = False,
    everything: Annotated[bool, typer.Option("--all", help="All results.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Also results that live runs need.")] = False,
    dry_run: DryRunOption = False,
    yes: YesOption = False,
    config: ConfigOption = None,
    profile: ProfileOption = None,
    storage: StorageOption = None,
    sets: SetOption = None,
) -> None:
    """Remove the results to which all that is given applies; shows what and how much, and asks.

    What a live run needs stays; then the exit status is 1.

    Example: labtech cache rm Train --where 'lr>0.1' --dry-run
    """
    resolved = read_config(config, profile, storage, sets)
    statuses = statuses_of(module, stale, current, orphaned)
    if not (names or target or where or older_than or statuses or everything):
        raise ConfigError("nothing is named to be removed", hint="name keys or types, a filter, --target, or --all")
    with data_stream():  # so that what a module prints on import is not on stdout
        catalogue = catalogue_of(resolved, module)
        rows = Filters(names or (), where or (), older_than, statuses).select(catalogue)
        if target:
            keys = {task.cache_key for task in find_targets(target, resolved).tasks}
            rows = [row for row in rows if row.key in keys]
    if not rows:
        print("no result matches", file=sys.stderr)
        return
    needed = set() if force else catalogue.storage.needed()
    free = [row for row in rows if row.key not in needed]
    announce(free, len(rows) - len(free), "; --force removes them, too")
    if free and not dry_run:
        if not yes and not confirmed("remove"):
            raise typer.Exit(1)
        removed = remove(catalogue.storage, free, force=force)
        print(f"removed {count(removed, 'result')}", file=sys.stderr)
        catalogue.storage.leave()
    if len(free) < len(rows) and not dry_run:
        raise typer.Exit(1)


def gc(
    max_size: Annotated[
        str | None, typer.Option("--max-size", metavar="SIZE", help="Remove the oldest until the rest fits: 10GB.")
    ] = None,
    older_than: Annotated[
        str | None, typer.Option("--older-than", metavar="AGE", help="Remove what is older: 30d.")
    ] = None,
    stale: Annotated[
        bool, typer.Option("--stale", help="Remove results of another code_version or code (needs --module).")
    ] = False,
    module: ModuleOption = None,
    keep_last: Annotated[
        int | None, typer.Option("--keep-last", metavar="N", min=0, help="Keep the newest N of each type.")
    ] = None,
    damaged: Annotated[
        bool, typer.Option("--damaged", help="Also what was set aside as damaged (older than --older-than).")
    ] = False,
    dry_run: DryRunOption = False,
    yes: YesOption = False,
    config: ConfigOption = None,
    profile: ProfileOption = None,
    storage: StorageOption = None,
    sets: SetOption = None,
    json: JsonOption = False,
) -> None:
    """Keep the storage small: remove every result that some rule says is to go; shows what, and asks.

    --keep-last alone removes all others; beside other rules it limits them. What a live run needs stays.

    Example: labtech cache gc --older-than 30d --keep-last 5 --dry-run
    """
    resolved = read_config(config, profile, storage, sets)
    if max_size is None and older_than is None and not stale and keep_last is None and not damaged:
        rules = "--max-size, --older-than, --stale, --keep-last or --damaged"
        raise ConfigError("no rule says what is to go", hint=f"give {rules}")
    statuses_of(module, stale)
    before = None if older_than is None else time.time() - seconds_of(older_than, "--older-than")
    most = None if max_size is None else bytes_of(max_size, "--max-size")
    with data_stream() as out:
        catalogue = catalogue_of(resolved, module)
        stale_keys = {row.key for row in catalogue.rows if catalogue.status(row) == "stale"} if stale else None
        chosen = choose(catalogue.rows, Rules(before, stale_keys, keep_last, most), catalogue.storage.needed())
        rows = [row for row, _ in chosen.remove]
        asides = [item for item in catalogue.storage.aside() if before is None or item.at < before] if damaged else []
        announce(rows, chosen.needed, "")
        if asides:
            print(f"and what was set aside: {_asides(asides)}", file=sys.stderr)
        removed = 0
        if (rows or asides) and not dry_run:
            if not yes and not confirmed("remove"):
                raise typer.Exit(1)
            catalogue.storage.discard(asides)
            removed = remove(catalogue.storage, rows)
            _compact(catalogue.storage)
        if not dry_run:
            catalogue.storage.leave()
        _tell(chosen, removed, most, dry_run)
        if json:
            from labtech_cli.report.tables import write_json

            write_json(_document(catalogue, chosen, removed, asides, dry_run), out)


def announce(rows: Sequence[Row], needed: int, hint: str) -> None:
    """Say what and how much is to be removed, and what stays because live runs need it."""
    by_type: dict[str, int] = {}
    for row in rows:
        by_type[short(row.type)] = by_type.get(short(row.type), 0) + 1
    for name, many in sorted(by_type.items()):
        print(f"  {name}: {count(many, 'result')}", file=sys.stderr)
    total, took = sum(row.size for row in rows), sum(row.duration for row in rows)
    what = f"{count(len(rows), 'result')}, {size(total)}, which took {duration(took)} to compute" if rows else "nothing"
    print(f"to be removed: {what}", file=sys.stderr)
    if needed:
        print(f"to stay, as live runs need them: {count(needed, 'result')}{hint}", file=sys.stderr)


def remove(storage: Storage, rows: Sequence[Row], *, force: bool = False) -> int:
    """Remove results; how many. One that a run has come to need meanwhile stays, unless by force."""
    action = storage.remove if force else storage.remove_unneeded
    keys = [row.key for row in rows]
    return sum([action(keys[start : start + _AT_ONCE]) for start in range(0, len(keys), _AT_ONCE)])


def _compact(storage: Storage) -> None:
    try:
        storage.compact()
    except StorageError as error:
        print(f"warning: the results are gone, but their room was not given back: {error}", file=sys.stderr)


def _tell(chosen: Choice, removed: int, most: int | None, dry_run: bool) -> None:
    if removed:
        print(f"removed {count(removed, 'result')}", file=sys.stderr)
    word = "would stay" if dry_run else "left"
    print(f"{word}: {count(chosen.left, 'result')}, {size(chosen.left_bytes)}", file=sys.stderr)
    if most is not None and chosen.left_bytes > most:
        print(f"warning: that is more than {size(most)}; all of it is to be kept", file=sys.stderr)


def _asides(asides: Sequence[Aside]) -> str:
    return f"{count(len(asides), 'damaged result')}, {size(sum(item.size for item in asides))}"


def _document(
    catalogue: Catalogue, chosen: Choice, removed: int, asides: Sequence[Aside], dry_run: bool
) -> dict[str, Any]:
    rows = [row for row, _ in chosen.remove]
    return {
        "schema": "labtech.cache.gc/1",
        "storage": catalogue.storage.describe(),
        "dry_run": dry_run,
        "removed": removed,
        "size_bytes": sum(row.size for row in rows),
        "duration_seconds": sum(row.duration for row in rows),
        "needed": chosen.needed,
        "left": chosen.left,
        "left_bytes": chosen.left_bytes,
        "damaged": len(asides),
        "damaged_bytes": sum(item.size for item in asides),
        "results": [
            {
                "key": row.key,
                "type": short(row.type),
                "started_at": utc(row.started_at),
                "size_bytes": row.size,
                "rule": rule,
            }
            for row, rule in chosen.remove
        ],
    }
