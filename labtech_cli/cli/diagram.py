"""`labtech diagram`: the task types of targets as a picture."""

from __future__ import annotations

from typing import Annotated

import typer

from labtech_cli.cli.options import ConfigOption, OutputOption, ProfileOption, SetOption, StorageOption
from labtech_cli.cli.shared import GridOption, ParamOption, TargetsArgument, data_stream, find_targets, read_config

app = typer.Typer(rich_markup_mode=None, add_completion=False)


@app.command()
def diagram(
    targets: TargetsArgument,
    param: ParamOption = None,
    grid: GridOption = None,
    direction: Annotated[str, typer.Option("--direction", metavar="DIR", help="BT, TB, LR or RL.")] = "BT",
    config: ConfigOption = None,
    profile: ProfileOption = None,
    storage: StorageOption = None,
    sets: SetOption = None,
    output: OutputOption = None,
) -> None:
    """Draw the task types of targets and how they depend on each other, as a Mermaid class diagram.

    Example: labtech diagram experiments.py:evaluation -o diagram.mmd
    """
    resolved = read_config(config, profile, storage, sets)
    with data_stream(output) as out:
        found = find_targets(targets, resolved, param, grid)
        from labtech_cli.report.diagram import build_task_diagram

        out.write(build_task_diagram(found.tasks, direction=direction) + "\n")
