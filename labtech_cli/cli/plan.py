"""`labtech plan`: what a run would do with each task, and why."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

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
from labtech_cli.cli.shards import ShardOption, prepare, read_shard
from labtech_cli.cli.shared import (
    GridOption,
    ParamOption,
    TargetsArgument,
    WorkersOption,
    data_stream,
    find_targets,
    make_lab,
    read_config,
)

if TYPE_CHECKING:
    from labtech_cli.core.schedule import Demands
    from labtech_cli.core.shard import Shard
    from labtech_cli.lab import Lab
    from labtech_cli.prepared import Prepared
    from labtech_cli.project.config import Config

app = typer.Typer(rich_markup_mode=None, add_completion=False)
SCHEMA = "labtech.plan/1"
FORMATS = ("table", "json", "jsonl", "csv", "md")


@app.command()
def plan(
    targets: TargetsArgument,
    param: ParamOption = None,
    grid: GridOption = None,
    tasks: Annotated[bool, typer.Option("--tasks", help="List every task with its action and reason.")] = False,
    check: Annotated[bool, typer.Option("--check", help="Exit with 1 if anything would run.")] = False,
    rerun: Annotated[bool, typer.Option("--rerun", "-B", help="As if run with --rerun.")] = False,
    rerun_targets: Annotated[bool, typer.Option("--rerun-targets", help="As if run with --rerun-targets.")] = False,
    rerun_stale: Annotated[bool, typer.Option("--rerun-stale", help="As if run with --rerun-stale.")] = False,
    shard: ShardOption = None,
    workers: WorkersOption = None,
    config: ConfigOption = None,
    profile: ProfileOption = None,
    storage: StorageOption = None,
    sets: SetOption = None,
    format: FormatOption = None,
    json: JsonOption = False,
    output: OutputOption = None,
) -> None:
    """Show what a run would do, and why. Runs and writes nothing.

    Example: labtech plan experiments.py:evaluation --tasks
    """
    part = read_shard(shard)
    resolved = read_config(config, profile, storage, sets, workers=workers)
    chosen = chosen_format(format, json, FORMATS)
    reruns = rerun, rerun_targets, rerun_stale
    runs = show_plan(resolved, targets, param, grid, reruns, chosen, tasks=tasks, output=output, shard=part)
    if check and runs:
        raise typer.Exit(1)


def show_plan(
    config: Config,
    targets: Sequence[str],
    params: Sequence[str] | None,
    grids: Sequence[str] | None,
    reruns: tuple[bool, bool, bool],
    format: str,
    *,
    tasks: bool = False,
    output: Path | None = None,
    shard: Shard | None = None,
    failed: bool = False,
) -> int:
    """Plan and print; how many tasks would run."""
    with data_stream(output) as out:
        found = find_targets(targets, config, params, grids)
        from labtech_cli.core.plan import Action, Policy
        from labtech_cli.report.tables import write_json, write_rows

        lab = make_lab(config, found)
        if failed:
            from labtech_cli.cli.failed import only_failed

            found = only_failed(lab, found)
        found, prepared = prepare(lab, found, Policy(*reruns), shard, look=True)
        demands, refusal = _demands(lab, prepared)
        if format == "json":
            write_json(_document(lab, prepared, demands, found.names), out)
        else:
            rows = _type_rows(prepared)
            if tasks or format == "jsonl":
                rows = task_rows(lab, prepared, flat=format != "jsonl", whole=format == "csv")
            write_rows(rows, None, format, out, schema=SCHEMA, key="tasks" if tasks else "types")
            if format == "table":
                out.flush()
                print(_totals(lab, prepared, demands), file=sys.stderr)
            _warn(lab, prepared, refusal)
        lab.close()
    return prepared.plan.counts[Action.RUN]


def _demands(lab: Lab, prepared: Prepared) -> tuple[Demands, str]:
    """What a run's tasks take of what is scarce here; where it would be refused, that they take nothing, and why."""
    from labtech_cli.core.schedule import Demands
    from labtech_cli.errors import LabError

    try:
        return prepared.budget(lab.resources, lab.workers).demands(), ""
    except LabError as error:
        return Demands(), str(error)


def _warn(lab: Lab, prepared: Prepared, refusal: str) -> None:
    """Say what a run would, and where the code cannot be followed."""
    from labtech_cli.report.words import count

    refused = "; a run would be refused: on_code_change is 'error'" if lab.on_code_change == "error" else ""
    for message in prepared.staleness.messages(prepared.plan) if lab.on_code_change != "ignore" else ():
        print(f"warning: {message}{refused}", file=sys.stderr)
    if refusal:
        print(f"warning: a run here would be refused: {refusal}", file=sys.stderr)
    unsure = {place for known in prepared.staleness.codes.types.values() for place in known.unsure}
    if unsure:
        places = count(len(unsure), "place")
        print(f"changes beyond {places} in the code would go unseen: 'labtech why' lists them", file=sys.stderr)


def _document(lab: Lab, prepared: Prepared, demands: Demands, names: Sequence[str]) -> dict[str, Any]:
    wall, critical = prepared.estimate(lab.workers, demands) if prepared.known else (None, None)
    return {
        "schema": SCHEMA,
        "targets": list(names),
        "counts": {action.value: count for action, count in prepared.plan.counts.items()},
        "types": _type_rows(prepared),
        "tasks": task_rows(lab, prepared),
        "estimated_wall_seconds": wall,
        "critical_path_seconds": critical,
    }


def _type_rows(prepared: Prepared) -> list[dict[str, Any]]:
    return [
        {"type": name.rpartition(".")[2], **{action.value: count for action, count in counts.items()}}
        for name, counts in prepared.plan.by_type().items()
    ]


def task_rows(lab: Lab, prepared: Prepared, *, flat: bool = False, whole: bool = True) -> list[dict[str, Any]]:
    """Each task with its action and the reason for it; `flat`: parameters as one text, short unless `whole`."""
    from labtech_cli.cli.reasons import Reasons
    from labtech_cli.core.plan import Action
    from labtech_cli.core.present import params_json, render

    graph, plan = prepared.plan.graph, prepared.plan
    reason = Reasons(lab, prepared)
    rows = []
    for number, task in enumerate(graph.tasks):
        row: dict[str, Any] = {
            "action": plan.actions[number].value,
            "reason": reason(number),
            "key": task._labtech_key,
        }
        if flat:
            row = {**row, "task": render(task)} if whole else {**row, "key": row["key"][:12], "task": render(task, 100)}
        else:
            runs = plan.actions[number] is Action.RUN
            row = {
                "key": task._labtech_key,
                "type": type(task).__labtech__.label,
                "params": params_json(task),
                "action": plan.actions[number].value,
                "reason": row["reason"],
                "dependencies": [graph.tasks[dep]._labtech_key for dep in graph.deps[number]],
                "estimated_seconds": prepared.timings.of(task) if runs else None,
            }
        rows.append(row)
    return rows


def _totals(lab: Lab, prepared: Prepared, demands: Demands) -> str:
    from labtech_cli.core.plan import Action
    from labtech_cli.report.words import duration

    counts = prepared.plan.counts
    text = f"{counts[Action.RUN]} to run, {counts[Action.LOAD]} to load, {counts[Action.UNTOUCHED]} untouched"
    if counts[Action.RUN] and prepared.known:
        wall, critical = prepared.estimate(lab.workers, demands)
        cpu = sum([prepared.seconds[number] for number in prepared.plan.numbers(Action.RUN)])
        text += (
            f"; about {duration(wall)} with {lab.workers} workers"
            f" ({duration(cpu)} of work, critical path {duration(critical)})"
        )
    return text
