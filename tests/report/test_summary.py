from __future__ import annotations

from report_events import T0, Fit, Score, done, failed, over, started, warned

from labtech_cli.core.events import Failure, Outcome
from labtech_cli.report.summary import MOST_FAILURES, Tally, ending, failure_line, headline, warning_lines


def tally_of(*events):
    tally = Tally()
    for event in events:
        tally.add(event)
    return tally


def text_of(tally, **commands):
    return "\n".join(text for text, _ in ending(tally, **commands))


def test_counts_are_kept_by_type_and_by_outcome():
    tally = tally_of(
        started({"Fit": 2, "Score": 1}, {"Fit": 1}),
        done(Fit(1)),
        done(Fit(2), Outcome.LOADED),
        failed(Fit(3)),
        done(Score(Fit(3)), Outcome.SKIPPED, because=Fit(3)),
    )
    fit, score = tally.types["Fit"], tally.types["Score"]
    assert (fit.total, fit.ended, fit.failed, fit.loaded) == (3, 3, 1, 1)
    assert (score.total, score.ended, score.failed) == (1, 1, 0)
    assert tally.counts == {"succeeded": 1, "loaded": 1, "failed": 1, "skipped": 1, "cancelled": 0}
    assert (tally.ended, tally.total, tally.to_run) == (4, 4, 3)


def test_a_good_run_ends_in_two_lines():
    tally = tally_of(
        started({"Fit": 1}, {"Fit": 2}),
        done(Fit(1)),
        done(Fit(2), Outcome.LOADED),
        done(Fit(3), Outcome.LOADED),
        over(saved_seconds=7440.0),
    )
    assert list(ending(tally, "labtech run fit.py:all")) == [
        ("Done in 3 min 5 s: 1 succeeded, 2 loaded", "green"),
        ("2 results came from the cache and saved 2 h 4 min", ""),
    ]


def test_a_failure_is_told_with_its_error_traceback_last_output_and_log():
    tally = tally_of(started({"Fit": 1}), failed(Fit(1), output="epoch 1\n\x1b[2Jepoch 2\n"), over(exit_code=1))
    assert text_of(
        tally, rerun_command="labtech run fit.py:all", log_command=lambda run, key: f"labtech runs logs {run}"
    ) == (
        "\n"
        "Fit(seed=1, name='') failed\n"
        "  ValueError: no data\n"
        "    Traceback (most recent call last):\n"
        '      File "fit.py", line 3, in run\n'
        "        fit()\n"
        "  last output:\n"
        "    epoch 1\n"
        "    epoch 2\n"
        "  log: labtech runs logs r1\n"
        "\n"
        "Failed after 3 min 5 s: 1 failed\n"
        "run the failed tasks again with: labtech run fit.py:all --failed"
    )


def test_the_same_traceback_is_told_once():
    tally = tally_of(started({"Fit": 2}), failed(Fit(1)), failed(Fit(2)), over(1))
    text = text_of(tally)
    assert text.count("Traceback") == 1
    assert "Fit(seed=2, name='') failed\n  ValueError: no data\n  at the same place as Fit(seed=1, name='')" in text


def test_a_long_traceback_keeps_its_first_and_its_last_lines():
    long = "Traceback:\n" + "".join(f"  line {n}\n" for n in range(100))
    text = text_of(tally_of(started({"Fit": 1}), failed(Fit(1), traceback=long), over(1)))
    assert "Traceback:\n    … 72 lines left out\n" in text
    assert "line 99" in text and "line 72" in text and "line 71" not in text


def test_a_death_without_a_traceback_and_a_failure_without_an_error_are_told_too():
    killed = done(Fit(1), Outcome.FAILED, error=Failure("killed by signal 9 (out of memory)", ""))
    text = text_of(tally_of(started({"Fit": 2}), killed, done(Fit(2), Outcome.FAILED), over(1)))
    assert "Fit(seed=1, name='') failed\n  killed by signal 9 (out of memory)\n" in text
    assert "Fit(seed=2, name='') failed\n" in text


def test_skipped_tasks_are_grouped_by_the_failure_they_wait_for():
    skipped = [done(Score(Fit(3), w), Outcome.SKIPPED, because=Fit(3)) for w in (1.0, 2.0)]
    other = done(Score(Fit(4)), Outcome.SKIPPED, because=Fit(4))
    text = text_of(tally_of(started({"Score": 3}), failed(Fit(3)), failed(Fit(4)), *skipped, other, over(1)))
    assert "skipped because Fit(seed=3, name='') failed: 2 tasks\n" in text
    assert "skipped because Fit(seed=4, name='') failed: 1 task\n" in text


def test_beyond_fifty_failures_are_only_counted():
    events = [failed(Fit(n)) for n in range(60)]
    events += [done(Score(Fit(n)), Outcome.SKIPPED, because=Fit(n)) for n in range(60)]
    tally = tally_of(started({"Fit": 60, "Score": 60}), *events, over(1))
    text = text_of(tally)
    assert len(tally.failures) == len(tally.skipped) == MOST_FAILURES
    assert "… and 10 more failures" in text
    assert "skipped because of other failures: 10 tasks" in text
    assert "60 failed, 60 skipped" in text


def test_an_interrupted_run_says_so_and_offers_the_rest():
    tally = tally_of(started({"Fit": 2}), done(Fit(1)), done(Fit(2), Outcome.CANCELLED), over(130, interrupted=True))
    assert text_of(tally, rerun_command="labtech run x") == (
        "Interrupted after 3 min 5 s: 1 succeeded, 1 cancelled\nrun the rest with: labtech run x"
    )


def test_a_run_that_never_finished_tells_what_is_known():
    tally = tally_of(started({"Fit": 2}), done(Fit(1), at=T0 + 5))
    assert headline(tally) == ("Stopped after 5.0 s: 1 succeeded", "red")


def test_a_run_without_tasks_has_a_headline_too():
    assert headline(tally_of(started({}), over(seconds=0.0)))[0] == "Done in 0 s: no tasks"


def test_one_line_for_a_failure_and_lines_for_a_warning():
    assert failure_line(failed(Fit(1), "first\nsecond"))[0] == "failed Fit(seed=1, name=''): ValueError: first"
    assert warning_lines(warned("one\ntwo\x1b[2J")) == [("warning: one", "yellow"), ("  two", "yellow")]


def test_the_time_left_goes_from_past_durations_to_the_pace_of_this_run():
    tally = tally_of(started({"Fit": 4}, {"Fit": 5}, estimate=100.0))
    assert tally.remaining(T0 + 10) == 90
    assert tally.remaining(T0 + 200) is None
    tally.add(done(Fit(9), Outcome.LOADED))
    assert tally.remaining(T0 + 10) == 90
    tally.add(done(Fit(1)))
    tally.add(done(Fit(2)))
    assert tally.remaining(T0 + 30) == 50 * 0.5 + 30 * 0.5
    tally.add(done(Fit(3)))
    tally.add(done(Fit(4)))
    assert tally.remaining(T0 + 60) == 0


def test_without_past_durations_the_time_left_follows_the_pace():
    tally = tally_of(started({"Fit": 4}))
    assert tally.remaining(T0 + 10) is None
    tally.add(done(Fit(1)))
    assert tally.remaining(T0 + 10) == 30
    assert tally_of(started({}, {"Fit": 1})).remaining(T0) is None


def test_whatever_a_task_says_its_failure_has_few_and_short_lines():
    endless = "".join(f"line {number} {'x' * 10_000}\n" for number in range(1_000))
    tally = tally_of(started({"Fit": 1}), failed(Fit(1), endless, endless, endless), over(1))
    lines = text_of(tally).splitlines()
    assert len(lines) < 100 and max(map(len, lines)) < 2_100
    assert "  ValueError: line 0 xxx" in text_of(tally) and "line 999 xxx" in text_of(tally)
