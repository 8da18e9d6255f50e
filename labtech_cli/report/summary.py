"""What a run amounts to: a tally of its events, and the text that ends it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, TypeAlias

from labtech_cli.core.events import Event, Outcome, RunFinished, RunStarted, TaskFinished, TaskRetried, Warned
from labtech_cli.report import words

MOST_FAILURES = 50  # told in full; the others are counted
TRACEBACK_LINES = 30
OUTPUT_LINES = 10

Line: TypeAlias = tuple[str, str]
"""A line of text and its style: "", "bold", "dim", "red", "green" or "yellow"."""
LogCommand: TypeAlias = Callable[[str, str], str]
"""From the run's id and a task's key to the command that shows what the task wrote."""


@dataclass(slots=True)
class TypeCount:
    """How far the tasks of one type are."""

    total: int = 0
    ended: int = 0
    failed: int = 0
    loaded: int = 0


class Tally:
    """Counts what happened. Its memory does not grow with tasks, only with the failures it tells in full."""

    def __init__(self) -> None:
        self.started: RunStarted | None = None
        self.finished: RunFinished | None = None
        self.last_time = 0.0
        self.types: dict[str, TypeCount] = {}
        self.counts: dict[str, int] = {outcome.value: 0 for outcome in Outcome}
        self.failures: list[TaskFinished] = []
        self.skipped: dict[str, tuple[Any, int]] = {}
        """By the key of the failed task: that task, and how many were skipped because of it."""
        self.to_run = 0
        self.total = 0

    def add(self, event: Event) -> None:
        """Take one event in."""
        self.last_time = event.time
        kind = type(event)
        if kind is TaskFinished:
            self._task_finished(event)  # type: ignore[arg-type]
        elif kind is RunStarted:
            self._run_started(event)  # type: ignore[arg-type]
        elif isinstance(event, RunFinished):
            self.finished = event

    @property
    def ended(self) -> int:
        """How many tasks need nothing more."""
        return sum(self.counts.values())

    @property
    def seconds(self) -> float:
        """The wall time of the run, up to its last event."""
        if self.finished is not None:
            return self.finished.duration_seconds
        return self.last_time - self.started.time if self.started is not None else 0.0

    def remaining(self, now: float) -> float | None:
        """A guess of the seconds left: what past durations said, giving way to the pace of this run."""
        started = self.started
        if started is None or not self.to_run:
            return None
        elapsed = max(0.0, now - started.time)
        done = min(1.0, (self.ended - self.counts[Outcome.LOADED]) / self.to_run)
        by_pace = elapsed / done * (1 - done) if done > 0 else None
        if started.estimated_seconds is None:
            return by_pace
        by_past = started.estimated_seconds * (1 - done)
        if by_pace is None:
            return by_past - elapsed if by_past > elapsed else None
        return by_past * (1 - done) + by_pace * done

    def _run_started(self, event: RunStarted) -> None:
        self.started = event
        self.to_run = sum(event.to_run.values())
        self.total = self.to_run + sum(event.to_load.values())
        for planned in (event.to_run, event.to_load):
            for name, many in planned.items():
                if many:
                    self.types.setdefault(name, TypeCount()).total += many

    def _task_finished(self, event: TaskFinished) -> None:
        name = type(event.task).__labtech__.label
        row = self.types.get(name)
        if row is None:
            row = self.types[name] = TypeCount()
        row.ended += 1
        outcome = event.outcome
        self.counts[outcome] += 1
        if outcome is Outcome.LOADED:
            row.loaded += 1
        elif outcome is Outcome.FAILED:
            row.failed += 1
            if len(self.failures) < MOST_FAILURES:
                self.failures.append(event)
        elif outcome is Outcome.SKIPPED and event.because is not None:
            key = event.because.cache_key
            if key in self.skipped or len(self.skipped) < MOST_FAILURES:
                self.skipped[key] = (event.because, self.skipped.get(key, (None, 0))[1] + 1)


def ending(tally: Tally, rerun_command: str | None = None, log_command: LogCommand | None = None) -> Iterator[Line]:
    """The last lines of a run: failures, what was skipped because of them, counts, and what to do next."""
    yield from _failures(tally, log_command)
    yield from _skipped(tally)
    yield headline(tally)
    loaded, finished = tally.counts[Outcome.LOADED], tally.finished
    if loaded:
        saved = finished.saved_seconds if finished is not None else 0.0
        came = f"{words.count(loaded, 'result')} came from the cache"
        yield f"{came} and saved {words.duration(saved)}" if saved >= 0.1 else came, ""
    if rerun_command:
        yield from _again(tally, rerun_command, kept=log_command is not None)


def _again(tally: Tally, command: str, *, kept: bool) -> Iterator[Line]:
    """How to go on. Of a run that is kept in the history, `--failed` finds what failed."""
    failed, cancelled = tally.counts[Outcome.FAILED], tally.counts[Outcome.CANCELLED]
    if failed:
        yield f"run the failed tasks again with: {command}{' --failed' if kept else ''}", ""
    if cancelled and (kept or not failed):
        yield f"run {'all that is left' if failed else 'the rest'} with: {command}", ""


def headline(tally: Tally) -> Line:
    """The run in one line: how it ended, how long it took, the counts by outcome."""
    shown = [f"{many:,} {outcome}" for outcome, many in tally.counts.items() if many]
    failed, finished = tally.counts[Outcome.FAILED], tally.finished
    if finished is None:
        how, style = "Stopped after", "red"
    elif finished.interrupted:
        how, style = "Interrupted after", "yellow"
    elif failed or finished.exit_code:
        how, style = "Failed after", "red"
    else:
        how, style = "Done in", "green"
    return f"{how} {words.duration(tally.seconds)}: {', '.join(shown) or 'no tasks'}", style


def failure_line(event: TaskFinished, limit: int = words.LABEL) -> Line:
    """One failure in one line, for when it happens."""
    error = f": {words.one_line(str(event.error))}" if event.error is not None else ""
    again = f" (attempt {event.attempt})" if event.attempt > 1 else ""
    return f"failed {words.label(event.task, limit)}{again}{error}", "red"


def retry_line(event: TaskRetried, limit: int = words.LABEL) -> Line:
    """A failed attempt that another follows, in one line."""
    wait = f" in {words.duration(event.delay_seconds)}" if event.delay_seconds >= 0.1 else ""
    error = words.one_line(str(event.error))
    return f"retrying {words.label(event.task, limit)}{wait}: attempt {event.attempt} failed: {error}", "yellow"


def warning_lines(event: Warned) -> list[Line]:
    """A warning, its further lines indented."""
    first, *rest = words.lines(event.message) or [""]
    return [(f"warning: {first}", "yellow"), *[(f"  {line}", "yellow") for line in rest]]


def _failures(tally: Tally, log_command: LogCommand | None) -> Iterator[Line]:
    told: dict[tuple[str, str], str] = {}
    for event in tally.failures:
        yield "", ""
        yield from _failure(event, told)
        if log_command is not None:
            yield f"  log: {log_command(event.run_id, event.task.cache_key)}", "dim"
    more = tally.counts[Outcome.FAILED] - len(tally.failures)
    if more > 0:
        yield "", ""
        yield f"… and {words.count(more, 'more failure')}", "red"
    if tally.failures:
        yield "", ""


def _failure(event: TaskFinished, told: dict[tuple[str, str], str]) -> Iterator[Line]:
    """One failure in full; a traceback that was told before is only referred to."""
    name = words.label(event.task, 120)
    yield f"{name} failed", "bold"
    error = event.error
    if error is None:
        return
    for line in _shortened(words.lines(str(error))):
        yield f"  {words.shortened(line)}", "red"
    first = told.setdefault((error.kind, error.traceback), name)
    if error.traceback and first != name:
        yield f"  at the same place as {first}", "dim"
    elif error.traceback:
        for line in _shortened(_frames(error.traceback, str(error))):
            yield f"    {words.shortened(line)}", ""
    written = [line for line in words.lines(error.output) if line.strip()][-OUTPUT_LINES:]
    if written:
        yield "  last output:", "dim"
    for line in written:
        yield f"    {words.shortened(line)}", "dim"


def _frames(traceback: str, error: str) -> list[str]:
    """The lines of a traceback without the error at its end, which is told above it."""
    kept = [line for line in words.lines(traceback) if line.strip()]
    told = [line for line in words.lines(error) if line.strip()]
    return kept[: -len(told)] if told and kept[-len(told) :] == told else kept


def _shortened(found: list[str]) -> list[str]:
    """At most `TRACEBACK_LINES`, the last ones and the first: the error is raised at the end."""
    if len(found) <= TRACEBACK_LINES:
        return found
    left_out = len(found) - TRACEBACK_LINES + 1
    return [found[0], f"… {words.count(left_out, 'line')} left out", *found[left_out + 1 :]]


def _skipped(tally: Tally) -> Iterator[Line]:
    rest = tally.counts[Outcome.SKIPPED]
    for task, many in tally.skipped.values():
        rest -= many
        yield f"skipped because {words.label(task, 100)} failed: {words.count(many, 'task')}", "yellow"
    if rest > 0 and tally.skipped:
        yield f"skipped because of other failures: {words.count(rest, 'task')}", "yellow"
