from __future__ import annotations

import os
import tracemalloc
from dataclasses import field
from pathlib import Path

import pytest
from junit_kit import by_name, suite_of
from junitparser import Error, Failure, Skipped
from report_events import T0, TRACEBACK, Fit, Score, begun, done, failed, feed, over, started, wrote

from labtech_cli.core import events
from labtech_cli.core.decorate import task
from labtech_cli.core.events import Outcome
from labtech_cli.report import junit
from labtech_cli.report.junit import JUnitReporter


@task
class Hidden:
    seed: int
    secret: int = field(default=0, repr=False)

    def run(self) -> None: ...


def report(folder: Path, *told: object, name: str = "junit.xml") -> Path:
    file = folder / name
    reporter = JUnitReporter(file)
    feed(reporter, *told)
    assert not file.exists()
    reporter.close()
    assert [path.name for path in folder.iterdir()] == [name]
    return file


def died(item: object) -> events.TaskFinished:
    return done(item, Outcome.FAILED, error=events.Failure("TaskDied", "its worker process was killed by SIGKILL"))


def test_each_outcome_is_what_consumers_call_it(tmp_path):
    file = report(
        tmp_path,
        started({"Fit": 4, "Score": 1}, {"Fit": 1}),
        done(Fit(0), Outcome.LOADED, seconds=None),
        begun(Fit(1)),
        wrote(Fit(1), "fitting\n"),
        done(Fit(1), seconds=1.5),
        failed(Fit(2)),
        done(Score(Fit(2)), Outcome.SKIPPED, seconds=None, because=Fit(2)),
        died(Fit(3)),
        done(Fit(4), Outcome.CANCELLED, seconds=None),
        over(1),
    )
    suite = suite_of(file)
    assert (suite.tests, suite.failures, suite.errors, suite.skipped) == (6, 1, 1, 2)
    assert (suite.name, suite.time, suite.timestamp) == ("fit.py:all", 185.0, "2023-11-14T22:13:20")
    assert suite.hostname == os.uname().nodename
    assert {item.name: item.value for item in suite.properties()} == {
        "run_id": "r1",
        "runner": "process",
        "workers": "4",
        "exit_status": "1",
    }
    cases = by_name(suite)
    loaded, ran, broke, skipped, dead, cancelled = cases.values()
    assert (loaded.name, loaded.time, loaded.system_out) == ("Fit(seed=0, name='')", 0.0, "loaded from the cache")
    assert (ran.time, ran.system_out, ran.is_passed) == (1.5, "fitting", True)
    assert {case.classname for case in (loaded, ran, broke)} == {Fit.__labtech__.name}
    assert skipped.classname == Score.__labtech__.name
    (failure,) = broke.result
    assert (type(failure), failure.type, failure.message, failure.text) == (Failure, "ValueError", "no data", TRACEBACK)
    (error,) = dead.result
    assert (type(error), error.type) == (Error, "TaskDied") and "SIGKILL" in error.message
    assert [type(case.result[0]) for case in (skipped, cancelled)] == [Skipped, Skipped]
    assert skipped.result[0].message == "because Fit(seed=2, name='') failed"
    assert cancelled.result[0].message == "cancelled: the run stopped first"


def test_text_that_xml_cannot_hold_is_made_harmless(tmp_path):
    evil = "\x00\x1b[31m<b>]]>&\"'\x1b[0m\ud800\ufffe\n\tnext\u2028"
    file = report(
        tmp_path,
        started({"Fit": 1}),
        wrote(Fit(1, evil), evil),
        failed(Fit(1, evil), evil, "tb " + evil),
        over(1),
    )
    (case,) = suite_of(file)
    assert case.result[0].text == "tb <b>]]>&\"'\ufffd\ufffd\n        next"
    assert case.system_out == "<b>]]>&\"'\\xed\\xa0\\x80\ufffd\n        next"  # bytes that are not UTF-8
    assert case.result[0].message == "<b>]]>&\"'\ufffd\ufffd\n        next"  # line breaks survive in attributes
    assert "seed=1" in case.name


def test_names_that_would_be_alike_are_told_apart(tmp_path):
    items = [Fit(1, "x" * 300), Fit(1, "x" * 301), Hidden(1, 2), Hidden(1, 3)]
    suite = suite_of(report(tmp_path, started({"Fit": 4}), *map(done, items), over()))
    names = list(by_name(suite))
    assert [name[-14:] for name in names] == [f"[{item.cache_key[:12]}]" for item in items]
    assert max(map(len, names)) < 220


def test_texts_are_bounded_each_and_together(tmp_path, monkeypatch):
    long = "".join(f"line {n}\n" for n in range(10_000))
    told = [started({"Fit": 3}), *[wrote(Fit(1), long) for _ in range(3)]]
    (case,) = suite_of(report(tmp_path, *told, failed(Fit(1), "m" * 5_000, long), over(1)))
    assert len(case.system_out) <= junit.MOST_TEXT and case.system_out.endswith("line 9999")
    assert case.result[0].text.startswith("… its last 16,000 characters:") and len(case.result[0].message) == 1_000
    monkeypatch.setattr(junit, "MOST_TEXTS", 10)
    (tmp_path / "junit.xml").unlink()
    first, second = suite_of(report(tmp_path, *told, done(Fit(1)), failed(Fit(2)), over(1)))
    assert first.system_out == "left out: the report is too large" == second.result[0].text
    assert second.result[0].message == "no data"


def test_a_run_that_ended_too_early_is_an_error_and_a_run_that_never_began_leaves_the_file(tmp_path):
    suite = suite_of(report(tmp_path, started({"Fit": 2}), done(Fit(1), at=T0 + 2)))
    assert (suite.tests, suite.errors, suite.time) == (2, 1, 2.0)
    assert "before it ended" in by_name(suite)["run"].result[0].message
    before = (tmp_path / "junit.xml").read_bytes()
    JUnitReporter(tmp_path / "junit.xml").close()
    assert (tmp_path / "junit.xml").read_bytes() == before


def test_an_empty_run_is_an_empty_suite(tmp_path):
    assert suite_of(report(tmp_path, started({}), over())).tests == 0


def test_where_it_cannot_be_written_is_known_before_the_run(tmp_path):
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe")
    for name, said in (("no/x.xml", "No such file"), ("folder", "is a directory"), ("pipe", "not a regular file")):
        with pytest.raises(OSError, match=said):
            JUnitReporter(tmp_path / name)
    with pytest.raises(OSError, match="not a regular file"):
        JUnitReporter(Path("/dev/null"))


def test_a_link_stays_one_and_what_it_leads_to_is_replaced(tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "link.xml").symlink_to("real/junit.xml")
    reporter = JUnitReporter(tmp_path / "link.xml")
    feed(reporter, started({}), over())
    reporter.close()
    assert (tmp_path / "link.xml").is_symlink()
    assert suite_of(tmp_path / "real" / "junit.xml").tests == 0


def test_a_report_with_gaps_is_not_written(tmp_path):
    reporter = JUnitReporter(tmp_path / "junit.xml")
    feed(reporter, started({"Fit": 1}))
    reporter._cases.close()
    reporter._cases = open("/dev/full", "wb", buffering=0)  # noqa: SIM115 - closed by the reporter
    with pytest.raises(OSError, match="No space left"):
        feed(reporter, done(Fit(1)))
    reporter.close()
    assert list(tmp_path.iterdir()) == []


def test_memory_does_not_grow_with_tasks(tmp_path):
    reporter = JUnitReporter(tmp_path / "junit.xml")
    feed(reporter, started({"Fit": 10_000}))
    tracemalloc.start()
    for seed in range(10_000):
        feed(reporter, wrote(Fit(seed), "some output\n" * 10), done(Fit(seed)))
    feed(reporter, over())
    reporter.close()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 500_000  # 100,000 tasks take no more
    assert suite_of(tmp_path / "junit.xml").tests == 10_000
