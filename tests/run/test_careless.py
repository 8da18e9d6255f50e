"""What one task does to its process is its own affair: no other task, and no result, suffers from it."""

from __future__ import annotations

from pathlib import Path

import careless_tasks
import pytest
from careless_tasks import Forks, ResultForks
from runner_kit import ALL, descendants, execute
from runner_kit import make_lab as make_sample_lab
from sample_tasks import Number, traces

from labtech_cli.lab import Lab
from labtech_cli.project.modules import place_of


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
