"""A lab over the sample tasks, and a reporter that keeps what it hears."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import psutil
import sample_tasks

from labtech_cli.core.events import Event, Outcome, TaskFinished, TaskOutput
from labtech_cli.lab import Lab
from labtech_cli.outcome import RunResult
from labtech_cli.project.modules import place_of
from labtech_cli.report.base import Reporter
from labtech_cli.run.loop import Rules

PROCESS = ("process", "spawn", "fork", "fork-per-task")
IN_PROCESS = ("thread", "serial")
ALL = (*PROCESS, *IN_PROCESS)


def make_lab(folder: Path | None, runner: str = "fork", workers: int = 2, **options: Any) -> Lab:
    """A lab as the command line makes it."""
    storage = None if folder is None else folder / "storage"
    lab = Lab(storage=storage, runner_backend=runner, max_workers=workers, **options)
    lab.modules = [place_of(sample_tasks)]
    return lab


class Log(Reporter):
    """What happened in a run."""

    def __init__(self) -> None:
        self.events: list[Event] = []

    def handle(self, event: Event) -> None:
        self.events.append(event)

    def of(self, kind: type) -> list[Any]:
        return [event for event in self.events if type(event) is kind]

    def outcomes(self) -> dict[Any, Outcome]:
        return {event.task: event.outcome for event in self.of(TaskFinished)}

    def ended(self, task: Any) -> TaskFinished:
        (found,) = [event for event in self.of(TaskFinished) if event.task == task]
        return found

    def output(self, task: Any) -> str:
        return "".join(event.text for event in self.of(TaskOutput) if event.task == task)


def execute(lab: Lab, tasks: Sequence[Any], *, keep_going: bool = True) -> tuple[RunResult, Log]:
    """Run tasks; how it ended, and what was told on the way."""
    log = Log()
    return lab.execute(lab.prepare(tasks), [log], rules=Rules(keep_going)), log


def descendants() -> set[int]:
    """The processes below this one that live, but those that watch over shared memory."""
    found = set()
    for child in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.Error):  # it ended meanwhile
            if child.status() != psutil.STATUS_ZOMBIE and "resource_tracker" not in " ".join(child.cmdline()):
                found.add(child.pid)
    return found
