"""`labtech runs`: what ran, how it ended, and what it printed."""

from __future__ import annotations

import sys
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
    unknown_choice,
)
from labtech_cli.cli.shared import data_stream, make_lab, read_config
from labtech_cli.errors import ConfigError, TargetError, did_you_mean

if TYPE_CHECKING:
    from labtech_cli.project.config import Config
    from labtech_cli.report.past import Past

app = typer.Typer(
    rich_markup_mode=None,
    add_completion=False,
    no_args_is_help=True,
    help="The run history: what ran, how it ended, what it printed.",
)
FORMATS = ("table", "json", "jsonl", "csv", "md")
STATUSES = ("succeeded", "failed", "interrupted", "running", "died", "unknown")
LIMIT = 20
RunArgument = Annotated[
    str | None, typer.Argument(metavar="[RUN]", help="A run, or the beginning of its id; the last one if not given.")
]


@app.command("ls")
def ls(
    status: Annotated[
        str | None, typer.Option("--status", metavar="STATUS", help="Only runs that ended so: failed, died, ...")
    ] = None,
    limit: Annotated[int, typer.Option("--limit", metavar="N", min=0, help="At most N runs; 0 for all.")] = LIMIT,
    config: ConfigOption = None,
    profile: ProfileOption = None,
    storage: StorageOption = None,
    sets: SetOption = None,
    format: FormatOption = None,
    json: JsonOption = False,
    output: OutputOption = None,
) -> None:
    """List runs, newest first (formats: table, json, jsonl, csv, md).

    Example: labtech runs ls --status failed
    """
    resolved = read_config(config, profile, storage, sets)
    chosen = chosen_format(format, json, FORMATS)
    if status is not None and status not in STATUSES:
        raise unknown_choice("--status", status, STATUSES)
    with data_stream(output) as out:
        from labtech_cli.cli.runstext import document, row
        from labtech_cli.report.past import past_runs
        from labtech_cli.report.tables import write_rows
        from labtech_cli.runs import status as status_of

        found: list[dict[str, Any]] = []
        more = False
        for run in past_runs(history_of(resolved)):
            state = status_of(run)
            if status in (None, state):
                more = bool(limit) and len(found) == limit
                if more:
                    break
                found.append(document(run, state))
        shown = [row(item) for item in found] if chosen in ("table", "md") else found
        write_rows(shown, None, chosen, out, schema="labtech.runs/1", key="runs")
        out.flush()
        if more:
            print(f"only the newest {limit}: --limit shows more", file=sys.stderr)
        elif not found:
            print("no such run" if status else "no run is kept yet", file=sys.stderr)


@app.command("show")
def show(
    run: RunArgument = None,
    config: ConfigOption = None,
    profile: ProfileOption = None,
    storage: StorageOption = None,
    sets: SetOption = None,
    json: JsonOption = False,
    output: OutputOption = None,
) -> None:
    """Show one run: its counts, its failures with each attempt, its slowest tasks.

    Example: labtech runs show
    """
    resolved = read_config(config, profile, storage, sets)
    with data_stream(output) as out:
        from labtech_cli.cli.runstext import RunText, document
        from labtech_cli.report.tables import safe, write_json
        from labtech_cli.runs import status as status_of

        found = find_run(history_of(resolved), run)
        state = status_of(found)
        stories = found.stories()
        text = RunText(document(found, state), list(found.events()), list(stories.values()))
        if json:
            write_json(text.as_json(), out)
        else:
            out.writelines(safe(line) + "\n" for line in text.lines(log_command(config, profile, storage, sets)))


@app.command("logs")
def logs(
    names: Annotated[
        list[str] | None,
        typer.Argument(metavar="[RUN] [TYPE|KEY]...", help="A run (if not given: the last), and tasks of it (all)."),
    ] = None,
    failed: Annotated[bool, typer.Option("--failed", help="Only of tasks that failed.")] = False,
    tail: Annotated[
        int | None, typer.Option("--tail", metavar="N", min=0, help="Only the last N lines of each task.")
    ] = None,
    config: ConfigOption = None,
    profile: ProfileOption = None,
    storage: StorageOption = None,
    sets: SetOption = None,
) -> None:
    """Print what tasks printed, each by itself, as they printed it.

    Example: labtech runs logs --failed --tail 20
    """
    resolved = read_config(config, profile, storage, sets)
    with data_stream() as out:
        from labtech_cli.cli.runlogs import choose, write_logs
        from labtech_cli.report.past import run_names

        folder = history_of(resolved)
        given = list(names or ())
        is_run = bool(given) and any(name.startswith(given[0]) for name in run_names(folder))
        run = find_run(folder, given.pop(0) if is_run or given[:1] == ["last"] else None)
        write_logs(run, choose(run, given, failed), out, tail, named=bool(given))


def history_of(config: Config) -> Path:
    """The folder that keeps the history of the lab's runs. Raises `ConfigError` where none does."""
    storage = make_lab(config).storage
    folder = storage.history()
    if folder is None:
        raise ConfigError(f"storage '{storage.describe()}' keeps no run history", hint="name another with --storage")
    return folder


def find_run(folder: Path, name: str | None) -> Past:
    """The run that a name stands for: the last one for None, else by any unambiguous beginning of its id."""
    from labtech_cli.report.past import past_run, run_names

    known = run_names(folder)
    if not known:
        raise TargetError(f"no run is kept in '{folder}' yet")
    if name in (None, "last"):
        return past_run(folder, known[0])
    found = [item for item in known if item.startswith(str(name))]
    if not found:
        raise TargetError(f"there is no run '{name}'", hint=did_you_mean(str(name), known))
    if len(found) > 1:
        raise TargetError(f"'{name}' is the beginning of {len(found)} runs", hint=did_you_mean("", found, most=4))
    return past_run(folder, found[0])


def log_command(config: Path | None, profile: str | None, storage: str | None, sets: list[str] | None) -> str:
    """How a command about the same lab begins: with `labtech runs logs` and the options that select the lab."""
    import shlex

    chosen = [
        ("--config", config),
        ("--profile", profile),
        ("--storage", storage),
        *(("-s", item) for item in sets or ()),
    ]
    options = [word for name, value in chosen if value is not None for word in (name, shlex.quote(str(value)))]
    return " ".join(["labtech runs logs", *options])
