"""The graphs of the workloads as plain data, for every peer; `tests/bench/tasks.py` has the same as labtech tasks."""

from __future__ import annotations

import random
from typing import NamedTuple


class Node(NamedTuple):
    """One task: how long it sleeps, and where in the list its dependencies are (always further up)."""

    number: int
    milliseconds: int = 0
    deps: tuple[int, ...] = ()


def flat(n: int) -> list[Node]:
    return [Node(number) for number in range(n)]


def chain(n: int) -> list[Node]:
    return [Node(number, 0, (number - 1,) if number else ()) for number in range(n)]


def ladder(levels: int) -> list[Node]:
    """Two tasks a level, both depend on both below: 2^levels paths."""
    below = [(2 * level - 2, 2 * level - 1) if level else () for level in range(levels)]
    return [Node(2 * level + side, 0, below[level]) for level in range(levels) for side in (0, 1)]


def layered(width: int, layers: int = 10) -> list[Node]:
    """Layers of `width`, every task depends on 5 random ones of the layer below."""
    chosen = random.Random(1)
    nodes = flat(width)
    for level in range(1, layers):
        below = range((level - 1) * width, level * width)
        nodes += [Node(level * width + i, 0, tuple(chosen.sample(below, min(5, width)))) for i in range(width)]
    return nodes


def heavy_tailed(n: int, length: int = 20) -> list[Node]:
    """Sleeps of 20 ms to 4 s, many short and few long, and a chain of 20 of 400 ms each."""
    chosen = random.Random(2)
    nodes = [Node(number, min(4000, int(20 * chosen.paretovariate(0.9)))) for number in range(n)]
    return nodes + [Node(n + i, 400, (n + i - 1,) if i else ()) for i in range(length)]


def ideal_makespan(nodes: list[Node], workers: int = 2) -> float:
    """Seconds that no schedule can beat: the critical path, or all sleeps spread evenly."""
    ends: list[int] = []
    for node in nodes:
        ends.append(node.milliseconds + max([ends[dep] for dep in node.deps], default=0))
    return max(max(ends), sum([node.milliseconds for node in nodes]) / workers) / 1000


SHAPES = {
    "flat": flat,
    "warm": flat,
    "chain": chain,
    "ladder": ladder,
    "layered": layered,
    "makespan": heavy_tailed,
}
