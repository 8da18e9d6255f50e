"""What a run tells: the events of its tasks, each with one beginning and one end, and how many ended how."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from labtech_cli.core.events import (
    Active,
    Counts,
    Event,
    Failure,
    Outcome,
    TaskFinished,
    TaskOutput,
    TaskRetried,
    TaskStarted,
    Warned,
)
from labtech_cli.core.graph import Graph
from labtech_cli.run.runner import Died, Output
from labtech_cli.run.worker import Outcome as Ended

_TAIL_BYTES = 4096


@dataclass(slots=True)
class Sinks:
    """Who is told what: reporters by events and by the clock, the tracker of each task's end."""

    emit: Callable[[Event], None]
    reads: Callable[[type], bool]
    """Whether anybody reads events of this kind."""
    tick: Callable[[float, Callable[[], Sequence[Active]]], None]
    interval: float | None = None
    track: Callable[[int, Any, Failure | None, Any], None] | None = None


@dataclass(slots=True)
class Teller:
    """Says what happens to the tasks of a run."""

    run_id: str
    graph: Graph
    sinks: Sinks
    counts: Counts = field(default_factory=Counts)
    notes: dict[int, Any] = field(default_factory=dict)
    """What trackers said of tasks that have not ended, by number."""
    _started: dict[int, float] = field(default_factory=dict)
    _attempts: dict[int, int] = field(default_factory=dict)  # which one it is, of tasks that were retried
    _tails: dict[int, bytes] = field(default_factory=dict)

    def has_begun(self, number: int) -> bool:
        """Whether the task is known to have started."""
        return number in self._started

    def begin(self, number: int, when: float, worker: int = 0) -> None:
        """A task started, unless that was told before."""
        if number in self._started:
            return
        self._started[number] = when
        if self.sinks.reads(TaskStarted):
            self.sinks.emit(TaskStarted(self.run_id, when, self.graph.tasks[number], self._attempt(number), worker))

    def unbegin(self, number: int) -> None:
        """A task that was handed out did not start after all."""
        self._started.pop(number, None)

    def output(self, report: Output) -> None:
        """A task wrote something."""
        number = report.number
        self.begin(number, time.time())
        self._tails[number] = (self._tails.get(number, b"") + report.text)[-_TAIL_BYTES:]
        self.sinks.emit(TaskOutput(self.run_id, time.time(), self.graph.tasks[number], report.text))

    def with_tail(self, number: int, failure: Failure) -> Failure:
        """A failure with the end of what the task wrote."""
        tail = self._tails.pop(number, b"")
        if not tail:
            return failure
        return replace(failure, output=tail.decode("utf-8", "replace"))

    def retry(self, number: int, failure: Failure, delay: float, ended: Ended | Died | None) -> None:
        """An attempt failed, and another follows."""
        task, now = self.graph.tasks[number], time.time()
        if self.sinks.track is not None:
            self.sinks.track(number, task, failure, self.notes.pop(number, None))
        attempt, started = self._attempt(number), self._started.pop(number, now)
        self._attempts[number] = attempt + 1
        lasted = ended.duration if isinstance(ended, Ended) else max(0.0, now - started)
        peak = ended.peak_memory if ended else None
        self.sinks.emit(TaskRetried(self.run_id, now, task, attempt, failure, delay, lasted, peak))

    def _attempt(self, number: int) -> int:
        return self._attempts.get(number, 1) if self._attempts else 1

    def end(
        self,
        number: int,
        outcome: Outcome,
        ended: Ended | Died | None = None,
        failure: Failure | None = None,
        because: Any = None,
    ) -> None:
        """A task ended, for good."""
        self.counts.add(outcome)
        if self._tails:
            self._tails.pop(number, None)
        task = self.graph.tasks[number]
        if self.sinks.track is not None:
            self.sinks.track(number, task, failure, self.notes.pop(number, None))
        started, now = self._started.pop(number, None), time.time()
        lasted = None if started is None else max(0.0, now - started)  # where no worker is left to say
        tried = self._attempt(number) - (started is None)  # one that waited for its next attempt had that many
        self.sinks.emit(
            TaskFinished(
                self.run_id,
                now,
                task,
                outcome,
                tried,
                ended.duration if type(ended) is Ended else lasted,
                ended.peak_memory if ended else None,
                failure,
                because,
            )
        )

    def warn(self, message: str) -> None:
        """Something the user should know."""
        self.sinks.emit(Warned(self.run_id, time.time(), message))
