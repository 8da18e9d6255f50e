"""What a reporter is, and a fan-out that outlives a bad one."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Callable, Sequence

from labtech_cli.core.events import Active, Event


class Reporter:
    """Reads the events of a run. Override what you need; raising does not hurt the run."""

    interval: float | None = None
    """Seconds between calls of `tick`, or None when there is nothing to draw by the clock."""

    def handle(self, event: Event) -> None:
        """Called for each event, in order, on the thread of the run."""

    def tick(self, now: float, active: Callable[[], Sequence[Active]]) -> None:
        """Called about every `interval` seconds of wall time; `active()` lists what runs now."""

    def close(self) -> None:
        """Called once, last, whatever happened."""


class FanOut(Reporter):
    """Passes everything on to several reporters; one that raises is dropped with a warning."""

    def __init__(self, reporters: Sequence[Reporter]) -> None:
        self._live = list(reporters)
        self._handlers = [reporter.handle for reporter in self._live]
        self.interval = min((r.interval for r in reporters if r.interval is not None), default=None)

    def handle(self, event: Event) -> None:
        for position, handler in enumerate(self._handlers):
            try:
                handler(event)
            except Exception as error:
                self._drop(self._live[position], error)
                return self._handle_rest(event, position)
        return None

    def tick(self, now: float, active: Callable[[], Sequence[Active]]) -> None:
        for reporter in list(self._live):
            if reporter.interval is not None:
                try:
                    reporter.tick(now, active)
                except Exception as error:
                    self._drop(reporter, error)

    def close(self) -> None:
        for reporter in list(self._live):
            try:
                reporter.close()
            except Exception as error:
                self._drop(reporter, error)

    def _handle_rest(self, event: Event, start: int) -> None:
        """After a drop, the reporters that had not seen the event yet (they moved down by one)."""
        for reporter in self._live[start:]:
            try:
                reporter.handle(event)
            except Exception as error:
                self._drop(reporter, error)

    def _drop(self, reporter: Reporter, error: Exception) -> None:
        if reporter in self._live:
            self._live.remove(reporter)
            self._handlers = [kept.handle for kept in self._live]
        line = traceback.extract_tb(error.__traceback__)[-1]
        print(
            f"warning: {type(reporter).__name__} stopped reporting: {type(error).__name__}: {error} "
            f"({line.filename}:{line.lineno}); the run goes on",
            file=sys.__stderr__,
        )
