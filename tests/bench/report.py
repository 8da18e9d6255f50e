"""What the runs of a workload come to: medians, ratios and verdicts, as data and as a table."""

from __future__ import annotations

import statistics
from collections.abc import Iterator
from dataclasses import dataclass, field

from tests.bench.measure import Measured
from tests.bench.model import Contender, Target, Workload
from tests.bench.runs import Runs

MEGABYTE = 1 << 20


@dataclass
class Row:
    """One contender's runs, and what is made of them; None where there is nothing to tell."""

    contender: Contender
    timed: list[Measured]
    sampled: list[Measured]
    """The runs that are not timed, since their memory was sampled."""
    failure: str
    measures: dict[str, float] = field(default_factory=dict)

    @property
    def each(self) -> float:
        """Seconds for each task (or megabyte), or for all where they are not counted."""
        return self.measures["wall"] / (self.contender.work or 1)


def rows(workload: Workload, runs: Runs) -> list[Row]:
    found = {contender.name: _row(contender, runs[contender.name]) for contender in workload.contenders}
    reference, idle = found.get(workload.reference), found.get(workload.idle)
    for row in found.values():
        if reference is not None and not reference.failure and not row.failure:
            comparable = reference.contender.work and row.contender.work
            ratio = row.each / reference.each if comparable else row.measures["wall"] / reference.measures["wall"]
            row.measures["ratio"] = ratio
            if reference.contender.given_seconds and "work" in row.measures:
                row.measures["work ratio"] = row.measures["work"] / reference.measures["wall"]
        if idle is not None and not idle.failure and not row.failure:
            row.measures |= dict(_beyond_idle(row, idle))
    return list(found.values())


def _row(contender: Contender, runs: list[Measured]) -> Row:
    failure = next((run.failure for run in runs if run.failure), "")
    good = [run for run in runs if not run.failure]
    row = Row(
        contender, [r for r in good if r.tree_bytes is None], [r for r in good if r.tree_bytes is not None], failure
    )
    if row.timed:
        wall = statistics.median([run.wall_seconds for run in row.timed])
        row.measures = {"wall": wall, "cpu": statistics.median([run.cpu_seconds for run in row.timed])}
        if contender.work:
            row.measures["rate"] = contender.work / wall
        inner = [run.work_seconds for run in row.timed if run.work_seconds is not None]
        if inner:
            row.measures["work"] = statistics.median(inner)
        row.measures["parent"] = max([run.parent_bytes for run in row.timed])
    if row.sampled:
        row.measures["tree"] = max([run.tree_bytes or 0 for run in row.sampled])
    return row


def _beyond_idle(row: Row, idle: Row) -> Iterator[tuple[str, float]]:
    """Memory that is there because of the tasks, where a target asks for it."""
    asked = {target.measure for target in row.contender.targets}
    if "copies" in asked and "tree" in row.measures and "tree" in idle.measures:
        yield "copies", (row.measures["tree"] - idle.measures["tree"]) / (row.contender.work * MEGABYTE)
    if "task bytes" in asked:
        yield "task bytes", (row.measures["parent"] - idle.measures["parent"]) / row.contender.work


def is_met(target: Target, measures: dict[str, float]) -> bool | None:
    """None where it could not be measured."""
    value = measures.get(target.measure)
    if value is None:
        return None
    return value >= target.limit if target.measure == "rate" else value <= target.limit


def as_data(workload: Workload, found: list[Row]) -> dict[str, object]:
    return {
        "workload": workload.name,
        "about": workload.about,
        "reference": workload.reference or None,
        "contenders": [
            {
                "name": row.contender.name,
                "peer": row.contender.peer,
                "command": row.contender.command or None,
                workload.unit: row.contender.work or None,
                "wall_seconds": [run.wall_seconds for run in row.timed],
                "cpu_seconds": [run.cpu_seconds for run in row.timed],
                "work_seconds": [run.work_seconds for run in row.timed],
                "measures": row.measures,
                "targets": [
                    {"measure": target.measure, "limit": target.limit, "met": is_met(target, row.measures)}
                    for target in row.contender.targets
                ],
                "failure": row.failure or None,
            }
            for row in found
        ],
    }


def as_table(workload: Workload, found: list[Row], judged: bool = True) -> Iterator[str]:
    """Lines to print. Targets are for full sizes: otherwise they are not judged."""
    unjudged = "" if judged else "  (scaled: targets are not judged)"
    yield f"{workload.name}  {workload.about}{unjudged}"
    width = max([len(row.contender.name) for row in found]) + 2
    against = f"x {workload.reference}" if workload.reference else ""
    yield f"  {'':<{width}}{'median s':>9}{'min..max':>16}{'CPU s':>9}{workload.unit + '/s':>11}  {against}"
    own = [row for row in found if not row.contender.peer]
    for row in own:
        yield _line(row, width, judged)
    if len(own) < len(found):
        yield "  peers"
    for row in found[len(own) :]:
        yield _line(row, width, judged)


def _line(row: Row, width: int, judged: bool) -> str:
    have = row.measures
    text = f"  {row.contender.name:<{width}}"
    if row.failure:
        return f"{text} FAILED: {row.failure}"
    walls = [run.wall_seconds for run in row.timed]
    text += f"{have['wall']:>9.3f}"
    text += f"{f'{min(walls):.2f}..{max(walls):.2f}':>16}{have['cpu']:>9.2f}" if row.contender.command else " " * 25
    text += f"{have['rate']:>11,.0f}" if "rate" in have else " " * 11
    text += f"  {have['ratio']:<6.2f}" if "ratio" in have else " " * 8
    return (text + "  " + "; ".join([*_notes(have), *(_verdicts(row) if judged else ())])).rstrip()


def _notes(have: dict[str, float]) -> Iterator[str]:
    if "work" in have:
        ratio = f" (x {have['work ratio']:.2f})" if "work ratio" in have else ""
        yield f"{have['work']:.2f} s{ratio} without start-up"
    if "tree" in have:
        yield f"peak {have['tree'] / MEGABYTE:,.0f} MB, parent {have['parent'] / MEGABYTE:,.0f} MB"
    if "copies" in have:
        yield f"{have['copies']:.2f} times the array"
    if "task bytes" in have:
        yield f"parent {have['parent'] / MEGABYTE:,.0f} MB, {have['task bytes']:,.0f} bytes a task"


def _verdicts(row: Row) -> Iterator[str]:
    for target in row.contender.targets:
        verdict = {True: "met", False: "MISSED", None: "not measured"}[is_met(target, row.measures)]
        yield f"{target.measure} {'>=' if target.measure == 'rate' else '<='} {target.limit:,.4g}: {verdict}"
