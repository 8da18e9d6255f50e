"""Every fault at every moment on every runner: that task fails, with the cause named, and nothing else does."""

from __future__ import annotations

from pathlib import Path

import fault_tasks
import pytest
from fault_tasks import FAULTS, MOMENTS, SHORT_OF_DEATH, AtExit, Faulty, Fine, Reads
from runner_kit import ALL, PROCESS, Log, descendants
from sample_tasks import wait_until

from labtech_cli.core.events import Outcome, TaskRetried
from labtech_cli.lab import Lab
from labtech_cli.outcome import RunResult
from labtech_cli.project.modules import place_of
from labtech_cli.run.loop import Rules

TIMEOUT = 0.4
NO_DEATHS = ("thread", "serial")
"""Runners whose tasks live in the command's own process: there, a death is the command's."""


def matrix() -> list[tuple[str, str, str]]:
    """Every fault x moment x runner that there is."""
    found = []
    for runner in ALL:
        for fault in FAULTS:
            if runner in NO_DEATHS and fault not in SHORT_OF_DEATH:
                continue
            for moment in MOMENTS:
                found.append((runner, fault, moment))
    return found


def test_the_matrix_is_as_large_as_the_notes_say() -> None:
    assert len(matrix()) == 340


def run(folder: Path, runner: str, tasks: list[object], **rules: object) -> tuple[RunResult, Log]:
    lab = Lab(storage=folder / "storage", runner_backend=runner, max_workers=2, context={"value": 1})
    lab.modules = [place_of(fault_tasks)]
    log = Log()
    return lab.execute(lab.prepare(tasks), [log], rules=Rules(True, timeout=TIMEOUT, **rules)), log  # type: ignore[arg-type]


@pytest.mark.parametrize("runner", ALL)
@pytest.mark.parametrize("moment", MOMENTS)
def test_a_fault_fails_its_task_alone_and_names_the_cause(tmp_path: Path, runner: str, moment: str) -> None:
    """All faults at once, among tasks that are fine, so that none can hide behind an idle machine."""
    faults = [fault for of, fault, when in matrix() if of == runner and when == moment]
    faulty = [Faulty(fault, moment) for fault in faults]
    readers = [Reads(task) for task in faulty]
    fine = [Fine(number) for number in range(40)]
    before = descendants()
    result, log = run(tmp_path, runner, [*readers, *fine])
    outcomes = log.outcomes()
    assert {outcomes[task] for task in fine} == {Outcome.SUCCEEDED}
    for fault, task, reader in zip(faults, faulty, readers, strict=True):
        _, kind, words = FAULTS[fault]
        blamed = reader if moment == "loaded" else task
        assert outcomes[task] is (Outcome.SUCCEEDED if moment == "loaded" else Outcome.FAILED), fault
        assert outcomes[reader] is (Outcome.FAILED if moment == "loaded" else Outcome.SKIPPED), fault
        error = log.ended(blamed).error
        at_once = ("TaskDied", "TaskTimeout", "KeyboardInterrupt", "SystemExit")
        if moment in ("saved", "loaded") and kind not in at_once:
            assert error.kind == "CacheError" and kind in error.message, f"{fault}: {error}"
        else:
            assert (error.kind, words in error.message) == (kind, True), f"{fault}: {error}"
        if moment != "loaded":
            assert error.output == f"{fault} at {moment}\n", fault
    assert result.exit_code == 1
    again, _ = run(tmp_path, runner, fine)
    assert again.counts["loaded"] == len(fine) and again.exit_code == 0
    wait_until(lambda: not descendants() - before, 10)


@pytest.mark.parametrize("runner", PROCESS)
def test_every_attempt_of_a_fault_is_told(tmp_path: Path, runner: str) -> None:
    faulty = [Faulty(fault, "run") for fault in ("raises", "is_killed", "segfaults", "exits_well", "hangs")]
    result, log = run(tmp_path, runner, [*faulty, Fine(1)], retries=2, retry_delay=0.01)
    for task in faulty:
        assert [event.attempt for event in log.of(TaskRetried) if event.task == task] == [1, 2]
        assert log.ended(task).attempt == 3
    assert result.counts["failed"] == 5 and result.counts["succeeded"] == 1


@pytest.mark.parametrize("runner", PROCESS)
@pytest.mark.parametrize("how", ["exits_badly", "hangs"])
def test_what_fails_at_the_exit_of_a_worker_harms_no_result(tmp_path: Path, runner: str, how: str) -> None:
    before = descendants()
    result, _ = run(tmp_path, runner, [AtExit(how), Fine(1), Fine(2)])
    assert result.counts["succeeded"] == 3 and result.exit_code == 0
    wait_until(lambda: not descendants() - before, 10)
