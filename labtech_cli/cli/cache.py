"""`labtech cache`: list, show and look after results. Nothing here unpickles."""

from __future__ import annotations

import sys
import time
from typing import Annotated, Any

import typer

from labtech_cli.cli.catalogue import Catalogue, short, utc
from labtech_cli.cli.choosing import catalogue_of, statuses_of
from labtech_cli.cli.copying import copy
from labtech_cli.cli.filters import Filters, is_key
from labtech_cli.cli.migrate import migrate
from labtech_cli.cli.options import (
    ConfigOption,
    CurrentOption,
    FormatOption,
    JsonOption,
    ModuleOption,
    NamesArgument,
    OlderOption,
    OrphanedOption,
    OutputOption,
    ProfileOption,
    SetOption,
    StaleOption,
    StorageOption,
    WhereOption,
    chosen_format,
    unknown_choice,
)
from labtech_cli.cli.removing import gc, rm
from labtech_cli.cli.shared import data_stream, make_lab, read_config
from labtech_cli.cli.verifying import verify
from labtech_cli.errors import ConfigError
from labtech_cli.report.words import count, duration, size
from labtech_cli.store.records import Row

app = typer.Typer(
    rich_markup_mode=None, add_completion=False, no_args_is_help=True, help="List, show and look after cached results."
)
FORMATS = ("table", "json", "jsonl", "csv", "md")
SORTS = ("started", "duration", "size", "type", "key")


@app.command("ls")
def ls(
    names: NamesArgument = None,
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

        catalogue = catalogue_of(resolved, module)
        filters = Filters(names or (), where or (), older_than, statuses_of(module, stale, current, orphaned))
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

        catalogue = catalogue_of(resolved, None)
        (row,) = _one(catalogue, key)
        document = _entry(catalogue, row)
        if json:
            write_json({"schema": "labtech.cache.entry/1", **document}, out)
            return
        rows = [{"field": name, "value": value} for name, value in _lines(document).items()]
        write_rows(rows, None, "table", out, schema="", key="")


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


app.command("rm")(rm)
app.command("verify")(verify)
app.command("gc")(gc)
app.command("copy")(copy)
app.command("migrate")(migrate)


def _one(catalogue: Catalogue, key: str) -> list[Row]:
    if not is_key(key):
        raise ConfigError(
            f"'{key}' is not a key", hint="give its hexadecimal digits, or the first few; see 'labtech cache ls'"
        )
    return Filters([key]).select(catalogue)


def _entry(catalogue: Catalogue, row: Row) -> dict[str, Any]:
    """All that is known of one result."""
    from labtech_cli.cli.receipt import origin_of

    document = catalogue.as_json(row)
    texts = catalogue.storage.documents([row.origin]) if row.origin else {}
    document["origin"] = origin_of(texts.get(row.origin or ""))
    stored = catalogue.storage.load([row.key]).get(row.key)
    document["files"] = [
        {"name": blob.name, "size_bytes": blob.size, "checksum": blob.digest, "path": blob.path}
        for blob in (stored.blobs if stored else ())
    ]
    return document


def _lines(document: dict[str, Any]) -> dict[str, Any]:
    """The same for people, a line for each thing."""
    from labtech_cli.cli.receipt import told
    from labtech_cli.core.present import flatten

    nested = ("params", "provenance", "origin", "files")
    lines = {name: value for name, value in document.items() if name not in nested}
    lines.update({f"params.{name}": value for name, value in flatten(document["params"]).items()})
    lines.update({f"provenance.{name}": value for name, value in document["provenance"].items()})
    memory = lines.pop("provenance.peak_memory_bytes")
    lines["peak_memory"] = None if memory is None else size(memory)
    lines.update({f"origin.{name}": value for name, value in told(document["origin"] or {}).items()})
    for item in document["files"]:
        lines[f"file.{item['name']}"] = f"{size(item['size_bytes'])} {item['path'] or '(in the index)'}"
    return lines


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
