"""`labtech init`: a commented configuration and a small runnable module."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from labtech_cli.errors import ConfigError

app = typer.Typer(rich_markup_mode=None, add_completion=False)

CONFIGURATION = """\
# labtech configuration; every key is in the documentation and in `labtech config show`.

[lab]
storage = "labtech_storage"      # where results are kept, relative to this file; "none" keeps nothing
# workers = 4                    # tasks at a time; by default all CPUs
# runner = "process"             # or spawn, fork, fork-per-task, thread, serial
# keep_going = false             # go on after a failure with what does not depend on it
# on_code_change = "warn"        # results whose code changed since: warn, rerun, ignore or error

[context]                        # values for all tasks that do not change results
scale = 1.0

# [context.loaders]              # the same, loaded when a task first asks: "module:function" or "module:value"
# DATASETS = "experiments:load_datasets"

# [mlflow]                       # for task types with @task(mlflow_run=True)
# tracking_uri = "sqlite:///mlflow.db"
# experiment = "my_experiment"

[targets]                        # short names: `labtech run summary`
summary = "experiments.py:summary"
"""

MODULE = '''\
"""A first experiment: estimate pi with different seeds, and average.

Run it with:  labtech run summary
"""

import random

import labtech_cli as labtech


@labtech.task
class Estimate:
    """Estimate pi from random points in a square."""

    seed: int
    points: int = 200_000

    def run(self) -> float:
        generator = random.Random(self.seed)
        inside = sum(generator.random() ** 2 + generator.random() ** 2 < 1 for _ in range(self.points))
        return 4 * inside / self.points


@labtech.task
class Summary:
    """The mean of all estimates. Tasks as a parameter are dependencies: they run first."""

    estimates: list[Estimate]

    def run(self) -> dict[str, float]:
        values = [estimate.result for estimate in self.estimates]
        return {"mean": sum(values) / len(values), "lowest": min(values), "highest": max(values)}


estimates = [Estimate(seed=seed) for seed in range(8)]
summary = Summary(estimates=estimates)
'''


@app.command()
def init(
    folder: Annotated[Path, typer.Argument(metavar="[DIR]", help="The project's folder; made if needed.")] = Path(),
    force: Annotated[bool, typer.Option("--force", help="Overwrite files that exist.")] = False,
) -> None:
    """Write a commented labtech.toml and a small runnable experiments.py.

    Example: labtech init demo && cd demo && labtech run summary
    """
    files = {folder / "labtech.toml": CONFIGURATION, folder / "experiments.py": MODULE}
    existing = [str(path) for path in files if path.exists()]
    if existing and not force:
        raise ConfigError(f"{existing[0]} exists already", hint="nothing was written; --force overwrites")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for path, text in files.items():
            path.write_text(text, encoding="utf-8")
            print(f"wrote {path}", file=sys.stderr)
    except OSError as error:
        raise ConfigError(f"cannot write to '{folder}': {(error.strerror or str(error)).lower()}") from None
    enter = f"cd {folder} && " if folder != Path() else ""
    print(f"try: {enter}labtech run summary", file=sys.stderr)
