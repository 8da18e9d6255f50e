"""One execution of a task: its outcome as data, whatever it does."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from sample_tasks import After, Exits, Fails, Number, Passing, Unpicklable

from labtech_cli.core.decorate import task
from labtech_cli.errors import TaskError
from labtech_cli.run.context import Context, ContextSpec
from labtech_cli.run.guard import refuse_in_worker
from labtech_cli.run.worker import Desk, Input, Outcome, describe_failure, execute
from labtech_cli.store import formats


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(str(tmp_path), Context(ContextSpec({"a": 1})))


def run(task: Any, desk: Desk, inputs: dict[str, Input] | None = None) -> Outcome:
    return execute(task, 5, 1, inputs or {}, desk)


@task
class Peeks:
    """Reads a result that is not its own dependency's."""

    depth: After

    def run(self) -> Any:
        return self.depth.before.result


@task
class ReadsTwice:
    number: Number

    def run(self) -> Any:
        first = self.number.result
        first.append("changed")
        return first is self.number.result, first


@task
class Awkward:
    def run(self) -> None:
        raise Unprintable


class Unprintable(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no")


def test_a_result_is_saved_and_timed(desk: Desk) -> None:
    outcome = run(Number(7), desk)
    assert outcome.number == 5 and outcome.failure is None and outcome.duration >= 0 and outcome.peak_memory is None
    assert outcome.stored is not None and formats.load(Number(7), outcome.stored) == 7


def test_a_value_that_is_not_kept_stays_as_it_is_where_the_process_is_shared(desk: Desk) -> None:
    desk.keep_values = True
    assert run(Passing(2), desk).value["value"] == 2 and run(Passing(2), desk).stored is None
    desk.keep_values = False
    assert run(Passing(2), desk).stored is not None


def test_an_input_is_loaded_once_for_an_execution_and_anew_for_the_next(desk: Desk) -> None:
    given = Input(formats.save(Number(1), ["new"], desk.spool), None, 0.0, 0.0, False)
    for _ in range(2):
        outcome = run(ReadsTwice(Number(1)), desk, {Number(1).cache_key: given})
        assert outcome.stored is not None
        assert formats.load(ReadsTwice(Number(1)), outcome.stored) == (True, ["new", "changed"])


def test_a_damaged_input_is_the_failure_of_the_task_that_reads_it(desk: Desk) -> None:
    stored = formats.save(Number(1), "x" * 50, desk.spool)
    broken = stored._replace(blobs=(stored.blobs[0]._replace(digest="0"),))
    outcome = run(ReadsTwice(Number(1)), desk, {Number(1).cache_key: Input(broken, None, 0.0, 0.0, False)})
    assert outcome.failure is not None and outcome.failure.kind == "DamagedResult"


def test_results_of_others_and_results_after_the_run_are_not_available(desk: Desk) -> None:
    failure = run(Peeks(After(Number(1))), desk).failure
    assert failure is not None and failure.kind == "TaskError"
    assert "make the task a parameter" in failure.message and "Number(value=1)" in failure.message
    number = Number(3)
    run(number, desk)
    with pytest.raises(TaskError, match="no context here"):
        _ = number.context


@pytest.mark.parametrize(
    ("broken", "words"),
    [
        (Fails("no data"), "ValueError: no data"),
        (Exits(3), "SystemExit: 3"),
        (Awkward(), "Unprintable: (its message cannot be shown: RuntimeError)"),
    ],
    ids=["error", "exit", "unprintable"],
)
def test_whatever_a_task_raises_becomes_its_failure(desk: Desk, broken: Any, words: str) -> None:
    outcome = run(broken, desk)
    assert str(outcome.failure) == words and outcome.stored is None
    refuse_in_worker("run a lab")  # no task runs any more: not refused


def test_a_result_that_cannot_be_saved_leaves_no_file(desk: Desk, tmp_path: Path) -> None:
    (tmp_path / "marks").mkdir()
    failure = run(Unpicklable(str(tmp_path / "marks")), desk).failure
    assert failure is not None and "the result of type 'function' cannot be saved by PickleCache()" in failure.message
    assert [item.name for item in tmp_path.iterdir()] == ["marks"]


def test_a_traceback_starts_at_the_users_code_and_shows_causes(desk: Desk) -> None:
    failure = run(Fails("no data"), desk).failure
    assert failure is not None
    lines = failure.traceback.splitlines()
    assert lines[0] == "Traceback (most recent call last):" and "sample_tasks.py" in lines[1] and "in run" in lines[1]
    outer = ValueError("outer")
    outer.__cause__ = KeyError("inner")
    assert "KeyError: 'inner'" in describe_failure(outer).traceback


def test_an_endless_traceback_is_cut_in_the_middle() -> None:
    failure = describe_failure(ValueError("x" * 100_000))
    assert len(failure.traceback) < 40_000 and "characters left out" in failure.traceback


def test_a_message_without_end_is_kept_at_both_ends() -> None:
    failure = describe_failure(ValueError(f"first {'x' * 1_000_000} last"))
    assert failure.message.startswith("first xxx") and failure.message.endswith("xxx last")
    assert "characters left out ...]" in failure.message
    assert len(failure.message) < 9_000 and len(failure.traceback) < 34_000
