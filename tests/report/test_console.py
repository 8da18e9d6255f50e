from __future__ import annotations

import io
import re
import threading
import time

from report_events import T0, Fit, Score, begun, done, failed, feed, over, running, started, warned, wrote
from rich.console import Console

from labtech_cli.report.console import MOST_PIECES, LiveReporter

CONTROL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|\r")


def live(width: int = 80, height: int = 24, **more) -> tuple[LiveReporter, io.StringIO]:
    stream = io.StringIO()
    console = Console(
        file=stream,
        force_terminal=True,
        width=width,
        height=height,
        legacy_windows=False,
        _environ={"TERM": "xterm"},
    )
    return LiveReporter(console, **more), stream


def text(stream: io.StringIO) -> str:
    """What was written, without control sequences."""
    return CONTROL.sub("", stream.getvalue())


def take(stream: io.StringIO) -> str:
    found = text(stream)
    stream.seek(0)
    stream.truncate()
    return found


def test_nothing_is_drawn_before_a_tick_and_no_thread_is_started():
    threads = threading.active_count()
    reporter, stream = live()
    feed(reporter, started({"Fit": 2}), begun(Fit(1)), wrote(Fit(1), "hello\n"))
    assert stream.getvalue() == ""
    reporter.tick(T0 + 1, lambda: running(Fit(1)))
    assert "Fit(seed=1, name='') │ hello\n" in text(stream) and "0/2" in text(stream)
    assert threading.active_count() == threads
    reporter.close()


def test_output_failures_and_warnings_come_above_the_display_in_order():
    reporter, stream = live(width=200)
    feed(reporter, started({"Fit": 2}))
    reporter.tick(T0, list)
    take(stream)
    feed(
        reporter,
        wrote(Fit(1), "one\n"),
        failed(Fit(1)),
        warned("mind [bold]this[/bold]"),
        wrote(Fit(2), "[red]x"),
    )
    reporter.tick(T0 + 1, list)
    above = take(stream).split("Fit    ")[0]
    assert above.splitlines() == [
        "Fit(seed=1, name='') │ one",
        "failed Fit(seed=1, name=''): ValueError: no data",
        "warning: mind [bold]this[/bold]",
        "Fit(seed=2, name='') │ [red]x",
    ]
    reporter.tick(T0 + 2, list)
    assert "one" not in take(stream)
    reporter.close()


def test_a_failure_takes_one_line_of_the_terminal():
    reporter, stream = live(width=60)
    feed(reporter, started({"Fit": 1}), failed(Fit(1, "x" * 80), "a long story " * 20))
    reporter.tick(T0, list)
    first = text(stream).splitlines()[0]
    assert first.startswith("failed Fit(seed=1, name='x") and first.endswith("…") and len(first) == 60
    reporter.close()


def test_control_sequences_of_tasks_do_not_reach_the_terminal():
    reporter, stream = live()
    feed(reporter, started({"Fit": 1}), wrote(Fit(1), "\x1b[2J\x1b]0;title\x07clean\x07\n"))
    reporter.tick(T0, list)
    assert "│ clean\n" in text(stream)
    assert "\x1b[2J" not in stream.getvalue() and "\x07" not in stream.getvalue()
    reporter.close()


def test_at_the_end_the_display_makes_way_for_the_summary():
    reporter, stream = live(rerun_command="labtech run x")
    feed(reporter, started({"Fit": 1, "Score": 1}))
    reporter.tick(T0, lambda: running(Fit(1)))
    feed(reporter, failed(Fit(1), output="last words\n"))
    take(stream)
    feed(reporter, over(1))
    ending = stream.getvalue()
    assert "\x1b[?25h" in ending  # the cursor is back
    shown = take(stream)
    assert "last words" in shown and shown.endswith("run the failed tasks again with: labtech run x\n")
    assert "━" not in shown.split("Failed after")[1]
    reporter.tick(T0 + 9, list)
    reporter.close()
    assert stream.getvalue() == ""


def test_a_run_that_is_over_before_the_first_tick_shows_only_the_summary():
    reporter, stream = live()
    feed(reporter, started({"Fit": 1}), done(Fit(1)), over())
    assert text(stream) == "Done in 3 min 5 s: 1 succeeded\n"


def test_close_without_a_run_writes_nothing():
    reporter, stream = live()
    reporter.close()
    assert text(stream) == ""


def test_a_flood_of_output_does_not_hold_up_the_run():
    reporter, stream = live()
    feed(reporter, started({"Fit": 1}), wrote(Fit(1), "x\n" * (MOST_PIECES + 5)))
    reporter.tick(T0, list)
    assert text(stream).count("│ x\n") == MOST_PIECES and "… 5 lines not shown here" in text(stream)
    reporter.close()


def test_events_of_tasks_cost_microseconds():
    reporter, _ = live()
    feed(reporter, started({"Score": 50_000}))
    items = [Score(Fit(n)) for n in range(1_000)]
    events = [event for item in items for event in (begun(item), done(item))] * 10
    began = time.process_time()
    feed(reporter, *events)
    assert (time.process_time() - began) / len(events) < 20e-6  # about 1 on a quiet machine
    reporter.close()
