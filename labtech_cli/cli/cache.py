"""`labtech cache`: list, show and remove results. Nothing here unpickles."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from typing import Annotated, Any

import typer

from labtech_cli.cli.catalogue import Catalogue, short, types_of, utc
from labtech_cli.cli.filters import Filters, is_key
from labtech_cli.cli.migrate import migrate
from labtech_cli.cli.options import (
    ConfigOption,
    FormatOption,
    JsonOption,
    OutputOption,
    ProfileOption,
    SetOption,
    StorageOption,
    chosen_format,
    unknown_choice,
)
from labtech_cli.cli.shared import data_stream, find_targets, load_module, make_lab, read_config
from labtech_cli.errors import ConfigError
from labtech_cli.report.words import count, duration, size
from labtech_cli.store.records import Row

app = typer.Typer(
    rich_markup_mode=None,
    add_completion=False,
    no_args_is_help=True,
    help="List, show, remove and migrate cached results.",
)
FORMATS = ("table", "json", "jsonl", "csv", "md")
SORTS = ("started", "duration", "size", "type", "key")

WhereOption = Annotated[
    list[str] | None,
    typer.Option("--where", metavar="CONDITION", help="Such as 'n_estimators>5'; dotted into dependencies."),
]
OlderOption = Annotated[str | None, typer.Option("--older-than", metavar="AGE", help="Such as 12h or 7d.")]
ModuleOption = Annotated[
    list[str] | None,
    typer.Option("--module", "-m", metavar="FILE", help="Compare with the task types of this module."),
]
StaleOption = Annotated[
    bool, typer.Option("--stale", help="Only results of another code_version or code (needs --module).")
]
CurrentOption = Annotated[bool, typer.Option("--current", help="Only results of the code as it is (needs --module).")]
OrphanedOption = Annotated[
    bool, typer.Option("--orphaned", help="Only results of types that are gone (needs --module).")
]


@app.command("ls")
def ls(
    names: Annotated[list[str] | None, typer.Argument(metavar="[TYPE|KEY]...", help="Task types or keys.")] = None,
    where: WhereOption = None,
    older_than: OlderOption = None,
    module: ModuleOption = None,
    stale: StaleOption = False,
    current: CurrentOption = False,
    orphaned: OrphanedOption = False,
    sort: Annotated[
        str, typer.Option("--sort", metavar="BY", help="started, duration, size, type or key.")
    ] = "started",
    limit: Annotated[int | None, typer.Option("--limit", metavar="N", min=0, help="At most N rows.")] = None,
    config: ConfigOption = None,
    profile: ProfileOption = None,
    storage: StorageOption = None,
    sets: SetOption = None,
    format: FormatOption = None,
    json: JsonOption = False,
    output: OutputOption = None,
) -> None:
    """List results (formats: table, json, jsonl, csv, md).

    Example: labtech cache ls Train --where 'lr>0.1' --sort duration --limit 10
    """
    resolved = read_config(config, profile, storage, sets)
    chosen = chosen_format(format, json, FORMATS)
    if sort not in SORTS:
        raise unknown_choice("--sort", sort, SORTS)
    with data_stream(output) as out:
        from labtech_cli.report.tables import write_objects, write_rows

        catalogue = _catalogue(resolved, module)
        filters = Filters(names or (), where or (), older_than, _statuses(module, stale, current, orphaned))
        rows = _sorted(filters.select(catalogue), sort)[:limit]
        if chosen == "jsonl" or (chosen == "json" and not out.isatty()):
            write_objects(map(catalogue.as_text, rows), chosen, out, schema="labtech.cache/1", key="results")
            return
        if chosen == "json":
            shown = [catalogue.as_json(row) for row in rows]
        else:
            shown = [_table_row(catalogue, row, whole=chosen == "csv") for row in rows]
        write_rows(shown, None, chosen, out, schema="labtech.cache/1", key="results")


@app.command("show")
def show(
    key: Annotated[str, typer.Argument(metavar="KEY", help="A key, or the beginning of one.")],
    config: ConfigOption = None,
    profile: ProfileOption = None,
    storage: StorageOption = None,
    json: JsonOption = False,
) -> None:
    """Show all that is known of one result, its files included. Does not load it.

    Example: labtech cache show 3fa9
    """
    resolved = read_config(config, profile, storage, None)
    with data_stream() as out:
        from labtech_cli.report.tables import write_json, write_rows

        catalogue = _catalogue(resolved, None)
        (row,) = _one(catalogue, key)
        stored = make_lab(resolved).storage.load([row.key])[row.key]
        document = catalogue.as_json(row)
        document["files"] = [
            {"name": blob.name, "size_bytes": blob.size, "checksum": blob.digest, "path": blob.path}
            for blob in stored.blobs
        ]
        if json:
            write_json({"schema": "labtech.cache.entry/1", **document}, out)
            return
        from labtech_cli.core.present import flatten

        files = document.pop("files")
        lines = {**document, **{f"params.{name}": value for name, value in flatten(document.pop("params")).items()}}
        lines.update({f"provenance.{name}": value for name, value in document.pop("provenance").items()})
        lines.pop("params", None)
        lines.pop("provenance", None)
        lines.update(
            {f"file.{item['name']}": f"{size(item['size_bytes'])} {item['path'] or '(in the index)'}" for item in files}
        )
        rows = [{"field": name, "value": value} for name, value in lines.items()]
        write_rows(rows, None, "table", out, schema="", key="")


@app.command("rm")
def rm(
    names: Annotated[list[str] | None, typer.Argument(metavar="[TYPE|KEY]...", help="Task types or keys.")] = None,
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
    dry_run: Annotated[bool, typer.Option("--dry-run", "-n", help="Only show what would be removed.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    config: ConfigOption = None,
    profile: ProfileOption = None,
    storage: StorageOption = None,
    sets: SetOption = None,
) -> None:
    """Remove results; shows what and how much, and asks.

    Example: labtech cache rm Train --where 'lr>0.1' --dry-run
    """
    resolved = read_config(config, profile, storage, sets)
    statuses = _statuses(module, stale, current, orphaned)
    if not (names or target or where or older_than or statuses or everything):
        raise ConfigError("nothing is named to be removed", hint="name keys or types, a filter, --target, or --all")
    with data_stream():  # so that what a module prints on import is not on stdout
        catalogue = _catalogue(resolved, module)
        rows = Filters(names or (), where or (), older_than, statuses).select(catalogue)
        if target:
            keys = {task.cache_key for task in find_targets(target, resolved).tasks}
            rows = [row for row in rows if row.key in keys]
    if not rows:
        print("no result matches", file=sys.stderr)
        return
    _announce(rows)
    if dry_run:
        return
    if not yes and not _confirmed():
        raise typer.Exit(1)
    removed = make_lab(resolved).storage.remove([row.key for row in rows])
    print(f"removed {count(removed, 'result')}", file=sys.stderr)


@app.command("stats")
def stats(
    config: ConfigOption = None,
    profile: ProfileOption = None,
    storage: StorageOption = None,
    sets: SetOption = None,
    format: FormatOption = None,
    json: JsonOption = False,
    output: OutputOption = None,
) -> None:
    """Totals by task type: results, size, time they took (formats: table, json, csv, md).

    Example: labtech cache stats --json
    """
    resolved = read_config(config, profile, storage, sets)
    chosen = chosen_format(format, json, FORMATS)
    with data_stream(output) as out:
        from labtech_cli.report.tables import write_rows

        place = make_lab(resolved).storage
        found = place.stats()
        rows: list[dict[str, Any]] = [
            {
                "type": short(item.type),
                "results": item.results,
                "size_bytes": item.size_bytes,
                "duration_seconds": item.duration_seconds,
                "oldest": utc(item.oldest),
                "newest": utc(item.newest),
            }
            for item in found
        ]
        totals = {
            "results": sum(item.results for item in found),
            "size_bytes": sum(item.size_bytes for item in found),
            "duration_seconds": sum(item.duration_seconds for item in found),
        }
        extra = {"storage": place.describe(), **totals}
        if chosen == "table":
            for row in rows:
                row["size"], row["took"] = size(row.pop("size_bytes")), duration(row.pop("duration_seconds"))
        write_rows(rows, None, chosen, out, schema="labtech.cache.stats/1", key="types", extra=extra)
        if chosen == "table":
            out.flush()
            took = duration(totals["duration_seconds"])
            summary = f"{count(int(totals['results']), 'result')}, {size(totals['size_bytes'])}, {took} of work"
            print(f"{place.describe()}: {summary}", file=sys.stderr)


app.command("migrate")(migrate)


def _catalogue(config: Any, modules: Sequence[str] | None) -> Catalogue:
    if not modules:
        return Catalogue(make_lab(config).storage)
    imported = [load_module(name) for name in modules]
    return Catalogue(make_lab(config).storage, types_of(imported), [module.__name__ for module in imported])


def _statuses(modules: Sequence[str] | None, stale: bool, current: bool, orphaned: bool) -> list[str]:
    wanted = [name for name, on in (("stale", stale), ("current", current), ("orphaned", orphaned)) if on]
    if wanted and not modules:
        raise ConfigError(f"--{wanted[0]} needs the module to compare with", hint="add --module FILE.py")
    return wanted


def _one(catalogue: Catalogue, key: str) -> list[Row]:
    if not is_key(key):
        raise ConfigError(
            f"'{key}' is not a key", hint="give at least 4 of its hexadecimal digits; see 'labtech cache ls'"
        )
    return Filters([key]).select(catalogue)


def _sorted(rows: list[Row], sort: str) -> list[Row]:
    fields = {"started": "started_at", "duration": "duration", "size": "size", "type": "type", "key": "key"}
    return sorted(rows, key=lambda row: getattr(row, fields[sort]), reverse=sort in ("duration", "size"))


def _table_row(catalogue: Catalogue, row: Row, *, whole: bool) -> dict[str, Any]:
    from labtech_cli.core.present import flatten

    params = flatten(catalogue.params(row.params, 1))
    text = ", ".join(f"{name}={_brief(value)}" for name, value in params.items())
    shown: dict[str, Any] = {
        "key": row.key if whole else row.key[:12],
        "type": short(row.type),
        "params": text if whole or len(text) <= 80 else text[:79] + "…",
        "version": row.code_version,
        "started": time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(row.started_at)),
        "took": row.duration if whole else duration(row.duration),
        "size": row.size if whole else size(row.size),
    }
    status = catalogue.status(row)
    return shown if status == "unknown" else {**shown, "status": status}


def _brief(value: Any) -> Any:
    """A list of tasks in words; other values as they are."""
    if isinstance(value, list) and value and all(isinstance(item, dict) and "key" in item for item in value):
        types = [item["type"] for item in value]
        return ", ".join(f"{types.count(name)} {name}" for name in dict.fromkeys(types))
    return value


def _announce(rows: Sequence[Row]) -> None:
    total, took = sum(row.size for row in rows), sum(row.duration for row in rows)
    by_type: dict[str, int] = {}
    for row in rows:
        by_type[short(row.type)] = by_type.get(short(row.type), 0) + 1
    for name, many in sorted(by_type.items()):
        print(f"  {name}: {count(many, 'result')}", file=sys.stderr)
    what = f"{count(len(rows), 'result')}, {size(total)}, which took {duration(took)} to compute"
    print(f"to be removed: {what}", file=sys.stderr)


def _confirmed() -> bool:
    if not sys.stdin.isatty():
        raise ConfigError("nothing was removed: there is no terminal to ask on", hint="add --yes to remove")
    print("remove them? [y/N] ", end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip().lower() in ("y", "yes")
