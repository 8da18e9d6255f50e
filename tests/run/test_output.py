"""What tasks write, on every runner: all of it, in order, bounded, whatever it is and however the task ends."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import output_tasks
import pytest
from output_tasks import JUNK, LINE, PrintsAndDies, PrintsAndWaits, PrintsBelow, PrintsMuch, PrintsOddly
from runner_kit import ALL, PROCESS, Log, execute
from runner_kit import make_lab as make_sample_lab

from labtech_cli.core.events import Event, TaskOutput
from labtech_cli.lab import Lab
from labtech_cli.project.modules import place_of
from labtech_cli.run.excerpt import HEAD_BYTES, TAIL_BYTES


def make_lab(folder: Path, runner: str, workers: int = 2) -> Lab:
    lab = make_sample_lab(folder, runner, workers)
    lab.modules = [place_of(output_tasks)]
    return lab


def written(log: Log, task: Any) -> bytes:
    return b"".join(event.data for event in log.of(TaskOutput) if event.task == task)


@pytest.mark.parametrize("runner", ALL)
def test_junk_nul_halves_and_missing_newlines_survive(tmp_path: Path, runner: str) -> None:
    tasks = [PrintsOddly(value) for value in range(3)]
    _, log = execute(make_lab(tmp_path, runner), tasks)
    for task in tasks:
        assert written(log, task) == b"binary " + JUNK + b"\na\rb\x1b[1mno newline"
        assert log.output(task).startswith("binary \\xff\x00\\x80 half: \\xe2\\x82\n")


@pytest.mark.parametrize("runner", [*PROCESS, "serial"])
def test_streams_descriptors_c_code_and_children_interleave_as_they_were_written(tmp_path: Path, runner: str) -> None:
    tasks = [PrintsBelow(value) for value in range(2)]
    _, log = execute(make_lab(tmp_path, runner), tasks)
    lines = [f"{who} {turn}" for turn in range(3) for who in ("print", "stderr", "write", "puts", "child")]
    assert [log.output(task).splitlines() for task in tasks] == [lines, lines]


@pytest.mark.parametrize("lines", [True, False], ids=["lines", "one line"])
@pytest.mark.parametrize("runner", ALL)
def test_of_64_megabytes_the_beginning_and_the_end_are_kept(tmp_path: Path, runner: str, lines: bool) -> None:
    task = PrintsMuch(1024, lines)
    result, log = execute(make_lab(tmp_path, runner), [task])
    assert result.counts["succeeded"] == 1
    data = written(log, task)
    before, gap, rest = data.partition(b"\n[... ")
    number, _, after = rest.partition(b" bytes left out ...]\n")
    assert gap and before.startswith(b"first line\n") and after.endswith(b"last line\n")
    total = len(b"first line\nlast line\n") + 1024 * len(LINE)
    kept = len(before) + len(after) + lines  # the newline before the gap is the task's own where it wrote lines
    assert int(number.replace(b",", b"")) + kept == total
    assert HEAD_BYTES - (1 << 16) <= len(before) <= HEAD_BYTES and TAIL_BYTES - 16 <= len(after) <= TAIL_BYTES
    if lines:
        assert set(before.splitlines()[1:]) | set(after.splitlines()[:-1]) == {LINE[:15]}


@pytest.mark.parametrize("runner", ALL)
def test_output_up_to_the_bound_is_whole(tmp_path: Path, runner: str) -> None:
    times = (HEAD_BYTES + TAIL_BYTES) // len(LINE) - 1
    _, log = execute(make_lab(tmp_path, runner), [PrintsMuch(times)])
    assert written(log, PrintsMuch(times)) == b"first line\n" + LINE * times + b"last line\n"


@pytest.mark.parametrize("how", ["kill", "exit"])
@pytest.mark.parametrize("times", [1, 200])
@pytest.mark.parametrize("runner", PROCESS)
def test_what_was_written_before_a_death_is_kept(tmp_path: Path, runner: str, times: int, how: str) -> None:
    task = PrintsAndDies(times, how)
    result, log = execute(make_lab(tmp_path, runner), [task, PrintsOddly(1)])
    assert result.counts["failed"] == 1
    data = written(log, task)
    assert data.startswith(b"first line\n" + LINE) and data.endswith(LINE + b"last words of a child\n")
    assert (b" bytes left out ...]\n" in data) == (times == 200)
    error = log.ended(task).error
    assert error is not None and error.output.endswith("last words of a child\n")


class Watcher(Log):
    """Lets `PrintsAndWaits` end when it has heard of it."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.folder = folder

    def handle(self, event: Event) -> None:
        super().handle(event)
        if type(event) is TaskOutput:
            (self.folder / "seen").touch()


@pytest.mark.parametrize("runner", [*PROCESS, "thread"])
def test_whole_lines_are_told_while_the_task_runs(tmp_path: Path, runner: str) -> None:
    log = Watcher(tmp_path)
    lab = make_lab(tmp_path, runner)
    lab.execute(lab.prepare([PrintsAndWaits(str(tmp_path))]), [log])
    assert [event.data for event in log.of(TaskOutput)] == [b"one\ntwo\n", b"unfinished\n"]


@pytest.mark.parametrize("runner", ALL)
def test_many_printing_tasks_get_each_its_own(tmp_path: Path, runner: str) -> None:
    many = 20 if runner == "fork-per-task" else 400
    tasks = [PrintsMuch(0, bool(value % 2)) if value < 2 else PrintsOddly(value) for value in range(many)]
    _, log = execute(make_lab(tmp_path, runner), tasks)
    assert {written(log, task) for task in tasks[:2]} == {b"first line\nlast line\n"}
    assert len({written(log, task) for task in tasks[2:]}) == 1


@pytest.mark.parametrize("runner", ALL)
def test_no_descriptor_is_left(tmp_path: Path, runner: str) -> None:
    execute(make_lab(tmp_path / "first", runner), [PrintsOddly(0)])  # what is opened once, such as a library
    before = len(os.listdir("/proc/self/fd"))
    for turn in range(3):
        lab = make_lab(tmp_path / str(turn), runner)
        execute(lab, [PrintsOddly(1), PrintsMuch(40)])
        lab.close()
    deadline = time.monotonic() + 5
    while len(os.listdir("/proc/self/fd")) > before and time.monotonic() < deadline:
        time.sleep(0.01)
    assert len(os.listdir("/proc/self/fd")) <= before
