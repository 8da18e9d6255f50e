from __future__ import annotations

import io
import subprocess
import sys

import pytest
from report_events import T0, Fit, Score, begun, done, failed, feed, over, retried, running, started, warned, wrote

from labtech_cli.core.events import Outcome
from labtech_cli.report import plain
from labtech_cli.report.plain import MOST_OF_A_TASK, PlainReporter, QuietReporter
from labtech_cli.report.progress import make_progress


def test_a_task_has_one_line_when_it_is_fast_and_two_when_it_is_slow():
    stream = io.StringIO()
    reporter = PlainReporter(stream)
    feed(reporter, started({"Fit": 2}, {"Fit": 3}, 80.0), begun(Fit(1)), begun(Fit(2)), done(Fit(2)))
    for seconds in (1, 6, 7):
        reporter.tick(T0 + seconds, lambda: running(Fit(1)))
    feed(reporter, done(Fit(1), seconds=8), over())
    assert stream.getvalue().splitlines() == [
        "2 tasks to run, 3 to load, with 4 workers, about 80 s",
        "finished Fit(seed=2, name='') in 1.5 s",
        "running Fit(seed=1, name='')",
        "finished Fit(seed=1, name='') in 8 s",
        "Done in 3 min 5 s: 2 succeeded",
    ]


def test_loaded_skipped_and_cancelled_tasks_are_counted_not_listed():
    stream = io.StringIO()
    reporter = PlainReporter(stream, rerun_command="labtech run x")
    skipped = done(Score(Fit(1)), Outcome.SKIPPED, because=Fit(1))
    feed(reporter, started({"Fit": 2, "Score": 1}, {"Fit": 1}), done(Fit(7), Outcome.LOADED))
    feed(reporter, failed(Fit(1)), skipped, done(Fit(2), Outcome.CANCELLED), over(1))
    text = stream.getvalue()
    assert "loaded Fit" not in text and "Fit(seed=7" not in text and "Fit(seed=2" not in text
    assert text.splitlines()[1] == "failed Fit(seed=1, name=''): ValueError: no data"
    assert text.endswith(
        "skipped because Fit(seed=1, name='') failed: 1 task\n"
        "Failed after 3 min 5 s: 1 loaded, 1 failed, 1 skipped, 1 cancelled\n"
        "1 result came from the cache\n"
        "run the failed tasks again with: labtech run x\n"
    )


def test_in_a_run_of_many_tasks_only_failures_and_heartbeats_are_listed():
    stream = io.StringIO()
    reporter = PlainReporter(stream)
    feed(reporter, started({"Fit": 10_000}), *[done(Fit(n)) for n in range(1_234)], failed(Fit(5_000)))
    for seconds in range(60):
        reporter.tick(T0 + seconds, lambda: running(Fit(6_000), Fit(6_001)))
    assert stream.getvalue().splitlines() == [
        "10,000 tasks to run, with 4 workers",
        "failed Fit(seed=5000, name=''): ValueError: no data",
        "1,235 of 10,000 done, 2 running, 1 failed, about 4 min left",
    ]


def test_what_tasks_print_is_labelled_and_harmless():
    stream = io.StringIO()
    reporter = PlainReporter(stream)
    feed(
        reporter,
        started({"Fit": 1}),
        wrote(Fit(1), "\x1b[31mepoch 1\x1b[0m\n\nepoch 2\n"),
        warned("mind\nthis"),
    )
    assert stream.getvalue().splitlines()[1:] == [
        "Fit(seed=1, name='') | epoch 1",
        "Fit(seed=1, name='') | ",
        "Fit(seed=1, name='') | epoch 2",
        "warning: mind",
        "  this",
    ]


def test_there_is_colour_only_when_asked_for():
    plain, coloured = io.StringIO(), io.StringIO()
    for reporter in (PlainReporter(plain), PlainReporter(coloured, colour=True)):
        feed(reporter, started({"Fit": 1}), failed(Fit(1)), over(1))
    assert "\x1b" not in plain.getvalue()
    assert "\x1b[31mfailed Fit(seed=1, name=''): ValueError: no data\x1b[0m\n" in coloured.getvalue()


def test_the_summary_comes_once_also_without_the_last_event():
    stream = io.StringIO()
    reporter = PlainReporter(stream)
    feed(reporter, started({"Fit": 1}))
    reporter.close()
    reporter.close()
    reporter.tick(T0 + 99, list)
    assert stream.getvalue().count("Stopped after") == 1 and stream.getvalue().endswith("no tasks\n")
    PlainReporter(stream).close()
    assert stream.getvalue().endswith("no tasks\n")


def test_a_stream_that_is_not_utf8_gets_escapes_instead_of_an_error():
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding="ascii")
    feed(PlainReporter(stream), started({"Fit": 1}), wrote(Fit(1), "日本\n"))
    assert b"Fit(seed=1, name='') | \\u65e5\\u672c\n" in raw.getvalue()


def test_without_progress_a_good_run_is_silent():
    stream = io.StringIO()
    feed(QuietReporter(stream), started({"Fit": 1}), wrote(Fit(1), "hello"), done(Fit(1)), over())
    assert stream.getvalue() == ""


def test_without_progress_warnings_and_failures_are_told():
    stream = io.StringIO()
    reporter = QuietReporter(stream, rerun_command="labtech run x")
    feed(reporter, started({"Fit": 1}), warned("careful"), failed(Fit(1)))
    assert stream.getvalue() == "warning: careful\n"
    feed(reporter, over(1))
    reporter.close()
    assert stream.getvalue().count("Fit(seed=1, name='') failed\n  ValueError: no data") == 1
    assert stream.getvalue().endswith("run the failed tasks again with: labtech run x\n")


def test_plain_progress_does_not_import_what_draws():
    code = (
        "import sys; from labtech_cli.report.progress import make_progress\n"
        "make_progress('auto', open('/dev/null', 'w'), environ={})\n"
        "print([name for name in ('rich', 'psutil') if name in sys.modules])"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout == "[]\n"


def test_of_what_a_task_prints_so_much_is_shown_and_then_where_the_rest_is():
    stream = io.StringIO()
    reporter = PlainReporter(stream, log_command=lambda run, key: f"labtech runs logs {run}")
    feed(reporter, started({"Fit": 2}), wrote(Fit(1), "x\n" * (MOST_OF_A_TASK - 1)), wrote(Fit(2), "y" * 3_000))
    feed(reporter, wrote(Fit(1), "last\nmore\n"), wrote(Fit(1), "x\n" * 5), wrote(Fit(2), "z\n"))
    lines = stream.getvalue().splitlines()[MOST_OF_A_TASK:]
    assert lines == [
        "Fit(seed=2, name='') | " + "y" * 2_000 + "… and 1,000 more characters",
        "Fit(seed=1, name='') | last",
        "Fit(seed=1, name='') | … more is in its log: labtech runs logs r1",
        "Fit(seed=2, name='') | z",
    ]


def test_of_what_all_tasks_print_so_much_is_shown(monkeypatch):
    monkeypatch.setattr(plain, "MOST_OF_ALL", 5)
    stream = io.StringIO()
    feed(PlainReporter(stream), started({"Fit": 2}), *[wrote(Fit(n), "x\nx\n") for n in range(10)], done(Fit(0)))
    assert [line.partition(" | ")[2] for line in stream.getvalue().splitlines()[1:]] == [
        *["x"] * 5, "… more is in its log", "", ""
    ]  # fmt: skip
    assert "nothing more is shown here after 5 lines" in stream.getvalue()


def test_a_task_that_runs_again_may_print_again():
    stream = io.StringIO()
    reporter = PlainReporter(stream)
    text = "x\n" * MOST_OF_A_TASK
    feed(reporter, started({"Fit": 1}), wrote(Fit(1), text), done(Fit(1)), wrote(Fit(1), text))
    assert stream.getvalue().count("| x\n") == 2 * MOST_OF_A_TASK and "more is in" not in stream.getvalue()


def test_a_task_that_is_tried_again_and_again_has_two_lines():
    stream = io.StringIO()
    reporter = PlainReporter(stream)
    feed(reporter, started({"Fit": 1}))
    for attempt in range(1, 5):
        feed(reporter, retried(Fit(1), attempt))
        reporter.tick(T0 + 7 * attempt, lambda: running(Fit(1)))
    feed(reporter, failed(Fit(1)))
    assert stream.getvalue().splitlines()[1:] == [
        "retrying Fit(seed=1, name='') in 1.0 s: attempt 1 failed: ValueError: no data",
        "failed Fit(seed=1, name=''): ValueError: no data",
    ]


@pytest.mark.parametrize("quiet", [False, True])
def test_under_github_actions_no_text_of_a_task_is_a_command(quiet):
    stream = io.StringIO()
    reporter = make_progress("none" if quiet else "plain", stream, environ={"GITHUB_ACTIONS": "true"})
    evil = "::stop-commands::x\n  ::error::y\n\xa0::set-env name=x::y\nhello ##[error]z\n####[group]"
    feed(reporter, started({"Fit": 1}), wrote(Fit(1, "##[error]"), evil), warned(evil))
    feed(reporter, failed(Fit(1, "##[error]"), evil, evil, evil), over(1))
    lines = stream.getvalue().splitlines()
    assert not [line for line in lines if line.lstrip().startswith("::") or "##[" in line]
    assert any(": :error::y" in line for line in lines)
    assert any("hello ## [error]z" in line for line in lines)


def test_elsewhere_the_text_of_a_task_is_as_it_is():
    stream = io.StringIO()
    reporter = make_progress("plain", stream, environ={})
    feed(reporter, started({"Fit": 1}), failed(Fit(1), "one\n::two ##[three]"), over(1))
    assert "  ::two ##[three]" in stream.getvalue().splitlines()
