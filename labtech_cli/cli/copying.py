"""`labtech cache copy`: results carried from one storage to another."""

from __future__ import annotations

import os
import sys
from collections import Counter
from typing import Annotated, Any

import typer

from labtech_cli.cli.catalogue import Catalogue, short
from labtech_cli.cli.choosing import catalogue_of, statuses_of
from labtech_cli.cli.filters import Filters
from labtech_cli.cli.meter import meter
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
)
from labtech_cli.cli.shared import data_stream, read_config
from labtech_cli.errors import ConfigError
from labtech_cli.report.words import count, one_line, size
from labtech_cli.store.copying import Copied, Copier
from labtech_cli.store.signing import Trust
from labtech_cli.store.storage import Storage

_SHOWN = 10  # damaged results named on stderr; JSON has all
_SIGNING = "name the keys that signed them in LABTECH_SIGNING_KEY, or unset it to copy what nobody signed"


def copy(
    names: NamesArgument = None,
    to: Annotated[str | None, typer.Option("--to", metavar="STORAGE", help="Where to: a folder or a URL.")] = None,
    source: Annotated[
        str | None, typer.Option("--from", metavar="STORAGE", help="Where from; without it, the lab's storage.")
    ] = None,
    where: WhereOption = None,
    older_than: OlderOption = None,
    module: ModuleOption = None,
    stale: StaleOption = False,
    current: CurrentOption = False,
    orphaned: OrphanedOption = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace other results of the same tasks; otherwise they stay.")
    ] = False,
    dry_run: DryRunOption = False,
    config: ConfigOption = None,
    profile: ProfileOption = None,
    storage: StorageOption = None,
    sets: SetOption = None,
    json: JsonOption = False,
) -> None:
    """Copy results to another storage, checked on both sides. Goes on where it was interrupted.

    Exits 1 if a result was damaged, or not signed as LABTECH_SIGNING_KEY asks, and so not copied.

    Example: labtech cache copy --from shard1 --to all
    """
    if to is None:
        raise ConfigError("nothing says where to copy to", hint="name a folder or a URL with --to")
    if source is not None and storage is not None:
        raise ConfigError("--from and --storage contradict each other", hint="give one of them")
    resolved = read_config(config, profile, source if source is not None else storage, sets)
    statuses = statuses_of(module, stale, current, orphaned)
    with data_stream() as out:
        from labtech_cli.lab import open_storage

        target = open_storage(to)
        catalogue = catalogue_of(resolved, module)
        _check(catalogue.storage, target)
        filters = Filters(names or (), where or (), older_than, statuses)
        rows = filters.select(catalogue)
        if not dry_run:
            target.check_writable()
        everything = not (names or where or older_than or statuses)
        with meter("copying", sum([row.size for row in rows])) as told:
            copier = Copier(catalogue.storage, target, overwrite, dry_run, Trust.from_environment(), told)
            done = copier.copy(rows, everything=everything)
        if not dry_run:
            target.leave()
        if json:
            from labtech_cli.report.tables import write_json

            write_json(_document(catalogue, target, done, dry_run), out)
    _tell(target, done, dry_run)
    if any(problem.kind != "conflict" for _, problem in done.problems):
        raise typer.Exit(1)


def _check(source: Storage, target: Storage) -> None:
    """Refuse what cannot be meant."""
    if not target.keeps or not source.keeps:
        raise ConfigError("a storage that keeps nothing cannot be copied from or to", hint="name a folder or a URL")
    if not source.exists():
        raise ConfigError(f"there is no storage at '{source.describe()}'", hint="name the one to copy from with --from")
    places = [_place(source), _place(target)]
    if places[0] == places[1]:
        raise ConfigError(f"'{places[0]}' is to be copied to itself", hint="name another storage with --to")


def _place(storage: Storage) -> str:
    """Where it is, the same for each of a folder's names."""
    return os.path.realpath(storage.describe()) if "://" not in storage.describe() else storage.describe()


def _tell(target: Storage, done: Copied, dry_run: bool) -> None:
    kinds = Counter(problem.kind for _, problem in done.problems)
    conflicts = kinds.pop("conflict", 0)
    said = f"{'would copy' if dry_run else 'copied'} {count(done.copied, 'result')}, {size(done.copied_bytes)}"
    said += f" to {target.describe()}"
    if done.there:
        said += f"; {done.there:,} were there already"
    if done.overwritten:
        said += f"; {done.overwritten:,} took the place of others"
    print(said, file=sys.stderr)
    if conflicts:
        what = count(conflicts, "task has another result", "tasks have other results")
        print(f"{what} there, which stayed; --overwrite replaces them", file=sys.stderr)
    untrusted = kinds.pop("signature", 0)
    left_out = [(row, problem) for row, problem in done.problems if problem.kind != "conflict"]
    for row, problem in left_out[:_SHOWN]:
        text = one_line(f"{short(row.type)} {row.key}: {problem.message}")
        what = "not trusted" if problem.kind == "signature" else "damaged"
        print(f"warning: {what}, and not copied: {text}", file=sys.stderr)
    if untrusted:
        print(f"not trusted, and not copied: {count(untrusted, 'result')}; {_SIGNING}", file=sys.stderr)
    if damaged := kinds.total():
        print(f"damaged, and not copied: {count(damaged, 'result')}; see 'labtech cache verify'", file=sys.stderr)


def _document(catalogue: Catalogue, target: Storage, done: Copied, dry_run: bool) -> dict[str, Any]:
    return {
        "schema": "labtech.cache.copy/1",
        "from": catalogue.storage.describe(),
        "to": target.describe(),
        "dry_run": dry_run,
        "copied": done.copied,
        "size_bytes": done.copied_bytes,
        "overwritten": done.overwritten,
        "already_there": done.there,
        "described": done.described,
        "conflicts": sum(problem.kind == "conflict" for _, problem in done.problems),
        "damaged": sum(problem.kind not in ("conflict", "signature") for _, problem in done.problems),
        "untrusted": sum(problem.kind == "signature" for _, problem in done.problems),
        "problems": [
            {
                "key": row.key,
                "type": short(row.type),
                "problem": problem.kind,
                "message": one_line(problem.message, 500),
            }
            for row, problem in done.problems
        ],
    }
