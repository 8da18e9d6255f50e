"""What the tasks of a run take of what is scarce, in groups that take the same."""

from __future__ import annotations

from collections.abc import Sequence

from labtech_cli.core.graph import Graph
from labtech_cli.core.schedule import Demands


def demands(graph: Graph, runs: Sequence[int] | bytearray) -> Demands:
    """Which tasks are limited: those of a type with `max_parallel`."""
    groups: dict[int, int] = {}
    totals: list[float] = []
    seen: dict[type, int] = {}
    if any(kind.__labtech__.max_parallel for kind in {type(task) for task in graph.tasks}):
        for number, task in enumerate(graph.tasks):
            most = type(task).__labtech__.max_parallel
            if most is not None and runs[number]:
                if type(task) not in seen:
                    seen[type(task)] = len(totals)
                    totals.append(most)
                groups[number] = seen[type(task)]
    return Demands(groups, [[(kind, 1)] for kind in range(len(totals))], totals)
