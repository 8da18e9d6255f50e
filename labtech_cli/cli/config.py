"""`labtech config`: the resolved configuration, and where each value came from."""

from __future__ import annotations

import datetime
import json as jsonlib
import math
import sys
from pathlib import Path
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
from labtech_cli.errors import ConfigError
from labtech_cli.project.config import Config, load_config

SCHEMA = "labtech.config/1"
FORMATS = ("table", "json", "jsonl", "toml")
HEADERS = ("KEY", "VALUE", "SOURCE")

app = typer.Typer(
    rich_markup_mode=None,
    add_completion=False,
    no_args_is_help=True,
    help="Show the configuration, and where each value came from.",
)


@app.command()
def show(
    config: ConfigOption = None,
    profile: ProfileOption = None,
    storage: StorageOption = None,
    sets: SetOption = None,
    format: FormatOption = None,
    json: JsonOption = False,
    output: OutputOption = None,
) -> None:
    """Show each setting, its value and its source (formats: table, json, jsonl, toml).

    Examples: labtech config show --profile cluster; labtech config show -s workers=2 --json
    """
    chosen = chosen_format(format, json, FORMATS)
    resolved = load_config(file=config, profile=profile, overrides={"lab.storage": storage}, sets=sets or ())
    for warning in resolved.warnings:
        print(f"warning: {warning}", file=sys.stderr)
    if chosen == "table" and output is None and sys.stdout.isatty():
        _print_table(_rows(resolved))
    else:
        _write(_rendered(resolved, chosen), output)


@app.command()
def path(config: ConfigOption = None) -> None:
    """Print the path of the configuration file in use.

    Example: $EDITOR "$(labtech config path)"
    """
    found = load_config(file=config).file
    if found is None:
        print("no labtech.toml here or in a folder above; 'labtech init' writes one", file=sys.stderr)
        raise typer.Exit(1)
    print(found)


def _rendered(config: Config, format: str) -> str:
    if format == "table":
        return _plain_table(_rows(config))
    if format == "toml":
        return _toml(config)
    settings = [{"key": key, "value": _json(value), "source": source} for key, value, source in config.items()]
    if format == "jsonl":
        return "".join(jsonlib.dumps({"schema": SCHEMA, **one}) + "\n" for one in settings)
    file = str(config.file) if config.file else None
    document = {"schema": SCHEMA, "file": file, "profile": config.profile, "settings": settings}
    return jsonlib.dumps(document, indent=2) + "\n"


def _rows(config: Config) -> list[tuple[str, str, str]]:
    return [(_printable(key), _cell(value), _printable(source)) for key, value, source in config.items()]


def _plain_table(rows: list[tuple[str, str, str]]) -> str:
    lines = [HEADERS, *rows]
    widths = [max(len(line[column]) for line in lines) for column in range(2)]
    return "".join(f"{key:<{widths[0]}}  {value:<{widths[1]}}  {source}\n" for key, value, source in lines)


def _print_table(rows: list[tuple[str, str, str]]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, header_style="bold")
    for header in HEADERS:
        table.add_column(header, overflow="fold")
    for key, value, source in rows:
        table.add_row(Text(key), Text(value), Text(source, style="dim"))
    Console().print(table)


def _cell(value: Any) -> str:
    if value is None:
        return "-"
    return _printable(value if isinstance(value, str) else jsonlib.dumps(_json(value), ensure_ascii=False))


def _printable(text: str) -> str:
    """The text, with what would move the cursor or colour the terminal written as escapes."""
    return text if text.isprintable() else repr(text)[1:-1]


def _json(value: Any) -> Any:
    """A TOML value as JSON: dates and times in ISO 8601, the numbers JSON lacks as text."""
    if isinstance(value, dict):
        return {name: _json(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [_json(inner) for inner in value]
    if isinstance(value, (datetime.date, datetime.time)):
        return value.isoformat()
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value


def _toml(config: Config) -> str:
    """A `labtech.toml` that says the same; what is unset is left out."""
    import tomli_w

    tables: dict[str, dict[str, Any]] = {}
    for key, value, _ in config.items():
        table, _, name = key.partition(".")
        if table not in ("context", "targets") and value is not None:
            tables.setdefault(table, {})[name] = value
    tables["context"] = {**config.context, **({"loaders": config.loaders} if config.loaders else {})}
    tables["targets"] = dict(config.targets)
    return tomli_w.dumps({name: table for name, table in tables.items() if table})


def _write(text: str, output: Path | None) -> None:
    if output is None:
        sys.stdout.write(text)
        return
    try:
        output.write_text(text, encoding="utf-8")
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise ConfigError(
            f"-o {output}: cannot be written: {reason}", hint="name a file in a folder that exists"
        ) from error
