"""Task types and the events of runs, for the tests of reporters."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from labtech_cli.core.decorate import task
from labtech_cli.core.events import (
    Active,
    Counts,
    Failure,
    Outcome,
    RunFinished,
    RunStarted,
    TaskFinished,
    TaskOutput,
    TaskRetried,
    TaskStarted,
    Warned,
)
from labtech_cli.report.base import Reporter

T0 = 1_700_000_000.0
TRACEBACK = 'Traceback (most recent call last):\n  File "fit.py", line 3, in run\n    fit()\nValueError: no data'


@task
class Fit:
    seed: int
    name: str = ""

    def run(self) -> None: ...


@task
class Score:
    fit: Fit
    weight: float = 1.0

    def run(self) -> None: ...


def started(run: dict[str, int], load: dict[str, int] | None = None, estimate: float | None = None) -> RunStarted:
    return RunStarted("r1", T0, ("fit.py:all",), 4, "process", run, load or {}, estimate)


def begun(item: Any, at: float = T0) -> TaskStarted:
    return TaskStarted("r1", at, item, 1, 0)


def done(item: Any, outcome: Outcome = Outcome.SUCCEEDED, **more: Any) -> TaskFinished:
    return TaskFinished("r1", more.pop("at", T0), item, outcome, 1, more.pop("seconds", 1.5), **more)


def failed(item: Any, message: str = "no data", traceback: str = TRACEBACK, output: str = "") -> TaskFinished:
    return done(item, Outcome.FAILED, error=Failure("ValueError", message, traceback, output))


def retried(item: Any, attempt: int) -> TaskRetried:
    return TaskRetried("r1", T0, item, attempt, Failure("ValueError", "no data", TRACEBACK), 1.0, 0.5, None)


def wrote(item: Any, text: str) -> TaskOutput:
    return TaskOutput("r1", T0, item, text.encode("utf-8", "surrogatepass"))


def warned(message: str) -> Warned:
    return Warned("r1", T0, message)


def over(exit_code: int = 0, seconds: float = 185.0, **more: Any) -> RunFinished:
    return RunFinished("r1", T0 + seconds, Counts().by, exit_code, seconds, **more)


def running(*items: Any, since: float = T0, pid: int | None = None) -> Sequence[Active]:
    return [Active(item, worker, since, pid) for worker, item in enumerate(items)]


def feed(reporter: Reporter, *events: Any) -> None:
    for event in events:
        reporter.handle(event)
