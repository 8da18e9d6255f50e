from __future__ import annotations

import io
import sys
from collections.abc import Callable, Sequence

import pytest
from report_events import Fit, begun, done, running

from labtech_cli.core.events import Active, Event
from labtech_cli.report.base import FanOut, Reporter


class Recorder(Reporter):
    def __init__(self, interval: float | None = None) -> None:
        self.interval = interval
        self.seen: list[object] = []

    def handle(self, event: Event) -> None:
        self.seen.append(event)

    def tick(self, now: float, active: Callable[[], Sequence[Active]]) -> None:
        self.seen.append(("tick", now, len(active())))

    def close(self) -> None:
        self.seen.append("closed")


class Broken(Recorder):
    def __init__(self, when: str) -> None:
        super().__init__(interval=1.0)
        self.when = when

    def _fail(self, when: str) -> None:
        if when == self.when:
            raise OSError("disk full")

    def handle(self, event: Event) -> None:
        super().handle(event)
        self._fail("handle")

    def tick(self, now: float, active: Callable[[], Sequence[Active]]) -> None:
        super().tick(now, active)
        self._fail("tick")

    def close(self) -> None:
        super().close()
        self._fail("close")


FIRST, SECOND = begun(Fit(1)), done(Fit(1))


@pytest.fixture
def stderr(monkeypatch: pytest.MonkeyPatch) -> io.StringIO:
    stream = io.StringIO()
    monkeypatch.setattr(sys, "__stderr__", stream)
    return stream


def test_every_reporter_gets_every_event_in_order():
    one, two = Recorder(), Recorder()
    fan = FanOut([one, two])
    fan.handle(FIRST)
    fan.handle(SECOND)
    fan.close()
    assert one.seen == two.seen == [FIRST, SECOND, "closed"]


def test_a_reporter_that_raises_is_closed_and_dropped_and_the_others_miss_nothing(stderr):
    before, broken, after = Recorder(), Broken("handle"), Recorder()
    fan = FanOut([before, broken, after])
    fan.handle(FIRST)
    fan.handle(SECOND)
    fan.close()
    assert before.seen == after.seen == [FIRST, SECOND, "closed"]
    assert broken.seen == [FIRST, "closed"]
    told = stderr.getvalue()
    assert told.startswith("warning: Broken stopped reporting: OSError: disk full (")
    assert told.endswith("; the run goes on\n") and told.count("\n") == 1


@pytest.mark.parametrize("when", ["tick", "close"])
def test_raising_in_tick_or_close_hurts_nobody_else(when, stderr):
    broken, other = Broken(when), Recorder(interval=1.0)
    fan = FanOut([broken, other])
    fan.tick(5.0, lambda: running(Fit(1)))
    fan.tick(6.0, lambda: running(Fit(1)))
    fan.close()
    assert other.seen == [("tick", 5.0, 1), ("tick", 6.0, 1), "closed"]
    assert stderr.getvalue().count("stopped reporting") == 1


def test_two_reporters_may_break_at_the_same_event(stderr):
    last = Recorder()
    FanOut([Broken("handle"), Broken("handle"), last]).handle(FIRST)
    assert last.seen == [FIRST]


def test_a_broken_stderr_does_not_hurt_the_run_either(monkeypatch):
    monkeypatch.setattr(sys, "__stderr__", None)
    FanOut([Broken("handle")]).handle(FIRST)


def test_ticks_come_at_the_shortest_interval_and_only_to_those_who_want_them():
    slow, none = Recorder(2.0), Recorder()
    fan = FanOut([slow, none, Recorder(0.5)])
    fan.tick(1.0, list)
    assert fan.interval == 0.5 and slow.seen and not none.seen
    assert FanOut([none]).interval is None and FanOut([]).interval is None
