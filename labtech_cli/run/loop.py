"""The only loop: fill the runner, wait, commit what arrived, advance the schedule, emit events.

Whatever has arrived is committed in one transaction before anything that depends on it starts and
before it is said to be done: no delay when little happens, large groups when much does.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from labtech_cli.core.codec import encode_params
from labtech_cli.core.events import (
    Active,
    Counts,
    Event,
    Failure,
    Outcome,
    TaskFinished,
    TaskOutput,
    TaskStarted,
    Warned,
)
from labtech_cli.core.graph import Graph
from labtech_cli.core.schedule import Schedule
from labtech_cli.errors import LabtechError
from labtech_cli.run.interrupts import Interrupts
from labtech_cli.run.runner import Died, Note, Output, Report, Returned, Runner, Work
from labtech_cli.run.shelf import Shelf
from labtech_cli.run.worker import Input
from labtech_cli.run.worker import Outcome as Ended
from labtech_cli.store.storage import Record, Storage

_IDLE_SECONDS = 0.25  # how often the clock is looked at when nothing arrives
_TAIL_BYTES = 4096


@dataclass(slots=True)
class Rules:
    """What to do when tasks fail."""

    keep_going: bool = False
    max_failures: int | None = None


@dataclass(slots=True)
class Sinks:
    """Who is told what: reporters by events and by the clock, the tracker of each task's end."""

    emit: Callable[[Event], None]
    tick: Callable[[float, Callable[[], Sequence[Active]]], None]
    interval: float | None = None
    track: Callable[[int, Any, Failure | None, Any], None] | None = None


@dataclass(slots=True)
class Loop:
    """One run of a schedule on a runner."""

    run_id: str
    graph: Graph
    schedule: Schedule
    runner: Runner
    storage: Storage
    shelf: Shelf
    sinks: Sinks
    rules: Rules
    interrupts: Interrupts
    replaces: bytearray
    """1 for each task that runs though it had a result, by number."""
    counts: Counts = field(default_factory=Counts)
    failures: dict[int, Failure] = field(default_factory=dict)
    _started: dict[int, float] = field(default_factory=dict)
    done_well: bytearray = field(init=False)
    """1 for each task that succeeded, by number."""
    _notes: dict[int, Any] = field(default_factory=dict)
    _tails: dict[int, bytes] = field(default_factory=dict)
    _ticked: float = 0.0
    _level: int = 0

    def __post_init__(self) -> None:
        self.done_well = bytearray(len(self.graph))

    def run(self) -> None:
        """Until nothing runs and nothing more can start. Then every task has had its last event."""
        while not self.schedule.done:
            if self._obey():
                break
            self._fill()
            reports = self.runner.wait(self._timeout())
            if reports:
                self._take(reports)
            self._clock()
        for number in self.schedule.unfinished():
            self._finish(number, Outcome.CANCELLED)

    def _timeout(self) -> float:
        interval = self.sinks.interval
        return _IDLE_SECONDS if interval is None else min(interval, _IDLE_SECONDS)

    def _obey(self) -> bool:
        """Do what interrupts ask for; whether to leave what still runs behind."""
        level = self.interrupts.level
        if level == self._level:
            return False
        self._level = level
        self.schedule.stop()
        running = self.schedule.running
        if level == 1 and running:
            self._warn(f"interrupted: waiting for {running} running task{'s' * (running != 1)}; again to stop them")
        if level >= 2:
            self.runner.kill()
        return level >= 2

    def _fill(self) -> None:
        for _ in range(self.runner.room()):
            number = self.schedule.take()
            if number is None:
                self._follow()
                return
            try:
                inputs = self.shelf.take(number)
            except LabtechError as error:  # a result that was there when planned is gone now
                self._fail(number, Failure(type(error).__name__, f"an input cannot be loaded: {error}"), None)
                continue
            self.runner.submit(Work(number, 1, inputs))

    def _follow(self) -> None:
        """Give workers short tasks that wait only for what the same worker is about to do: a chain of them
        then costs no round trip each. Results are committed in order, so what is done is done all the same."""
        for number, after in self.schedule.followers():
            if self.runner.can_follow(after):
                inputs = self.shelf.take(number, without=after)
                self.schedule.follow(number)
                self.runner.submit(Work(number, 1, inputs, tuple(after)))

    def _take(self, reports: list[Report]) -> None:
        ended: list[Ended] = []
        for report in reports:
            kind = type(report)
            if kind is Ended:
                ended.append(report)  # type: ignore[arg-type]
            elif kind is Output:
                self._output(report)  # type: ignore[arg-type]
            elif kind is Note:
                self._notes[report.number] = report.value  # type: ignore[union-attr]
            elif kind is Returned:
                for number in report.numbers:  # type: ignore[union-attr]
                    self._started.pop(number, None)
                    self.schedule.put_back(number)
        if ended:
            self._commit(ended)
            for outcome in ended:
                if self.schedule.is_open(outcome.number):  # else a task it followed could not be saved
                    self._advance(outcome)
        for report in reports:
            if type(report) is Died:
                self._fail(report.number, describe_death(report), None)

    def _commit(self, ended: list[Ended]) -> None:
        """Save the results that arrived; on failure try each alone, so that only its own task fails."""
        records = [(outcome, self._record(outcome)) for outcome in ended if outcome.failure is None]
        if not records:
            return
        try:
            self.storage.commit([record for _, record in records])
        except LabtechError as error:
            if len(records) == 1:
                self._not_saved(ended, records[0][0], error)
                return
            full = False
            for outcome, record in records:
                if full and not self.rules.keep_going:  # one error tells it all: the others run again another time
                    ended.remove(outcome)
                    self.schedule.stop()
                    self.schedule.put_back(outcome.number)
                    continue
                try:
                    self.storage.commit([record])
                except LabtechError as cause:
                    self._not_saved(ended, outcome, cause)
                    full = True

    def _not_saved(self, ended: list[Ended], outcome: Ended, error: LabtechError) -> None:
        failure = Failure(type(error).__name__, f"the result could not be saved: {error}")
        ended[ended.index(outcome)] = outcome._replace(failure=failure, stored=None)

    def _record(self, outcome: Ended) -> Record:
        task = self.graph.tasks[outcome.number]
        kind = type(task).__labtech__
        stored = None if kind.keeps_nothing else outcome.stored
        return Record(
            task._labtech_key,
            kind.name,
            task._labtech_version,
            outcome.params or encode_params(task),
            outcome.duration,
            outcome.started_at,
            stored,
            bool(self.replaces[outcome.number]),
        )

    def _advance(self, outcome: Ended) -> None:
        number = outcome.number
        if number not in self._started:
            self._start_event(number, outcome.started_at)
        if outcome.failure is not None:
            self._fail(number, outcome.failure, outcome)
            return
        given = Input(outcome.stored, outcome.value, outcome.started_at, outcome.duration, True)
        kept = self.storage.keeps and not type(self.graph.tasks[number]).__labtech__.keeps_nothing
        if kept and outcome.stored is not None and not outcome.stored.inline:
            given = given._replace(stored=self.storage.load([self.graph.tasks[number]._labtech_key]).popitem()[1])
        self.shelf.put(number, given, in_storage=kept)
        self.shelf.done(number)
        self.schedule.succeeded(number)
        self.done_well[number] = 1
        self._finish(number, Outcome.SUCCEEDED, outcome)

    def _fail(self, number: int, failure: Failure, outcome: Ended | None) -> None:
        tail = self._tails.pop(number, b"")
        if tail:
            failure = Failure(failure.kind, failure.message, failure.traceback, tail.decode("utf-8", "replace"))
        self.failures[number] = failure
        if number not in self._started:
            self._start_event(number, time.time())
        self.shelf.done(number)
        lost = self.schedule.failed(number)
        self._finish(number, Outcome.FAILED, outcome, failure)
        for skipped in lost:
            self._finish(skipped, Outcome.SKIPPED, because=self.graph.tasks[number])
        most = self.rules.max_failures if self.rules.keep_going or self.rules.max_failures else 1
        if most is not None and len(self.failures) >= most:
            self.schedule.stop()

    def _finish(
        self,
        number: int,
        outcome: Outcome,
        ended: Ended | None = None,
        failure: Failure | None = None,
        because: Any = None,
    ) -> None:
        self.counts.add(outcome)
        self._tails.pop(number, None)
        task = self.graph.tasks[number]
        if self.sinks.track is not None:
            self.sinks.track(number, task, failure, self._notes.pop(number, None))
        started, now = self._started.pop(number, None), time.time()
        lasted = None if started is None else max(0.0, now - started)  # where no worker is left to say
        self.sinks.emit(
            TaskFinished(
                self.run_id,
                now,
                task,
                outcome,
                0 if started is None else 1,
                ended.duration if ended else lasted,
                ended.peak_memory if ended else None,
                failure,
                because,
            )
        )

    def _start_event(self, number: int, when: float, worker: int = 0) -> None:
        self._started[number] = when
        self.sinks.emit(TaskStarted(self.run_id, when, self.graph.tasks[number], 1, worker))

    def _output(self, report: Output) -> None:
        number = report.number
        if number not in self._started:
            self._start_event(number, time.time())
        self._tails[number] = (self._tails.get(number, b"") + report.text)[-_TAIL_BYTES:]
        text = report.text.decode("utf-8", "backslashreplace")
        self.sinks.emit(TaskOutput(self.run_id, time.time(), self.graph.tasks[number], text))

    def _warn(self, message: str) -> None:
        self.sinks.emit(Warned(self.run_id, time.time(), message))

    def _clock(self) -> None:
        """By the clock, not by tasks: say which long tasks have started, and let reporters draw."""
        now = time.monotonic()
        if now - self._ticked < self._timeout():
            return
        self._ticked = now
        for number, active in self.runner.active():
            if number not in self._started and time.time() - active.started > _IDLE_SECONDS / 2:
                self._start_event(number, active.started, active.worker)
        self.sinks.tick(time.time(), lambda: [active for _, active in self.runner.active()])


def describe_death(report: Died) -> Failure:
    """The end of a worker process in words."""
    code = report.exit_code
    if code is None:
        return Failure("TaskDied", "its worker process ended")
    if code < 0:
        name = signal.Signals(-code).name if -code in set(signal.Signals) else f"signal {-code}"
        return Failure("TaskDied", f"its worker process was killed by {name}")
    return Failure("TaskDied", f"its worker process ended with exit code {code} (the task may have called os._exit)")
