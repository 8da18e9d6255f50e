"""`labtech why`: why a task would run again or not, with the nearest result and the exact difference."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
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
from labtech_cli.cli.shared import (
    GridOption,
    ParamOption,
    data_stream,
    find_targets,
    load_module,
    make_lab,
    read_config,
)
from labtech_cli.errors import ConfigError

if TYPE_CHECKING:
    from labtech_cli.cli.explain import Explainer, Explanation
    from labtech_cli.project.config import Config

app = typer.Typer(rich_markup_mode=None, add_completion=False)
SCHEMA = "labtech.why/1"


@app.command()
def why(
    what: Annotated[list[str], typer.Argument(metavar="TARGET|KEY...", help="Targets, or keys of results.")],
    param: ParamOption = None,
    grid: GridOption = None,
    limit: Annotated[int, typer.Option("--limit", metavar="N", min=0, help="At most N tasks.")] = 10,
    diff: Annotated[bool, typer.Option("--diff/--no-diff", help="Whether to show how code changed.")] = True,
    module: Annotated[
        list[str] | None,
        typer.Option("--module", "-m", metavar="FILE", help="Compare keys with the task types of this module."),
    ] = None,
    config: ConfigOption = None,
    profile: ProfileOption = None,
    storage: StorageOption = None,
    sets: SetOption = None,
    format: FormatOption = None,
    json: JsonOption = False,
    output: OutputOption = None,
) -> None:
    """Say why tasks would run again or not (formats: table, json). Runs and writes nothing.

    Example: labtech why experiments.py:evaluation --no-diff
    """
    resolved = read_config(config, profile, storage, sets)
    chosen = chosen_format(format, json, ("table", "json"))
    with data_stream(output) as out:
        explainer, todo = _todo(resolved, what, param, grid, module or ())
        found = [explain(item) for explain, item in todo[:limit]]
        from labtech_cli.cli.whytext import as_json, lines
        from labtech_cli.report.progress import use_colour
        from labtech_cli.report.tables import write_json

        if chosen == "json":
            document = {"schema": SCHEMA, "storage": explainer.lab.storage.describe(), "total": len(todo)}
            write_json({**document, "tasks": [as_json(item, explainer) for item in found]}, out)
        else:
            _write(found, lines, explainer, diff, use_colour(out, os.environ), out)
        explainer.lab.close()
    if len(todo) > limit and chosen != "json":
        print(f"… and {len(todo) - limit:,} more tasks: --limit N shows more of them", file=sys.stderr)


def _write(found: Sequence[Explanation], lines: Any, explainer: Explainer, diff: bool, colour: bool, out: Any) -> None:
    for place, item in enumerate(found):
        out.write("\n" if place else "")
        out.writelines(line + "\n" for line in lines(item, explainer, diff=diff, colour=colour))


def _todo(
    config: Config,
    what: Sequence[str],
    params: Sequence[str] | None,
    grids: Sequence[str] | None,
    modules: Sequence[str],
) -> tuple[Explainer, list[tuple[Any, Any]]]:
    """What is to be explained, and by what; tasks that a run would not just load come first."""
    keys = [text for text in what if text not in config.targets and _is_key(text)]
    names = [text for text in what if text not in keys]
    if not names and (params or grids):
        raise ConfigError("--param and --grid are for targets, and only keys are named", hint="name a target")
    targets = find_targets(names, config, params, grids) if names else None
    from labtech_cli.cli.catalogue import types_of
    from labtech_cli.cli.explain import Explainer

    types = types_of(load_module(name) for name in modules)
    lab = make_lab(config, targets)
    prepared = lab.prepare(targets.tasks) if targets else None
    explainer = Explainer(lab, prepared, types)
    todo: list[tuple[Any, Any]] = [(explainer.key, key) for key in _whole(keys, explainer)]
    if prepared is not None:
        graph, plan, stale = prepared.plan.graph, prepared.plan, prepared.staleness.stale
        calm = {n for n in graph.targets if plan.actions[n] == "load" and graph.tasks[n]._labtech_key not in stale}
        todo += [(explainer.task, number) for number in sorted(graph.targets, key=calm.__contains__)]
    return explainer, todo


def _is_key(text: str) -> bool:
    """Whether this begins a key: it may, and there is no module of that name. Imports nothing."""
    from importlib.machinery import PathFinder

    from labtech_cli.cli.filters import is_key

    return is_key(text) and PathFinder.find_spec(text, [os.getcwd(), *sys.path]) is None


def _whole(keys: Sequence[str], explainer: Explainer) -> Iterator[str]:
    """The keys of described tasks that these are the beginnings of."""
    for text in keys:
        found = [key for key in explainer.described if key.startswith(text)]
        if len(found) > 1:
            shown = ", ".join(key[: len(text) + 4] for key in found[:5])
            raise ConfigError(f"key '{text}' is ambiguous: {len(found)} tasks", hint=f"go on with {shown}")
        if not found:
            place = explainer.lab.storage.describe()
            raise ConfigError(
                f"no task in the storage '{place}' has the key '{text}', and there is no module of that name",
                hint="see 'labtech cache ls' for the keys",
            )
        yield found[0]
