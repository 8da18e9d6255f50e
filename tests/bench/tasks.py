"""The workloads as labtech tasks. Copied into the scratch folder of each run."""

from __future__ import annotations

import random
import time
from dataclasses import dataclass
from typing import Any

import labtech_cli as labtech


@labtech.task
class Double:
    n: int

    def run(self) -> int:
        return self.n * 2


@labtech.task
class Node:
    n: int
    deps: tuple[Any, ...] = ()

    def run(self) -> int:
        return (self.n + sum([dep.result for dep in self.deps])) % 1000


@labtech.task
class Sleep:
    n: int
    milliseconds: int
    deps: tuple[Any, ...] = ()

    def run(self) -> int:
        time.sleep(self.milliseconds / 1000)
        return self.n


@dataclass
class Held:
    """A result that is no array, but has one."""

    name: str
    values: Any


@labtech.task
class Array:
    megabytes: int
    form: str = "array"

    def run(self) -> Any:
        import numpy as np

        values = np.ones(max(1, self.megabytes * 131_072))
        if self.form == "dict":
            return {"name": "ones", "values": values}
        if self.form == "dataclass":
            return Held("ones", values)
        if self.form == "frame":
            import pandas as pd

            return pd.DataFrame({"values": values}, copy=False)
        return values


@labtech.task
class Mean:
    n: int
    array: Array

    def run(self) -> float:
        found = self.array.result
        if isinstance(found, Held):
            return float(found.values.mean())
        if self.array.form == "frame":
            return float(found["values"].to_numpy().mean())  # frames take means in their own, slower way
        return float(found["values"].mean() if self.array.form == "dict" else found.mean())


def flat(n: int = 10_000) -> list[Double]:
    return [Double(number) for number in range(n)]


def chain(n: int = 10_000) -> Node:
    last = Node(0)
    for number in range(1, n):
        last = Node(number, (last,))
    return last


def ladder(levels: int = 1_000) -> list[Node]:
    left, right = Node(0), Node(1)
    for level in range(1, levels):
        left, right = Node(2 * level, (left, right)), Node(2 * level + 1, (left, right))
    return [left, right]


def layered(width: int = 200, layers: int = 10) -> list[Node]:
    chosen = random.Random(1)
    layer = [Node(number) for number in range(width)]
    for level in range(1, layers):
        layer = [Node(level * width + number, tuple(chosen.sample(layer, min(5, width)))) for number in range(width)]
    return layer


def consumers(megabytes: int = 400, n: int = 16, form: str = "array") -> list[Mean]:
    array = Array(megabytes, form)
    return [Mean(number, array) for number in range(n)]


def heavy_tailed(n: int = 200, length: int = 20) -> list[Sleep]:
    """Sleeps of 20 ms to 4 s, many short and few long, and a chain of 20 of 400 ms each: work enough that starting
    up is not what is measured."""
    chosen = random.Random(2)
    tasks = [Sleep(number, min(4000, int(20 * chosen.paretovariate(0.9)))) for number in range(n)]
    link = Sleep(n, 400)
    for number in range(n + 1, n + length):
        link = Sleep(number, 400, (link,))
    return [*tasks, link]


def three() -> list[Double]:
    return flat(3)
