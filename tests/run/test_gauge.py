"""A task's peak is its own: not what the process held before it, not that of the task before, and of all it started."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import memory_tasks
import pytest
from memory_tasks import MB, Exhausts, Maps, Small, Takes, TakesIn, fill
from runner_kit import PROCESS, Log, make_lab

from labtech_cli.core.events import TaskFinished
from labtech_cli.lab import Lab
from labtech_cli.project.modules import place_of
from labtech_cli.run import family, gauge
from labtech_cli.run.gauge import Gauge
from labtech_cli.run.loop import Rules


def lab_with(folder: Path, runner: str, workers: int = 1, **options: Any) -> Lab:
    lab = make_lab(folder, runner, workers, **options)
    lab.modules = [*lab.modules, place_of(memory_tasks)]
    return lab


def peaks(folder: Path, runner: str, tasks: list[Any], workers: int = 1) -> list[float]:
    """What each task took, in megabytes."""
    log, lab = Log(), lab_with(folder, runner, workers)
    lab.execute(lab.prepare(tasks), [log], rules=Rules(keep_going=True))
    by_task = {event.task: event.peak_memory_bytes for event in log.of(TaskFinished)}
    return [by_task[task] / MB for task in tasks]


@pytest.mark.parametrize("runner", PROCESS)
def test_each_task_has_a_peak_of_its_own(tmp_path: Path, runner: str) -> None:
    """A tiny task after a large one, in the same process, is as small as before it."""
    small, large, after, middle = peaks(tmp_path, runner, [Small(1), Takes(300), Small(2), Takes(100)])
    assert small < 60 and 295 < large < 370 and after < 60 and 95 < middle < 170


IN_ONE_PROCESS = """
import sys
from pathlib import Path
sys.path[:0] = [{here!r}, {here!r} + "/.."]
from memory_tasks import Small, Takes, fill
from test_gauge import peaks
data = fill(100)
print(*peaks(Path({folder!r}), "serial", [Small(1), Takes(300), Small(2), Takes(100, 0.5)]), len(data))
"""


def test_in_the_own_process_it_is_what_a_task_adds(tmp_path: Path) -> None:
    """In one without children of its own, as the command is: this one has those of other tests."""
    code = IN_ONE_PROCESS.format(here=str(Path(__file__).parent), folder=str(tmp_path))
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    small, large, after, middle, _ = map(float, done.stdout.split())
    assert small < 60 and 295 < large < 370 and after < 60 and 95 < middle < 170


def test_what_a_process_held_when_it_was_forked_does_not_count(tmp_path: Path) -> None:
    data = fill(400)
    small, large = peaks(tmp_path, "fork", [Small(1), Takes(100, 0.3)])
    assert small < 60 and 95 < large < 170 and len(data)


def test_the_memory_of_a_subprocess_counts(tmp_path: Path) -> None:
    (large,) = peaks(tmp_path, "process", [TakesIn(250, "subprocess")])
    assert 245 < large < 330


def test_pages_that_a_pool_shares_count_once(tmp_path: Path) -> None:
    (large,) = peaks(tmp_path, "process", [TakesIn(200, "pool")])
    assert 195 < large < 330


def test_mapped_files_do_not_count(tmp_path: Path) -> None:
    (tmp_path / "large").write_bytes(bytes(200 * MB))
    (small,) = peaks(tmp_path, "process", [Maps(str(tmp_path / "large"))])
    assert small < 80


def test_a_task_that_dies_is_told_with_what_it_was_last_seen_to_hold(tmp_path: Path) -> None:
    (large,) = peaks(tmp_path, "process", [Exhausts(1, str(tmp_path))])
    assert 145 < large < 220


def test_threads_cannot_be_told_apart(tmp_path: Path) -> None:
    log, lab = Log(), lab_with(tmp_path, "thread")
    lab.execute(lab.prepare([Takes(10)]), [log])
    assert [event.peak_memory_bytes for event in log.of(TaskFinished)] == [None]
    assert [row.peak_memory for row in lab.storage.rows()] == [None]


def test_the_peak_is_kept_with_the_result(tmp_path: Path) -> None:
    lab = lab_with(tmp_path, "process")
    lab.execute(lab.prepare([Takes(100)]))
    (row,) = lab.storage.rows()
    assert row.peak_memory is not None and 95 * MB < row.peak_memory < 170 * MB


def test_a_gauge_that_may_not_set_the_mark_back_still_tells_growth() -> None:
    measured = Gauge(resets=False)
    measured.begin()
    data = fill(700)
    assert 690 * MB < measured.peak() < 800 * MB and len(data)
    del data
    measured.begin()
    assert measured.peak() < 50 * MB
    measured.close()


def test_where_the_system_has_no_such_files_psutil_is_asked() -> None:
    with subprocess.Popen([sys.executable, "-S", "-c", "input()"], stdin=subprocess.PIPE) as child:
        assert child.pid in family._children_without_proc(os.getpid())
        assert gauge._resident_without_proc(child.pid) > MB
        child.communicate(b"\n")
    assert family._children_without_proc(child.pid) == [] and gauge._resident_without_proc(child.pid) == 0


def test_nothing_stays_open(tmp_path: Path) -> None:
    before = len(os.listdir("/proc/self/fd"))
    Gauge(resets=False).close()
    assert len(os.listdir("/proc/self/fd")) == before
