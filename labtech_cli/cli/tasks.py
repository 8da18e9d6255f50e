"""`labtech tasks`: what a module defines and offers."""

from __future__ import annotations

import dataclasses
import functools
import inspect
from collections.abc import Callable
from typing import Annotated, Any

import typer

from labtech_cli.cli.options import FormatOption, JsonOption, OutputOption, chosen_format
from labtech_cli.cli.shared import data_stream, importing, load_module
from labtech_cli.errors import TargetError

app = typer.Typer(rich_markup_mode=None, add_completion=False)
SCHEMA = "labtech.tasks/1"


@app.command()
def tasks(
    module: Annotated[str, typer.Argument(metavar="FILE", help="FILE.py or package.module.")],
    format: FormatOption = None,
    json: JsonOption = False,
    output: OutputOption = None,
) -> None:
    """List the task types and targets of a module (formats: table, json).

    Example: labtech tasks experiments.py
    """
    chosen = chosen_format(format, json, ("table", "json"))
    with data_stream(output) as out:
        from labtech_cli.project.offers import offers
        from labtech_cli.report.tables import write_json, write_rows

        place, colon, _ = module.partition(":")
        if colon:
            raise TargetError(f"'{module}' is a target, not a module", hint=f"write: labtech tasks {place}")
        imported = load_module(module)
        with importing(module):
            found = offers(imported)
            types = [
                describe_type(functools.reduce(getattr, offer.name.split("."), imported))
                for offer in found
                if offer.kind == "task type"
            ]
        if chosen == "json":
            others = [dataclasses.asdict(offer) for offer in found]
            write_json({"schema": SCHEMA, "module": module, "types": types, "targets": others}, out)
            return
        write_rows([_type_row(row) for row in types], None, "table", out, schema=SCHEMA, key="types")
        rows = [
            {"target": f"{module}:{offer.name}", "kind": offer.kind, "tasks": offer.count, "about": offer.doc}
            for offer in found
            if offer.kind != "task type"
        ]
        if rows:
            out.write("\n" if types else "")
            write_rows(rows, None, "table", out, schema=SCHEMA, key="targets")


def describe_type(cls: Any) -> dict[str, Any]:
    """A task type as JSON: its parameters with types and defaults, its options, its first docstring line."""
    from labtech_cli.core.present import value_json
    from labtech_cli.report.annotations import parameter_text

    kind = cls.__labtech__
    parameters = []
    for item in dataclasses.fields(cls):
        row: dict[str, Any] = {"name": item.name, "type": parameter_text(kind, item.name)}
        if item.default is not dataclasses.MISSING:
            row["default"] = value_json(item.default)
        elif item.default_factory is not dataclasses.MISSING:
            row["default"] = f"{getattr(item.default_factory, '__name__', 'factory')}()"
        parameters.append(row)
    return {
        "type": kind.label,
        "parameters": parameters,
        "code_version": kind.code_version,
        "cache": None if kind.keeps_nothing else repr(kind.cache),
        "max_parallel": kind.max_parallel,
        "mlflow_run": kind.mlflow_run,
        "cpus": kind.needs.cpus,
        "memory_bytes": kind.needs.memory,
        "gpus": kind.needs.gpus,
        "retries": kind.needs.retries,
        "timeout_seconds": kind.needs.timeout,
        "computes_needs": kind.computes_needs,
        "about": (inspect.cleandoc(cls.__dict__.get("__doc__") or "").splitlines() or [""])[0],
    }


def _type_row(row: dict[str, Any]) -> dict[str, Any]:
    shown = [
        f"{item['name']}: {item['type']}" + (f" = {item['default']}" if "default" in item else "")
        for item in row["parameters"]
    ]
    about = row["about"] if not row["about"].startswith(f"{row['type'].rpartition('.')[2]}(") else ""
    return {
        "type": row["type"],
        "parameters": ", ".join(shown) or None,
        "version": row["code_version"],
        "cache": row["cache"] or "none",
        "max_parallel": row["max_parallel"],
        "mlflow": "yes" if row["mlflow_run"] else None,
        "needs": _needs(row) or None,
        "about": about or None,
    }


def _needs(row: dict[str, Any]) -> str:
    """What one task needs, in a few words: `2 cpus, 4.0 GB, 1 gpu, 2 retries, timeout 2 h`."""
    from labtech_cli.report.words import count, duration, size

    shown: dict[str, Callable[[Any], str]] = {
        "cpus": lambda many: f"{many:g} cpu{'s' * (many != 1)}",
        "memory_bytes": size,
        "gpus": lambda many: count(many, "gpu"),
        "retries": lambda many: count(many, "retry", "retries"),
        "timeout_seconds": lambda seconds: f"timeout {duration(seconds)}",
    }
    parts = [words(row[name]) for name, words in shown.items() if row[name] is not None]
    return ", ".join([*parts, *(["by resources()"] if row["computes_needs"] else [])])
