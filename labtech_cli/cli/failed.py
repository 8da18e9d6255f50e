"""`--failed`: of the targets and all that they depend on, what failed when it was last run."""

from __future__ import annotations

import dataclasses
import sys
from typing import TYPE_CHECKING, Annotated

import typer

from labtech_cli.errors import ConfigError

if TYPE_CHECKING:
    from labtech_cli.lab import Lab
    from labtech_cli.project.targets import Targets

FailedOption = Annotated[
    bool, typer.Option("--failed", help="Only what failed, or was skipped for it, when it was last run.")
]


def only_failed(lab: Lab, found: Targets) -> Targets:
    """The targets replaced by those tasks; none, and a word on stderr, where nothing failed."""
    from labtech_cli.core.graph import Graph
    from labtech_cli.runs import failed_last

    folder = lab.storage.history()
    if folder is None:
        raise ConfigError(
            f"--failed needs a run history, and storage '{lab.storage.describe()}' keeps none",
            hint="run without --failed, or name another storage",
        )
    graph = Graph(found.tasks)
    failed, known = failed_last(folder, [task.cache_key for task in graph.tasks])
    if not failed:
        why = "no task of these targets failed when it was last run" if known else "they were never run"
        print(f"nothing to do: {why}", file=sys.stderr)
    return dataclasses.replace(found, tasks=[task for task in graph.tasks if task.cache_key in failed])
