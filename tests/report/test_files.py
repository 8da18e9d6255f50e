from __future__ import annotations

import io
import json
import os
import time

import pytest
from report_events import T0, Fit, Score, begun, done, failed, feed, over, started, warned, wrote

from labtech_cli.core.events import Outcome
from labtech_cli.report.files import EventWriter, event_json

HEAD = {"schema": "labtech.event/1", "run_id": "r1", "time": "2023-11-14T22:13:20.000000Z"}


def test_every_event_has_schema_run_and_time_in_utc():
    events = [started({"Fit": 1}), begun(Fit(1)), wrote(Fit(1), "x"), warned("w"), done(Fit(1))]
    for event in events:
        shown = event_json(event)
        assert {name: shown[name] for name in HEAD} == HEAD


def test_a_finished_task_says_what_it_was_and_how_it_ended():
    item = Score(Fit(1))
    assert event_json(done(item, seconds=1.5, peak_memory_bytes=7)) == {
        **HEAD,
        "event": "task_finished",
        "outcome": "succeeded",
        "key": item.cache_key,
        "type": "Score",
        "params": {
            "fit": {"type": "Fit", "key": Fit(1).cache_key, "params": {"seed": 1, "name": ""}},
            "weight": 1.0,
        },
        "attempt": 1,
        "duration_seconds": 1.5,
        "peak_memory_bytes": 7,
        "error": None,
        "because": None,
    }


def test_failures_and_what_they_caused():
    shown = event_json(failed(Fit(1), traceback="tb", output="out"))
    assert shown["error"] == {"kind": "ValueError", "message": "no data", "traceback": "tb", "output": "out"}
    assert event_json(done(Score(Fit(1)), Outcome.SKIPPED, because=Fit(1)))["because"] == Fit(1).cache_key


def test_the_other_events():
    assert event_json(started({"Fit": 2}, {"Fit": 1}, 3.5)) == {
        **HEAD,
        "event": "run_started",
        "targets": ["fit.py:all"],
        "workers": 4,
        "runner": "process",
        "to_run": {"Fit": 2},
        "to_load": {"Fit": 1},
        "estimated_seconds": 3.5,
    }
    assert event_json(warned("w"))["event"] == "warning" and event_json(warned("w"))["message"] == "w"
    output = event_json(wrote(Fit(1), "a\n"))
    assert (output["event"], output["text"], output["key"]) == ("task_output", "a\n", Fit(1).cache_key)
    assert event_json(begun(Fit(1)))["event"] == "task_started" and event_json(begun(Fit(1)))["attempt"] == 1
    finished = event_json(over(1, saved_seconds=2.0))
    assert (finished["event"], finished["exit_code"], finished["duration_seconds"]) == (
        "run_finished",
        1,
        185.0,
    )
    assert set(finished["counts"]) == {"succeeded", "loaded", "failed", "skipped", "cancelled"}


def test_what_is_no_event_is_left_out():
    stream = io.StringIO()
    assert event_json(object()) is None
    feed(EventWriter(stream), object())
    assert stream.getvalue() == ""


def test_one_object_a_line_in_strict_json():
    stream = io.StringIO()
    feed(
        EventWriter(stream),
        wrote(Fit(1), "a\nb é\x1b"),
        done(Score(Fit(1), float("nan")), seconds=float("inf")),
    )
    lines = stream.getvalue().splitlines()
    first, second = [json.loads(line, parse_constant=pytest.fail) for line in lines]
    assert first["text"] == "a\nb é\x1b" and "é" in lines[0]
    assert second["params"]["weight"] == "nan" and second["duration_seconds"] is None


@pytest.mark.parametrize("encoding", ["utf-8", "ascii"])
def test_half_a_surrogate_pair_or_a_poor_encoding_is_escaped(encoding):
    raw = io.BytesIO()
    writer = EventWriter(io.TextIOWrapper(raw, encoding=encoding))
    feed(writer, warned("half \ud800 é"), warned("next"), over())
    texts = [json.loads(line).get("message") for line in raw.getvalue().splitlines()]
    assert texts == ["half \ud800 é", "next", None]


def test_events_are_flushed_by_the_clock_and_at_the_end():
    raw = io.BytesIO()
    writer = EventWriter(io.TextIOWrapper(raw, encoding="utf-8"))
    feed(writer, begun(Fit(1)))
    assert raw.getvalue() == b""
    writer.tick(T0, list)
    assert raw.getvalue().count(b"\n") == 1
    feed(writer, begun(Fit(2)), over())
    assert raw.getvalue().count(b"\n") == 3
    feed(writer, warned("late"))
    writer.close()
    assert raw.getvalue().count(b"\n") == 4
    assert writer.interval <= 0.25


def test_the_stream_is_closed_only_when_that_was_asked():
    kept, closed = io.StringIO(), io.StringIO()
    EventWriter(kept).close()
    EventWriter(closed, close_stream=True).close()
    assert (kept.closed, closed.closed) == (False, True)


def test_a_reader_that_went_away_is_remembered_and_the_run_goes_on():
    reading, writing = os.pipe()
    os.close(reading)
    writer = EventWriter(os.fdopen(writing, "w"), close_stream=True)
    feed(writer, begun(Fit(1)))
    assert not writer.broken
    writer.tick(T0, list)
    assert writer.broken
    feed(writer, begun(Fit(1)), over())
    writer.tick(T0, list)
    writer.close()


def test_other_errors_are_for_the_fan_out():
    stream = io.StringIO()
    stream.close()
    with pytest.raises(ValueError, match="closed"):
        feed(EventWriter(stream), begun(Fit(1)))


def test_ten_thousand_events_cost_little(tmp_path):
    tasks = [Score(Fit(n)) for n in range(5_000)]
    events = [event for item in tasks for event in (begun(item), done(item))]
    with (tmp_path / "events.jsonl").open("w", encoding="utf-8") as stream:
        writer = EventWriter(stream)
        began = time.process_time()
        feed(writer, *events)
        assert time.process_time() - began < 1.0  # about 0.15 on a quiet machine
