"""A small project whose results are of every kind: small, large, of each format, replaced, not kept."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import numpy as np

import labtech_cli as labtech
from labtech_cli import JoblibCache

N = 20_000  # numbers of a large array: more than a row of the index holds


def note(folder: str, name: str) -> None:
    Path(folder, f"{name}.{os.getpid()}.{time.monotonic_ns()}").touch()


@labtech.task
class Small:
    marks: str
    number: int

    def run(self) -> int:
        note(self.marks, f"small-{self.number}")
        return self.number


@labtech.task
class Large:
    marks: str
    number: int

    def run(self) -> Any:
        note(self.marks, f"large-{self.number}")
        return {"array": np.full(N, self.number), "text": "x" * 100_000}


@labtech.task(cache=JoblibCache())
class Joblib:
    marks: str
    number: int

    def run(self) -> Any:
        note(self.marks, f"joblib-{self.number}")
        return np.full(N, self.number)


@labtech.task(cache=None)
class Passing:
    marks: str

    def run(self) -> int:
        return 7


@labtech.task
class Sum:
    marks: str
    parts: list[Any]

    def run(self) -> int:
        note(self.marks, "sum")
        return sum(int(value_of(part.result)) for part in self.parts)


def value_of(result: Any) -> Any:
    if isinstance(result, dict):
        result = result["array"]
    return result if isinstance(result, int) else result[0]


def project(marks: str) -> list[Any]:
    parts = [Small(marks, 1), Large(marks, 2), Joblib(marks, 3), Passing(marks)]
    return [*parts[:3], Sum(marks, parts)]


VALUES = [1, 2, 3, 13]
