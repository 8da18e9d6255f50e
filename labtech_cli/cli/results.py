"""`labtech results`: cached results beside their parameters."""

from __future__ import annotations

import sys
from typing import Any

import typer

from labtech_cli.cli.options import (
    ConfigOption,
    FormatOption,
    JsonOption,
    OutputOption,
    ProfileOption,
    SetOption,
    StorageOption,
    chosen_format,
)
from labtech_cli.cli.shared import (
    GridOption,
    ParamOption,
    TargetsArgument,
    data_stream,
    find_targets,
    make_lab,
    read_config,
)

app = typer.Typer(rich_markup_mode=None, add_completion=False)
SCHEMA = "labtech.results/1"


@app.command()
def results(
    targets: TargetsArgument,
    param: ParamOption = None,
    grid: GridOption = None,
    config: ConfigOption = None,
    profile: ProfileOption = None,
    storage: StorageOption = None,
    sets: SetOption = None,
    format: FormatOption = None,
    json: JsonOption = False,
    output: OutputOption = None,
) -> None:
    """Show the cached results of targets as a table. Runs nothing.

    Example: labtech results experiments.py:evaluation --format csv -o results.csv
    """
    resolved = read_config(config, profile, storage, sets)
    chosen = chosen_format(format, json, ("table", "json", "jsonl", "csv", "md"))
    with data_stream(output) as out:
        found = find_targets(targets, resolved, param, grid)
        from labtech_cli.errors import CacheError, TaskNotFound
        from labtech_cli.report.results import result_rows
        from labtech_cli.report.tables import write_rows

        lab = make_lab(resolved, found)
        rows: list[dict[str, Any]] = []
        missing = damaged = 0
        several = len({type(task) for task in found.tasks}) > 1
        for task, stored in lab.stored(found.tasks):
            if stored is None:
                missing += 1
                continue
            try:
                value = lab.load(task, stored)
            except TaskNotFound:
                missing += 1
                continue
            except CacheError as error:
                damaged += 1
                print(f"warning: {error}", file=sys.stderr)
                continue
            for row in result_rows(task, value):
                first = {"key": task._labtech_key} if chosen in ("json", "jsonl", "csv") else {}
                rows.append({**first, **({"task": type(task).__labtech__.label} if several else {}), **row})
        write_rows(rows, None, chosen, out, schema=SCHEMA, key="results")
        lab.close()
    if missing:
        print(f"{missing} of {len(found.tasks)} targets have no result: 'labtech run' computes them", file=sys.stderr)
    if damaged:
        raise typer.Exit(1)
