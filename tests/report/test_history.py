"""A run written down, and read again whatever became of the writer."""

from __future__ import annotations

import contextlib
import errno
import json
import os
from pathlib import Path
from typing import Any

import pytest
from report_events import T0, Fit, Score, done, feed, over, running, started, warned, wrote

from labtech_cli.core.decorate import task
from labtech_cli.core.events import Failure, Outcome, TaskOutput, TaskRetried
from labtech_cli.core.present import params_json
from labtech_cli.report import history
from labtech_cli.report.history import ABOUT, EVENTS, OUTPUT, HistoryWriter
from labtech_cli.report.past import Past, past_run, past_runs

RUN = "20260725-101500-abcdef"


@task
class Odd:
    name: str
    number: float
    big: int
    parts: dict[str, Any]

    def run(self) -> None: ...


class Kept:
    """A writer, what it warned of, and what can be read of its run."""

    def __init__(self, folder: Path) -> None:
        self.warnings: list[OSError] = []
        self.folder = folder / RUN
        self.writer = HistoryWriter(self.folder, {"run_id": RUN}, self.warnings.append)

    def past(self) -> Past:
        return past_run(self.folder.parent, RUN)


@pytest.fixture
def kept(tmp_path: Path) -> Kept:
    return Kept(tmp_path / "history")


def test_a_run_is_read_as_it_was_written(kept: Kept) -> None:
    fit, score, lost = Fit(1, 'a "b"\n\ud800é'), Score(Fit(2)), Score(Fit(1))
    error = Failure("ValueError", "no data", "trace", "")
    retried = TaskRetried("r1", T0 + 1, fit, 1, Failure("OSError", "busy", "trace", "out"), 0.5, 0.25, 100)
    feed(
        kept.writer,
        started({"Fit": 2}, {"Score": 1}),
        retried,
        done(fit, Outcome.FAILED, error=error, at=T0 + 4, seconds=2.0, peak_memory_bytes=7),
        done(lost, Outcome.SKIPPED, because=fit, seconds=None),
        done(Fit(2), at=T0 + 5),
        done(score, Outcome.LOADED, seconds=None),
        warned("take care"),
        over(1, 5.0, saved_seconds=3.0),
    )
    kept.writer.close()
    past = kept.past()
    assert {name: past.about[name] for name in ("run_id", "status", "exit_code", "duration_seconds")} == {
        "run_id": RUN, "status": "failed", "exit_code": 1, "duration_seconds": 5.0,
    }  # fmt: skip
    assert past.about["started_at"] == "2023-11-14T22:13:20.000000Z" and past.about["targets"] == ["fit.py:all"]
    stories = past.stories()
    assert list(stories) == [item.cache_key for item in (fit, lost, Fit(2), score)]
    first = stories[fit.cache_key]
    assert (first.type, first.params, first.outcome) == ("Fit", {"seed": 1, "name": fit.name}, "failed")
    assert [(item["attempt"], item["error"]["message"]) for item in first.attempts] == [(1, "busy"), (1, "no data")]
    assert first.error is not None and first.error["kind"] == "ValueError" and first.peak_memory == 7
    assert first.started == T0 + 2.0
    assert (stories[lost.cache_key].outcome, stories[lost.cache_key].because) == ("skipped", fit.cache_key)
    assert (stories[score.cache_key].outcome, stories[score.cache_key].params) == ("loaded", None)
    assert past.outcomes() == {key: story.outcome for key, story in stories.items()}
    assert [event["event"] for event in past.events()][-2:] == ["warning", "run_finished"]


@pytest.mark.parametrize(
    "item", [Odd("x\n\"\\", float("nan"), 10**700, {"a": [1, None, True], "é": {}}), Odd("", -0.0, -1, {})]
)  # fmt: skip
def test_odd_parameters_are_kept_as_events_tell_them(kept: Kept, item: Odd) -> None:
    feed(kept.writer, started({"Odd": 1}), done(item), over())
    (story,) = kept.past().stories().values()
    assert story.params == json.loads(json.dumps(params_json(item)))


@task
class Join:
    parts: tuple[Any, ...]

    def run(self) -> None: ...


def test_nested_tasks_are_told_once_and_shown_inline(kept: Kept) -> None:
    """Of a dense graph, what is written is linear in tasks and dependencies."""
    feed(kept.writer, started({"Join": 40}, {"Fit": 5}))
    layer: list[Any] = [Fit(number) for number in range(5)]  # loaded: they have no lines of their own
    made = []
    for _ in range(8):
        layer = [Join((number, *layer)) for number in range(5)]
        made += layer
    feed(kept.writer, *[done(item) for item in made], over())
    past = kept.past()
    assert [event["event"] for event in past.events()].count("task_named") == 5
    stories = past.stories()
    assert len(stories) == len(made)
    assert stories[made[-1].cache_key].params == params_json(made[-1])
    assert stories[made[0].cache_key].params == params_json(made[0])
    assert (past.folder / EVENTS).stat().st_size < 1_000 * len(made)


def test_parameters_that_name_each_other_in_circles_end(kept: Kept) -> None:
    """No run writes such; a history is a file that anybody may have written to."""
    feed(kept.writer, started({"Fit": 1}), done(Fit(1)), over())
    key = Fit(1).cache_key
    line = {"event": "task_named", "key": key, "params": {"a": {"type": "Fit", "key": key}}}
    with (kept.folder / EVENTS).open("a") as file:
        file.write(json.dumps(line) + "\n")
    (story,) = kept.past().stories().values()
    assert json.dumps(story.params).count('"params"') == 3


def test_output_is_kept_as_bytes_in_order_by_task(kept: Kept) -> None:
    junk = TaskOutput("r1", T0, Fit(1), b"\xff\0\r junk, no newline")
    feed(kept.writer, started({"Fit": 2}), wrote(Fit(1), "a\n"), wrote(Fit(2), "b\n"), junk, done(Fit(1)))
    kept.writer.tick(T0, list)
    past = kept.past()
    stories = past.stories()
    assert b"".join(past.output(stories[Fit(1).cache_key])) == b"a\n\xff\0\r junk, no newline"
    assert b"".join(past.output(stories[Fit(2).cache_key])) == b"b\n"
    assert stories[Fit(2).cache_key].outcome is None and stories[Fit(2).cache_key].type == "Fit"
    kept.writer.close()


def test_a_task_that_takes_long_is_known_before_it_ends(kept: Kept) -> None:
    feed(kept.writer, started({"Fit": 2}))
    for _ in range(2):
        kept.writer.tick(T0 + 2, lambda: [*running(Fit(1)), *running(Fit(2), since=T0 + 1.9)])
    assert [event["event"] for event in kept.past().events()] == ["run_started", "task_started"]
    (story,) = kept.past().stories().values()
    assert (story.key, story.params, story.started) == (Fit(1).cache_key, {"seed": 1, "name": ""}, T0)
    kept.writer.close()


@pytest.mark.parametrize("cut", [1, 10, 60])
def test_a_torn_last_line_and_foreign_ones_are_passed_over(kept: Kept, cut: int) -> None:
    feed(kept.writer, started({"Fit": 2}), done(Fit(1)), done(Fit(2)), over())
    events = kept.folder / EVENTS
    lines = events.read_bytes().splitlines(keepends=True)
    foreign = [b"\xff\0\n", b"[]\n", b'{"event":"task_finished"}\n', b'{"event":"task_output","key":"x","start":-1}\n']
    nested = b"[" * 100_000 + b"\n"
    events.write_bytes(b"".join([lines[0], *foreign, nested, lines[1]]) + lines[2][:-cut])
    past = kept.past()
    assert Fit(1).cache_key in past.stories() and Fit(1).cache_key in past.outcomes()
    assert (Fit(2).cache_key in past.stories()) == (cut == 1)  # the newline alone is no loss
    (kept.folder / ABOUT).write_bytes(b'{"status": "runn')
    assert kept.past().about == {}


def test_places_that_lead_out_of_the_output_read_nothing(kept: Kept) -> None:
    feed(kept.writer, started({"Fit": 1}), wrote(Fit(1), "abc"), over())
    line = json.dumps(
        {"event": "task_output", "key": Fit(1).cache_key, "type": "Fit", "start": 1 << 60, "size": 1 << 40}
    )
    with open(kept.folder / EVENTS, "a") as file:
        file.write(line + "\n" + line.replace(str(1 << 40), "5") + "\n")
    past = kept.past()
    assert b"".join(past.output(past.stories()[Fit(1).cache_key])) == b"abc"


@pytest.mark.parametrize("broken", [EVENTS, OUTPUT, "folder"])
def test_a_full_disk_is_one_warning_and_the_end_is_told_if_it_can_be(
    kept: Kept, broken: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(file: int, data: bytes) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    if broken == "folder":
        kept.folder.parent.write_text("a file")
    feed(kept.writer, started({"Fit": 1}))
    if broken != "folder":
        monkeypatch.setattr(history, "_write", full)
    feed(kept.writer, wrote(Fit(1), "x") if broken == OUTPUT else done(Fit(1)))
    for _ in range(3):
        kept.writer.tick(T0, list)
        feed(kept.writer, done(Fit(1)))
    feed(kept.writer, over())
    kept.writer.close()
    assert len(kept.warnings) == 1
    if broken != "folder":
        assert kept.past().about["status"] == "succeeded" and kept.past().about["incomplete"] is True


@pytest.mark.parametrize(("error", "status"), [(KeyboardInterrupt, "interrupted"), (ValueError, "failed")])
def test_a_run_that_raises_has_ended(kept: Kept, error: type[BaseException], status: str) -> None:
    feed(kept.writer, started({"Fit": 1}), done(Fit(1)))
    with pytest.raises(error), contextlib.closing(kept.writer):
        raise error
    assert kept.past().about["status"] == status and len(kept.past().stories()) == 1


def test_runs_are_listed_newest_first_and_nothing_else_is(tmp_path: Path) -> None:
    for name in ("20260101-000000-aaaaaa", "20270101-000000-aaaaaa", "junk", "20260101-000000-aaaaaa.tmp"):
        (tmp_path / name).mkdir()
    (tmp_path / "20280101-000000-aaaaaa").write_text("no folder")
    assert [run.run_id[:4] for run in past_runs(tmp_path)] == ["2027", "2026"]
    assert not list(past_runs(tmp_path / "nowhere"))


def test_the_files_of_a_run_do_not_grow_in_number_with_its_tasks(kept: Kept) -> None:
    feed(kept.writer, started({"Fit": 5_000}))
    for number in range(5_000):
        feed(kept.writer, wrote(Fit(number), f"{number}\n"), done(Fit(number)))
    feed(kept.writer, over())
    assert sorted(os.listdir(kept.folder)) == [EVENTS, OUTPUT, ABOUT]
    past = kept.past()
    stories = past.stories()
    assert all(b"".join(past.output(stories[Fit(n).cache_key])) == b"%d\n" % n for n in (0, 2_500, 4_999))
