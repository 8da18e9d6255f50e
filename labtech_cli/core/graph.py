"""Tasks by number, dependencies by number.

A graph is built once from its targets, dependencies first, so every number is larger than those it
depends on. There are no cycles to detect: a frozen value cannot contain itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from labtech_cli.core.order import dependencies_first


class Graph:
    """Distinct tasks numbered from 0 in an order in which they can run."""

    __slots__ = ("deps", "index", "targets", "tasks")

    def __init__(self, targets: Iterable[Any]) -> None:
        asked = list(targets)
        self.tasks: list[Any] = list(dependencies_first(asked))
        self.index: dict[str, int] = {task._labtech_key: number for number, task in enumerate(self.tasks)}
        index = self.index
        self.deps: list[tuple[int, ...]] = [
            tuple([index[item._labtech_key] for item in task._labtech_deps]) if task._labtech_deps else ()
            for task in self.tasks
        ]
        self.targets: list[int] = list(dict.fromkeys(index[task._labtech_key] for task in asked))

    def __len__(self) -> int:
        return len(self.tasks)

    def dependents(self, among: Sequence[bool] | bytearray) -> list[list[int]]:
        """For each number, the numbers that depend on it, counting only those marked in `among`."""
        found: list[list[int]] = [[] for _ in self.tasks]
        for number, deps in enumerate(self.deps):
            if deps and among[number]:
                for dep in deps:
                    found[dep].append(number)
        return found
