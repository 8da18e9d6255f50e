"""Which running tasks have had their time: the loop looks by the clock and stops those."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterable, Iterator, Sequence

from labtech_cli.core.events import Active, Failure
from labtech_cli.core.graph import Graph
from labtech_cli.core.needs import needs_of
from labtech_cli.core.units import duration
from labtech_cli.run.worker import here


class Timeouts:
    """The time limits of a run's tasks. `usual`: seconds for a task that says nothing itself."""

    def __init__(self, graph: Graph, runs: Sequence[int] | bytearray, usual: float | None = None) -> None:
        self._limits: dict[int, float] = {}
        self._stopped: set[int] = set()
        kinds = {type(task).__labtech__ for task in graph.tasks}
        if usual is None and not any(kind.computes_needs or kind.needs.timeout for kind in kinds):
            return
        for number, task in enumerate(graph.tasks):
            if runs[number]:
                said = needs_of(task).timeout
                limit = usual if said is None else said
                if limit is not None:
                    self._limits[number] = limit

    def __bool__(self) -> bool:
        return bool(self._limits)

    def of(self, number: int) -> float | None:
        """The seconds that one attempt of a task may take."""
        return self._limits.get(number)

    def overdue(self, active: Iterable[tuple[int, Active]], now: float) -> list[int]:
        """The running tasks that are beyond their limit; each attempt is named once."""
        found = [
            number
            for number, item in active
            if number in self._limits and now - item.started > self._limits[number] and number not in self._stopped
        ]
        self._stopped.update(found)
        return found

    def ended(self, number: int) -> Failure | None:
        """A task's attempt is over: its failure if it was stopped for its time."""
        if number not in self._stopped:
            return None
        self._stopped.discard(number)
        return timed_out(self._limits[number])


class TaskTimeout(BaseException):
    """Raised in a task that runs in this very thread when its time is over; no `except Exception` stops it."""


def timed_out(limit: float) -> Failure:
    """The failure of a task that was stopped after `limit` seconds."""
    return Failure(TaskTimeout.__name__, _words(limit))


@contextlib.contextmanager
def alarm(limit: float | None) -> Iterator[None]:
    """Raise `TaskTimeout` in the task that runs meanwhile, after `limit` seconds, at its next line of Python."""
    if limit is None or not can_alarm():
        yield
        return

    def ring(number: int, frame: object) -> None:
        if getattr(here, "in_task", False):
            raise TaskTimeout(_words(limit))

    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, limit)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def can_alarm() -> bool:
    """Whether this is the thread that Python delivers signals to."""
    return threading.current_thread() is threading.main_thread()


def _words(limit: float) -> str:
    return f"it took longer than its timeout of {duration(limit)} and was stopped"
