"""What one task does to its process is its own affair: no other task, and no result, suffers from it."""

from __future__ import annotations

import signal
import sys
from pathlib import Path
from typing import Any

import careless_tasks
import pytest
from careless_tasks import (
    SPOILS,
    EmptiesItsOutput,
    Forks,
    Interrupts,
    Prints,
    PrintsAfter,
    ResultForks,
    Speaks,
    SpeaksAfter,
    Spoils,
)
from runner_kit import ALL, PROCESS, descendants, execute
from runner_kit import make_lab as make_sample_lab
from sample_tasks import Number, traces

from labtech_cli.lab import Lab
from labtech_cli.project.modules import place_of
from labtech_cli.run.excerpt import EMPTIED, HEAD_BYTES


def make_lab(folder: Path, runner: str, workers: int = 1) -> Lab:
    lab = make_sample_lab(folder, runner, workers)
    lab.modules.append(place_of(careless_tasks))
    return lab


@pytest.fixture
def marks(tmp_path: Path) -> Path:
    folder = tmp_path / "marks"
    folder.mkdir()
    return folder


@pytest.mark.parametrize("runner", ALL)
def test_a_process_that_a_task_forked_ends_where_run_does(tmp_path: Path, marks: Path, runner: str) -> None:
    ways = ["returns", "exits", "exits with words", "raises"]
    tasks = [Forks(how, str(marks)) for how in ways]
    result, log = execute(make_lab(tmp_path, runner), tasks)
    assert [result.result(task) for task in tasks] == [("parent", 0), ("parent", 7), ("parent", 1), ("parent", 1)]
    assert traces(marks) == sorted(ways)
    written = [log.output(task) for task in tasks]
    assert [text.count("the child was here") for text in written] == [1, 1, 1, 1]
    assert "words of the child" in written[2] and "ValueError: raised in the child" in written[3]
    assert not descendants()


@pytest.mark.parametrize("runner", ALL)
def test_a_process_that_is_forked_while_a_result_is_saved_ends_there(tmp_path: Path, marks: Path, runner: str) -> None:
    result, log = execute(make_lab(tmp_path, runner), [ResultForks(str(marks)), *map(Number, range(3))])
    assert result.counts["succeeded"] == 4
    assert traces(marks) == ["pickled"] and (marks / "child").exists()
    assert len(log.outcomes()) == 4


@pytest.mark.parametrize("runner", [*PROCESS, "serial"])
def test_a_task_that_empties_the_output_file_harms_no_other(tmp_path: Path, marks: Path, runner: str) -> None:
    tasks: list[Any] = [EmptiesItsOutput(value) for value in range(100, 105)]  # which leave as much as they find
    for value in range(0, 30, 2):
        tasks += [Speaks(value, str(marks)), EmptiesItsOutput(value + 1)]
    _, log = execute(make_lab(tmp_path, runner), tasks)
    for task in tasks:
        lines = log.output(task).splitlines()
        if isinstance(task, Speaks):
            assert lines == [f"{way} {task.value}" for way in ("printed", "error", "written", "child")]
        else:
            assert lines == [f"before 0 of {task.value}", EMPTIED.decode().strip(), "warn", f"after 0 of {task.value}"]


@pytest.mark.parametrize(("before", "after"), [(2_000, 0), (2_000, 5_000), (0, 5)])
@pytest.mark.parametrize("runner", ["process", "serial"])
def test_of_much_that_was_emptied_the_beginning_is_kept(tmp_path: Path, runner: str, before: int, after: int) -> None:
    task = EmptiesItsOutput(0, before, after)
    _, log = execute(make_lab(tmp_path, runner), [task, EmptiesItsOutput(1)])
    text = log.output(task)
    if before:
        assert "before 0 of 0\nbefore 1 of 0\n" in text and text.count(EMPTIED.decode()) == 1
    assert text.endswith("warn\n" + "".join(f"after {turn} of 0\n" for turn in range(after)))
    assert len(text) < HEAD_BYTES


@pytest.mark.parametrize("runner", PROCESS)
def test_what_a_task_wrote_that_died_after_it_emptied_its_output_is_its_own(tmp_path: Path, runner: str) -> None:
    tasks = [*map(EmptiesItsOutput, range(3)), EmptiesItsOutput(3, before=0, after=0, dies=True)]
    _, log = execute(make_lab(tmp_path, runner), tasks)
    assert log.output(tasks[-1]).replace(EMPTIED.decode(), "") == "warn\n"
    assert [log.output(task).count("warn\n") for task in tasks] == [1, 1, 1, 1]


@pytest.mark.parametrize("how", SPOILS)
@pytest.mark.parametrize("runner", ["process", "spawn", "fork", "serial"])
def test_what_a_task_does_to_its_streams_ends_with_it(tmp_path: Path, marks: Path, runner: str, how: str) -> None:
    first = Speaks(1, str(marks))
    spoils = Spoils(how, first)
    last = SpeaksAfter(spoils, 2, str(marks))
    result, log = execute(make_lab(tmp_path, runner), [first, spoils, last])
    assert result.result(last) == "own"
    assert log.output(spoils) == "spoils\n"
    for task in (first, last):
        ways = ("printed", "error", "written", "child")
        assert log.output(task).splitlines() == [f"{way} {task.value}" for way in ways]


@pytest.mark.parametrize("how", ["closes stdout", "replaces stdout", "has no stdout", "deletes stderr"])
def test_a_thread_finds_its_streams_again_after_another_task(tmp_path: Path, how: str) -> None:
    before = sys.stdout, sys.stderr
    first = Prints(1)
    spoils = Spoils(how, first)
    last = PrintsAfter(spoils)
    result, log = execute(make_lab(tmp_path, "thread", workers=2), [first, spoils, last])
    assert result.counts["succeeded"] == 3
    assert [log.output(task) for task in (first, last)] == ["printed\nerror\n"] * 2
    assert (sys.stdout, sys.stderr) == before


@pytest.mark.parametrize("runner", PROCESS)
def test_what_a_module_prints_on_import_is_no_output_of_a_task(tmp_path: Path, runner: str) -> None:
    tasks = [Prints(1), Prints(2)]
    _, log = execute(make_lab(tmp_path, runner), tasks)
    assert [log.output(task) for task in tasks] == ["printed\nerror\n"] * 2


@pytest.mark.parametrize("runner", PROCESS)
def test_programs_that_tasks_start_can_be_interrupted_and_tasks_too(tmp_path: Path, runner: str) -> None:
    tasks = [Interrupts("sleep"), Interrupts("python"), Interrupts("itself")]
    result, _ = execute(make_lab(tmp_path, runner), tasks)
    assert [result.result(task) for task in tasks] == [-signal.SIGINT, -signal.SIGINT, "interrupted"]
