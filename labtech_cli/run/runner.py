"""What a runner is: it executes tasks somewhere and reports what became of them.

Runners know nothing of storages, schedules or reporters. The loop gives them work as numbers of a
graph with the inputs that are needed, and takes reports.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from labtech_cli.core.events import Active
from labtech_cli.core.graph import Graph
from labtech_cli.errors import RunnerError
from labtech_cli.run.context import ContextSpec
from labtech_cli.run.machine import files_left
from labtech_cli.run.shares import Share
from labtech_cli.run.worker import Input, Outcome, Tracker

_OTHER_FILES = 40  # that a run opens: the storage, the history, reports, and what is open for a moment


class Work(NamedTuple):
    """One task to execute."""

    number: int
    attempt: int
    inputs: dict[int, Input]
    """The results of its dependencies, by number."""
    after: tuple[int, ...] = ()
    """Dependencies that are running where this task is to run (see `Runner.can_follow`)."""
    share: Share | None = None
    """What it is given of the machine, where it said what it needs."""
    timeout: float | None = None
    """Seconds it may take: for runners that end it themselves; the others are told to (`Runner.stop`)."""


class Died(NamedTuple):
    """The process that executed a task ended; its status as `os.waitstatus_to_exitcode` gives it."""

    number: int
    pid: int
    exit_code: int | None
    peak_memory: int | None = None
    """What it was last seen to hold, in bytes, where it was seen."""


class Returned(NamedTuple):
    """Tasks that were handed to a worker and not started: they are ready again."""

    numbers: tuple[int, ...]


class Output(NamedTuple):
    """What a task wrote to stdout and stderr."""

    number: int
    text: bytes


class Note(NamedTuple):
    """Something a tracker tells the parent, such as the id of the MLflow run it opened."""

    number: int
    value: Any


Report = Outcome | Died | Returned | Output | Note


@dataclass(slots=True)
class Setting:
    """What a runner needs to know of a run."""

    graph: Graph
    spool: str
    context: ContextSpec
    workers: int
    modules: Sequence[Any] = ()
    """Places of the modules that define the tasks (`project.modules.ModulePlace`)."""
    tracker: Tracker | None = None
    """Picklable; None when no task of the run is tracked."""
    cpus: int | None = None
    """The CPUs that tasks may use together, where that was said; else what the machine has."""


class Runner(ABC):
    """Executes work. One runner serves one run: `start`, then `submit` and `wait`, then `close`."""

    @abstractmethod
    def start(self, setting: Setting) -> None:
        """Get ready. Workers may be started now or when they are needed."""

    @abstractmethod
    def room(self) -> int:
        """How many more tasks it takes now."""

    def can_follow(self, after: Sequence[int]) -> bool:
        """Whether one place runs all of these tasks and would run another after them, with their results."""
        return False

    @abstractmethod
    def submit(self, work: Work) -> None:
        """Take one task. It may start at once or with the next `wait`."""

    @abstractmethod
    def wait(self, timeout: float | None) -> list[Report]:
        """Reports that have arrived; waits for the first, at most `timeout` seconds."""

    @abstractmethod
    def active(self) -> list[tuple[int, Active]]:
        """What runs now, by number, for displays."""

    parts_environment = False
    """Whether each task has an environment of its own, and so can be given GPUs and CPUs."""
    watches_memory = False
    """Whether `active` tells what tasks hold, so that those can be stopped that hold too much."""
    ends_tasks = False
    """Whether a task that takes too long can be ended: by `stop`, or by the runner itself (`Work.timeout`)."""

    def stop(self, number: int) -> None:
        """End one task that runs, and all it started. It is reported as `Died`, or as it ended before that."""

    def kill(self) -> None:
        """End everything that runs, at once. Nothing is reported for it."""

    @abstractmethod
    def close(self) -> None:
        """End the workers and wait for them. Called once, whatever happened."""


@dataclass(slots=True)
class RunnerBackend:
    """A named way to make runners, to give to a Lab. Extend `Runner` and pass its class as `make`."""

    name: str
    make: Callable[[], Runner]
    options: dict[str, Any] = field(default_factory=dict)


def check_files(workers: int, each: int) -> None:
    """Raise `RunnerError` where this process may not have so many files open for each worker, and some for the rest."""
    left, most = files_left()
    if workers * each + _OTHER_FILES > left:
        raise RunnerError(
            f"{workers:,} workers need {workers * each:,} open files, and this process may have {most:,} open in all",
            hint="fewer workers (--workers), or a higher limit (ulimit -n)",
        )
