"""What can happen in a run, as frozen dataclasses, and what becomes of a task, as data.

`time` is seconds since the epoch. Reporters get events in the order in which things happened; a
reporter cannot tell a live run from a replay.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, TypeAlias


class Outcome(StrEnum):
    """How a task of a run ended."""

    SUCCEEDED = "succeeded"
    LOADED = "loaded"
    FAILED = "failed"
    SKIPPED = "skipped"
    """Not run, because a task it depends on failed."""
    CANCELLED = "cancelled"
    """Not run, because the run stopped first."""


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a task failed: an exception's `kind` and `message`, or a death in words."""

    kind: str
    message: str
    traceback: str = ""
    """Trimmed to the user's own code; empty where there was no exception."""
    output: str = ""
    """The last lines the task wrote."""
    final: bool = False
    """Whether another attempt could not help: the result cannot be saved, or an input is gone."""

    def __str__(self) -> str:
        return f"{self.kind}: {self.message}" if self.message else self.kind


@dataclass(frozen=True, slots=True)
class RunStarted:
    """A run begins: what it was asked for and what it will do."""

    run_id: str
    time: float
    targets: tuple[str, ...]
    workers: int
    runner: str
    to_run: dict[str, int]
    """How many tasks will run, by the label of their type, in the order of the graph."""
    to_load: dict[str, int]
    estimated_seconds: float | None


@dataclass(frozen=True, slots=True)
class TaskStarted:
    """A worker takes up a task; after a failure that is retried, once more."""

    run_id: str
    time: float
    task: Any
    attempt: int
    worker: int


@dataclass(frozen=True, slots=True)
class TaskRetried:
    """An attempt of a task failed, and another follows."""

    run_id: str
    time: float
    task: Any
    attempt: int
    """The one that failed; 1 is the first."""
    error: Failure
    delay_seconds: float
    """How long the next attempt waits."""
    duration_seconds: float | None = None
    peak_memory_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class TaskOutput:
    """What a running task wrote to stdout or stderr, whole lines where possible."""

    run_id: str
    time: float
    task: Any
    data: bytes

    @property
    def text(self) -> str:
        """As text: bytes that are not UTF-8 as `\\xff`."""
        return self.data.decode("utf-8", "backslashreplace")


@dataclass(frozen=True, slots=True)
class TaskFinished:
    """A task ended, in one of the ways of `Outcome`."""

    run_id: str
    time: float
    task: Any
    outcome: Outcome
    attempt: int = 0
    duration_seconds: float | None = None
    peak_memory_bytes: int | None = None
    error: Failure | None = None
    because: Any = None
    """For `skipped`: the failed task that it depends on."""


@dataclass(frozen=True, slots=True)
class Warned:
    """Something the user should know that is no failure of a task."""

    run_id: str
    time: float
    message: str


@dataclass(frozen=True, slots=True)
class RunFinished:
    """A run is over; nothing follows it."""

    run_id: str
    time: float
    counts: dict[str, int]
    """By outcome; every outcome is present."""
    exit_code: int
    duration_seconds: float
    saved_seconds: float = 0.0
    """What the loaded results once took to compute."""
    interrupted: bool = False


@dataclass(frozen=True, slots=True)
class Active:
    """A task that runs now, for displays. Not an event: it is polled, by the clock."""

    task: Any
    worker: int
    started: float
    pid: int | None = None
    memory: int = 0
    """What it was last seen to hold, in bytes; 0 where it was not seen yet."""


Event: TypeAlias = RunStarted | TaskStarted | TaskRetried | TaskOutput | TaskFinished | Warned | RunFinished
SCHEMA = "labtech.event/1"


@dataclass(slots=True)
class Counts:
    """A tally of outcomes."""

    by: dict[str, int] = field(default_factory=lambda: {outcome.value: 0 for outcome in Outcome})

    def add(self, outcome: Outcome, many: int = 1) -> None:
        self.by[outcome.value] += many
