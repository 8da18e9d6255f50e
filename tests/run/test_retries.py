"""Attempts: as many as are allowed, further and further apart, and every one is told."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import psutil
import pytest
from runner_kit import ALL, PROCESS, Log, make_lab
from sample_tasks import After, Endless, FailsFirst, Number, traces, wait_until

from labtech_cli.core.decorate import task
from labtech_cli.core.events import Failure, Outcome, TaskRetried, TaskStarted, Warned
from labtech_cli.core.graph import Graph
from labtech_cli.outcome import RunResult
from labtech_cli.run.loop import Rules
from labtech_cli.run.retries import MOST_DELAY_SECONDS, Retries

ERROR = Failure("ValueError", "no")


def run(folder: Path, tasks: list[Any], runner: str = "serial", **rules: Any) -> tuple[RunResult, Log]:
    """A run whose attempts follow each other closely."""
    log, lab = Log(), make_lab(folder, runner)
    rules.setdefault("retry_delay", 0.01)
    return lab.execute(lab.prepare(tasks), [log], rules=Rules(**rules)), log


@task(retries=1)
class Own:
    run = print


def test_each_delay_is_twice_the_one_before_up_to_a_minute() -> None:
    retries = Retries(Graph([Number(1)]), most=100, delay=0.5)
    delays = [retries.grant(0, ERROR, 0.0) for _ in range(100)]
    assert delays[:4] == [0.5, 1, 2, 4] and delays[-1] == MOST_DELAY_SECONDS
    assert retries.grant(0, ERROR, 0.0) is None


def test_a_task_is_due_once_after_its_delay() -> None:
    retries = Retries(Graph([Number(1), Number(2)]), most=1, delay=2.0)
    assert retries.next_due() is None
    retries.grant(1, ERROR, 10.0)
    retries.grant(0, ERROR, 11.0)
    assert retries.next_due() == 12.0
    assert retries.due(11.9) == [] and retries.due(12.0) == [1] and retries.due(20.0) == [0] and retries.due(30.0) == []
    assert retries.attempt(0) == 2


def test_what_the_type_says_wins() -> None:
    retries = Retries(Graph([Own(), Number(1)]), most=0)
    assert retries.grant(0, ERROR, 0.0) is not None and retries.grant(0, ERROR, 0.0) is None
    assert retries.grant(1, ERROR, 0.0) is None


def test_what_no_attempt_can_help_is_not_tried_again() -> None:
    assert Retries(Graph([Number(1)]), most=5).grant(0, Failure("StorageError", "full", final=True), 0.0) is None


@pytest.mark.parametrize("runner", ALL)
def test_a_task_that_fails_is_run_again(tmp_path: Path, runner: str) -> None:
    flaky = FailsFirst(str(tmp_path), 2)
    result, log = run(tmp_path, [After(flaky)], runner, retries=2)
    assert result.counts["succeeded"] == 2 and result.exit_code == 0
    retried = log.of(TaskRetried)
    assert [(event.attempt, event.error.message) for event in retried] == [
        (1, "attempt 1 failed"), (2, "attempt 2 failed"),
    ]  # fmt: skip
    assert [event.error.output for event in retried] == ["attempt 1\n", "attempt 2\n"]
    assert [event.delay_seconds for event in retried] == [0.01, 0.02]
    assert [event.attempt for event in log.of(TaskStarted) if event.task == flaky] == [1, 2, 3]
    assert log.ended(flaky).attempt == 3 and log.ended(After(flaky)).attempt == 1


@pytest.mark.parametrize("runner", PROCESS)
def test_a_task_whose_worker_dies_is_run_again(tmp_path: Path, runner: str) -> None:
    result, log = run(tmp_path, [FailsFirst(str(tmp_path), 1, "exit")], runner, retries=1)
    assert result.counts["succeeded"] == 1
    assert "exit code 3" in log.of(TaskRetried)[0].error.message


def test_after_the_last_attempt_the_task_has_failed(tmp_path: Path) -> None:
    flaky = FailsFirst(str(tmp_path), 9)
    result, log = run(tmp_path, [After(flaky), Number(1)], retries=2, keep_going=True)
    assert result.counts == {"succeeded": 1, "loaded": 0, "failed": 1, "skipped": 1, "cancelled": 0}
    assert log.ended(flaky).attempt == 3 and len(traces(tmp_path, "tried")) == 3
    assert log.ended(flaky).error.message == "attempt 3 failed"


def test_while_a_task_waits_for_its_next_attempt_others_run(tmp_path: Path) -> None:
    others = [Number(value) for value in range(20)]
    result, log = run(tmp_path, [FailsFirst(str(tmp_path), 1), *others], retries=1, retry_delay=0.3)
    ends = [event.task for event in log.events if type(event).__name__ == "TaskFinished"]
    assert result.counts["succeeded"] == 21 and isinstance(ends[-1], FailsFirst)


def test_a_task_that_waits_when_the_run_stops_has_failed(tmp_path: Path) -> None:
    """The first failure for good ends the run: what would be tried again later is not."""
    waits, fails = FailsFirst(str(tmp_path), 9), FailsFirst(str(tmp_path / "b"), 9)
    (tmp_path / "b").mkdir()

    log, lab = Log(), make_lab(tmp_path, "serial")

    class Stop(Log):
        def handle(self, event: Any) -> None:
            if type(event) is TaskRetried:
                os.kill(os.getpid(), signal.SIGINT)

    done = lab.execute(lab.prepare([waits, fails]), [log, Stop()], rules=Rules(retries=1, retry_delay=60))
    assert log.outcomes() == {waits: Outcome.FAILED, fails: Outcome.CANCELLED}
    assert log.ended(waits).attempt == 1 and log.ended(waits).error.message == "attempt 1 failed"
    assert done.interrupted and done.exit_code == 130


@pytest.mark.parametrize("runner", [*PROCESS, "serial"])
def test_a_task_that_takes_too_long_is_ended_with_all_it_started(tmp_path: Path, runner: str) -> None:
    endless = Endless(str(tmp_path))
    result, log = run(tmp_path, [endless, Number(1), Number(2)], runner, keep_going=True)
    assert result.counts["failed"] == 1 and result.counts["succeeded"] == 2
    error = log.ended(endless).error
    assert error.kind == "TaskTimeout" and "longer than its timeout of 0.3 s" in error.message
    child = int((tmp_path / "child").read_text())
    if runner == "serial":
        os.kill(child, signal.SIGKILL)  # nothing but the task itself can be stopped there
    else:
        wait_until(lambda: not psutil.pid_exists(child) or psutil.Process(child).status() == psutil.STATUS_ZOMBIE)


def test_a_timeout_counts_for_each_attempt(tmp_path: Path) -> None:
    result, log = run(tmp_path, [Endless(str(tmp_path))], "fork", retries=1)
    assert [event.error.kind for event in log.of(TaskRetried)] == ["TaskTimeout"]
    assert log.ended(Endless(str(tmp_path))).attempt == 2 and result.exit_code == 1


def test_tasks_that_are_quick_enough_are_left_alone(tmp_path: Path) -> None:
    tasks = [Number(value) for value in range(300)]
    result, _ = run(tmp_path, tasks, "fork", timeout=30.0)
    assert result.counts["succeeded"] == 300


def test_a_runner_that_cannot_end_tasks_says_so(tmp_path: Path) -> None:
    _, log = run(tmp_path, [Number(1)], "thread", timeout=30.0)
    assert [event.message for event in log.of(Warned)] == ["the runner 'thread' cannot end tasks: no timeout holds"]
