"""What a workload is: the commands that compete, what is measured of them, and the limits."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from pathlib import Path

HERE = Path(__file__).parent


@dataclass(frozen=True)
class Target:
    """A limit on one of the measures that report.py makes of a contender's runs."""

    measure: str
    """ratio (to the reference), wall, cpu (s), rate (tasks/s, at least), task bytes, or copies (of the array)."""
    limit: float


@dataclass(frozen=True)
class Contender:
    """One command of a workload."""

    name: str
    command: list[str] = field(default_factory=list)
    work: int = 0
    """How many tasks (or megabytes) it does: ratios are of the time for each, where the sizes differ."""
    targets: tuple[Target, ...] = ()
    setup: list[str] | None = None
    """Runs first, once for all runs and all contenders with the same, and is not measured."""
    peer: bool = False
    given_seconds: float | None = None
    """Computed, not run."""
    timeout: float = 600.0


@dataclass
class Workload:
    """What is measured. Ratios are to the contender named `reference`, memory is beyond that of `idle`."""

    name: str
    about: str
    contenders: list[Contender]
    reference: str = ""
    idle: str = ""
    unit: str = "tasks"
    tree: bool = False
    """One more run samples the memory of the process tree (which takes CPU time, so the others don't)."""
    warm_up: bool = False
    once: bool = False
    """Too long to be repeated."""


def labtech(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "labtech_cli", *arguments]


def run(target: str, *more: str, runner: str = "process") -> list[str]:
    quiet = ["--show", "none", "--progress", "none", "--runner", runner]
    return labtech("run", f"tasks.py:{target}", "-j", "2", *quiet, *more)


def script(name: str, workload: str, size: int, *more: str, python: str = sys.executable) -> list[str]:
    return [python, str(HERE / "peers" / f"with_{name}.py"), workload, str(size), *more]
