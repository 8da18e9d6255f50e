"""`labtech run`: plan the targets, run what is needed, show what came out."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TextIO

import typer

from labtech_cli.cli.failed import FailedOption, only_failed
from labtech_cli.cli.options import ConfigOption, ProfileOption, SetOption, StorageOption, unknown_choice
from labtech_cli.cli.shards import ShardOption, prepare, read_shard
from labtech_cli.cli.shared import (
    GridOption,
    ParamOption,
    RunnerOption,
    TargetsArgument,
    WorkersOption,
    data_stream,
    find_targets,
    make_lab,
    read_config,
)
from labtech_cli.errors import CacheError, ConfigError, type_and_words

if TYPE_CHECKING:
    from labtech_cli.outcome import RunResult
    from labtech_cli.project.config import Config

app = typer.Typer(rich_markup_mode=None, add_completion=False)
PROGRESS = ("auto", "live", "plain", "none")
SHOW = ("auto", "all", "none")
MOST_SHOWN = 60  # rows of the targets' results that `--show auto` prints


@app.command()
def run(
    targets: TargetsArgument,
    param: ParamOption = None,
    grid: GridOption = None,
    workers: WorkersOption = None,
    runner: RunnerOption = None,
    keep_going: Annotated[
        bool | None,
        typer.Option("--keep-going/--no-keep-going", "-k", help="Go on with what a failure does not touch."),
    ] = None,
    max_failures: Annotated[
        int | None, typer.Option("--max-failures", metavar="N", min=1, help="Start nothing new after N failures.")
    ] = None,
    retries: Annotated[
        int | None, typer.Option("--retries", metavar="N", min=0, help="Run failed tasks again, up to N times.")
    ] = None,
    timeout: Annotated[
        str | None, typer.Option("--timeout", metavar="DURATION", help="End tasks that take longer: 90s, 2h.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", "-n", help="Only show the plan.")] = False,
    rerun: Annotated[bool, typer.Option("--rerun", "-B", help="Ignore cached results, for all tasks.")] = False,
    rerun_targets: Annotated[
        bool, typer.Option("--rerun-targets", help="Ignore cached results, for the named targets only.")
    ] = False,
    rerun_stale: Annotated[
        bool, typer.Option("--rerun-stale", help="Ignore cached results whose code has changed since.")
    ] = False,
    failed: FailedOption = False,
    shard: ShardOption = None,
    progress: Annotated[str, typer.Option("--progress", metavar="MODE", help="auto, live, plain or none.")] = "auto",
    show: Annotated[
        str, typer.Option("--show", metavar="HOW", help="Results of the targets to print: auto, all or none.")
    ] = "auto",
    json: Annotated[bool, typer.Option("--json", help="Write one event a line to stdout.")] = False,
    events: Annotated[
        Path | None, typer.Option("--events", metavar="FILE", help="Write one event a line to a file.")
    ] = None,
    junit_xml: Annotated[
        Path | None, typer.Option("--junit-xml", metavar="FILE", help="Write the outcome as JUnit XML.")
    ] = None,
    config: ConfigOption = None,
    profile: ProfileOption = None,
    storage: StorageOption = None,
    sets: SetOption = None,
) -> None:
    """Run targets and what they depend on; cached results are used.

    Example: labtech run experiments.py:Train --grid lr=0.1,0.2 -j 4 --keep-going
    """
    _check("--progress", progress, PROGRESS)
    _check("--show", show, SHOW)
    part = read_shard(shard)
    if failed and part is not None:
        raise ConfigError("--failed and --shard contradict each other", hint="each machine knows only its own failures")
    flags = {"workers": workers, "runner": runner, "keep_going": keep_going, "retries": retries, "timeout": timeout}
    resolved = read_config(config, profile, storage, sets, **flags)
    if dry_run:
        from labtech_cli.cli.plan import show_plan

        reruns = rerun, rerun_targets, rerun_stale
        show_plan(resolved, targets, param, grid, reruns, "json" if json else "table", shard=part, failed=failed)
        return
    with data_stream() as out, _zygote(resolved, targets) as zygote:
        found = find_targets(targets, resolved, param, grid)
        from labtech_cli.cli.reporters import Readers, rerun_command
        from labtech_cli.cli.runs import log_command
        from labtech_cli.core.plan import Policy
        from labtech_cli.run import family

        lab = make_lab(resolved, found)
        if failed and not (found := only_failed(lab, found)).tasks:
            lab.close()
            return
        found, prepared = prepare(lab, found, Policy(rerun, rerun_targets, rerun_stale), part)
        reporters, reader_left = Readers(
            progress,  # type: ignore[arg-type]
            out if json else None,
            events,
            junit_xml,
            rerun_command(sys.argv[1:]) if part is None else None,  # what is left would be split anew
            log_command(config, profile, storage, sets) if lab.keeps_history else None,
        ).make()
        family.own_process = True
        done = lab.execute(
            prepared,
            reporters,
            rules=lab.rules(max_failures),
            names=found.names,
            zygote=zygote,
        )
        if part is not None and not lab.storage.exists():
            lab.storage.check_writable()  # there to be joined with the others', though nothing was to do
        if not json and show != "none" and not done.interrupted:
            show_results(done, found.tasks, out, None if show == "all" else MOST_SHOWN)
        lab.close()
        if reader_left():
            raise BrokenPipeError
    if done.exit_code:
        raise typer.Exit(done.exit_code)


def show_results(done: RunResult, tasks: Sequence[Any], out: TextIO, most: int | None) -> None:
    """The targets' results as one table; at most `most` rows of it. One that cannot be shown is a warning: the run
    has ended, and said how."""
    from labtech_cli.report.tables import write_rows

    rows: list[dict[str, Any]] = []
    several = len({type(task) for task in tasks}) > 1
    for task in tasks:
        if done.has(task):
            for row in _rows(done, task):
                rows.append({"task": type(task).__labtech__.label, **row} if several else row)
            if most is not None and len(rows) > most:
                break
    if not rows:
        return
    shown = rows if most is None else rows[:most]
    write_rows(shown, None, "table", out, schema="labtech.results/1", key="results")
    if len(rows) > len(shown):
        print("… more rows: --show all prints them, 'labtech results' writes them as JSON or CSV", file=sys.stderr)


def _rows(done: RunResult, task: Any) -> list[dict[str, Any]]:
    from labtech_cli.core.present import render
    from labtech_cli.report.results import result_rows

    try:
        return result_rows(task, done.result(task))
    except (Exception, SystemExit) as error:  # whatever it does while it is unpickled
        told = str(error) if isinstance(error, CacheError) else type_and_words(error)
        name = render(task, 100)
        if name not in told:
            told = f"the result of {name} cannot be shown: {told}"
        print(f"warning: {told}", file=sys.stderr)
        return []


@contextmanager
def _zygote(config: Config, targets: Sequence[str]) -> Iterator[Any]:
    """For the default runner: start the process that workers come from before the modules are imported
    here, so that both import the same packages at the same time (never the user's own modules)."""
    if config["lab.runner"] != "process" or sys.platform != "linux":
        yield None
        return
    from labtech_cli.project.packages import packages_of
    from labtech_cli.run.machine import cpu_count
    from labtech_cli.run.starters import ZygoteStarter

    workers = config["lab.workers"] or cpu_count()
    zygote = ZygoteStarter(workers, workers, config["resources.cpus"])
    try:
        zygote.preload(packages_of(targets, config.targets, Path.cwd()), sys.path)
        yield zygote
    finally:
        zygote.close()


def _check(option: str, value: str, allowed: Sequence[str]) -> None:
    if value not in allowed:
        raise unknown_choice(option, value, allowed)
