"""What a reporter is, and a fan-out that outlives a bad one."""

from __future__ import annotations

import contextlib
import sys
import traceback
from collections.abc import Callable, Sequence

from labtech_cli.core.events import Active, Event, RunFinished


class Reporter:
    """Reads the events of a run. Override what you need; raising does not hurt the run."""

    ignores: frozenset[type] = frozenset()
    """Kinds of events that `handle` does nothing with: they are not passed to it, nor made if nobody reads them."""
    interval: float | None = None
    """Seconds between calls of `tick`, or None when there is nothing to draw by the clock."""

    redraws = False
    """Whether it draws on a terminal, over what it drew before."""

    def handle(self, event: Event) -> None:
        """Called for each event, in order, on the thread of the run."""

    def tick(self, now: float, active: Callable[[], Sequence[Active]]) -> None:
        """Called about every `interval` seconds of wall time; `active()` lists what runs now."""

    def suspend(self) -> None:
        """The terminal is another program's for a while, which leaves what is drawn there where it is. May be called
        at any moment, in the middle of other calls."""

    def abandon(self, event: RunFinished) -> None:
        """The process is about to end in the middle of the run, which hangs. Called, if at all, on another thread
        and instead of `close`; there is half a second for all reporters."""
        self.close()

    def close(self) -> None:
        """Called once, last, whatever happened."""


class FanOut(Reporter):
    """Passes everything on to several reporters; one that raises is closed and dropped with a warning."""

    def __init__(self, reporters: Sequence[Reporter]) -> None:
        self._live = tuple(reporters)  # replaced, never changed, so that a drop harms no iteration
        self._readers: dict[type, tuple[Reporter, ...]] = {}
        self.interval = min((r.interval for r in reporters if r.interval is not None), default=None)

    def add(self, reporter: Reporter) -> None:
        """One more, from the next event on."""
        self._live, self._readers = (*self._live, reporter), {}
        self.interval = min((r.interval for r in self._live if r.interval is not None), default=None)

    def reads(self, kind: type) -> bool:
        """Whether anybody does something with events of this kind."""
        return bool(self._of(kind))

    def handle(self, event: Event) -> None:
        for reporter in self._readers.get(type(event)) or self._of(type(event)):
            try:
                reporter.handle(event)
            except Exception as error:
                self._drop(reporter, error)

    def _of(self, kind: type) -> tuple[Reporter, ...]:
        if kind not in self._readers:
            self._readers[kind] = tuple(reporter for reporter in self._live if kind not in reporter.ignores)
        return self._readers[kind]

    def tick(self, now: float, active: Callable[[], Sequence[Active]]) -> None:
        for reporter in self._live:
            if reporter.interval is not None:
                try:
                    reporter.tick(now, active)
                except Exception as error:
                    self._drop(reporter, error)

    @property
    def redraws(self) -> bool:  # type: ignore[override]
        return any(reporter.redraws for reporter in self._live)

    def suspend(self) -> None:
        for reporter in self._live:
            reporter.suspend()

    def abandon(self, event: RunFinished) -> None:
        ending, self._live, self._readers = self._live, (), {}  # they hear of nothing else any more
        for reporter in reversed(ending):  # the history, which came last, needs nobody who reads
            with contextlib.suppress(Exception):  # the process ends: nothing can be done about it
                reporter.abandon(event)

    def close(self) -> None:
        closing, self._live, self._readers = self._live, (), {}
        for reporter in closing:
            try:
                reporter.close()
            except Exception as error:
                _warn(reporter, error)

    def _drop(self, reporter: Reporter, error: Exception) -> None:
        """Take `reporter` out; its `close` still gives back what it holds (the cursor, a file)."""
        self._live = tuple(kept for kept in self._live if kept is not reporter)
        self._readers = {}
        with contextlib.suppress(Exception):
            reporter.close()
        _warn(reporter, error)


def _warn(reporter: Reporter, error: Exception) -> None:
    line = traceback.extract_tb(error.__traceback__)[-1]
    with contextlib.suppress(Exception):  # stderr itself may be what is broken
        print(
            f"warning: {type(reporter).__name__} stopped reporting: {type(error).__name__}: {error} "
            f"({line.filename}:{line.lineno}); the run goes on",
            file=sys.__stderr__,
        )
