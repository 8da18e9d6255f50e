"""The loop on a runner and a storage that do as they are told."""

from __future__ import annotations

import sqlite3
from collections import deque
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from runner_kit import Log, execute, make_lab
from sample_tasks import After, Fails, Number

from labtech_cli.core.events import Active, Event, Outcome, RunStarted, TaskFinished, TaskOutput, TaskStarted, Warned
from labtech_cli.errors import RunnerError, StorageError
from labtech_cli.lab import Lab
from labtech_cli.run.deaths import describe_death
from labtech_cli.run.loop import Rules
from labtech_cli.run.runner import Died, Output, Report, Returned, Runner, RunnerBackend, Setting, Work
from labtech_cli.run.worker import Outcome as Ended
from labtech_cli.store import formats
from labtech_cli.store.local import LocalStorage
from labtech_cli.store.records import Record


class Scripted(Runner):
    """Answers each piece of work with what `answer` says, several at a time."""

    def __init__(self, room: int = 4) -> None:
        self.size = room
        self.queue: deque[Work] = deque()
        self.seen: list[int] = []
        self.closed = 0

    def start(self, setting: Setting) -> None:
        self.setting = setting

    def room(self) -> int:
        return self.size - len(self.queue)

    def submit(self, work: Work) -> None:
        self.queue.append(work)
        self.seen.append(work.number)

    def wait(self, timeout: float | None) -> list[Report]:
        reports: list[Report] = []
        while self.queue:
            reports += self.answer(self.queue.popleft())
        return reports

    def answer(self, work: Work) -> list[Report]:
        return [self.ended(work)]

    def ended(self, work: Work) -> Ended:
        task = self.setting.graph.tasks[work.number]
        stored = formats.save(task, work.number, self.setting.spool)
        return Ended(work.number, 1.0, 0.5, 1000, stored, None, None)

    def active(self) -> list[tuple[int, Active]]:
        return []

    def close(self) -> None:
        self.closed += 1


def lab_with(folder: Path, runner: Runner, storage: Any = None) -> Lab:
    return Lab(
        storage=storage or folder / "storage",
        runner_backend=RunnerBackend("scripted", lambda: runner),
        max_workers=2,
    )


def test_every_task_starts_and_ends_once_in_an_order_that_respects_dependencies(tmp_path: Path) -> None:
    runner, tasks = Scripted(), [After(Number(value)) for value in range(10)]
    result, log = execute(lab_with(tmp_path, runner), tasks)
    assert sorted(runner.seen) == list(range(20)) and runner.closed == 1
    position = {number: place for place, number in enumerate(runner.seen)}
    graph = runner.setting.graph
    assert all(position[dep] < position[number] for number in range(20) for dep in graph.deps[number])
    assert len(log.of(TaskStarted)) == len(log.of(TaskFinished)) == 20 and result.counts["succeeded"] == 20


def test_work_that_comes_back_is_given_again(tmp_path: Path) -> None:
    class Refusing(Scripted):
        def answer(self, work: Work) -> list[Report]:
            first = self.seen.count(work.number) == 1
            return [Returned((work.number,))] if first else [self.ended(work)]

    runner = Refusing()
    result, log = execute(lab_with(tmp_path, runner), [Number(value) for value in range(6)])
    assert sorted(runner.seen) == sorted([*range(6)] * 2) and result.counts["succeeded"] == 6
    assert len(log.of(TaskStarted)) == 6


def test_output_belongs_to_its_task_and_its_tail_to_its_failure(tmp_path: Path) -> None:
    class Dying(Scripted):
        def answer(self, work: Work) -> list[Report]:
            text = [Output(work.number, b"a" * 5000), Output(work.number, b"the end \xff\n")]
            return [*text, Died(work.number, 1, -9)]

    _, log = execute(lab_with(tmp_path, Dying()), [Number(1)])
    assert [type(event) for event in log.events[1:-1]] == [TaskStarted, TaskOutput, TaskOutput, TaskFinished]
    assert log.output(Number(1)).endswith("the end \\xff\n")
    error = log.ended(Number(1)).error
    assert error is not None and error.output.endswith("the end \ufffd\n") and len(error.output) <= 4096
    assert error.message == "its worker process was killed by SIGKILL"


@pytest.mark.parametrize(
    ("code", "words"),
    [(None, "its worker process ended"), (-11, "killed by SIGSEGV"), (-63, "killed by "), (7, "exit code 7")],
)
def test_a_death_is_described_by_its_signal_or_exit_code(code: int | None, words: str) -> None:
    assert words in describe_death(Died(0, 1, code)).message


class Closing(Log):
    """Counts how often it was closed."""

    closed = 0

    def close(self) -> None:
        self.closed += 1


def test_reporters_are_closed_once_also_when_a_runner_cannot_start(tmp_path: Path) -> None:
    class Broken(Scripted):
        def start(self, setting: Setting) -> None:
            raise RunnerError("no workers today")

    log, runner = Closing(), Broken()
    lab = lab_with(tmp_path, runner)
    with pytest.raises(RunnerError, match="no workers today"):
        lab.execute(lab.prepare([Number(1)]), [log])
    assert (log.closed, runner.closed) == (1, 1)
    lab.runner = "serial"
    lab.execute(lab.prepare([Number(1)]), [log])
    assert log.closed == 2


class Refuses(LocalStorage):
    """Cannot save the results of some keys, and counts its transactions."""

    def __init__(self, path: Path, *bad: str) -> None:
        super().__init__(path)
        self.bad, self.commits = bad, 0

    def commit(self, records: Sequence[Record]) -> None:
        self.commits += 1
        if any(record.key in self.bad for record in records):
            raise StorageError("no room on the disk")
        super().commit(records)


def test_a_result_that_cannot_be_saved_fails_its_task_only(tmp_path: Path) -> None:
    bad = Number(3)
    storage = Refuses(tmp_path / "storage", bad.cache_key)
    _, log = execute(lab_with(tmp_path, Scripted(), storage), [After(bad), *[Number(value) for value in range(8)]])
    outcomes = log.outcomes()
    assert outcomes.pop(bad) is Outcome.FAILED and outcomes.pop(After(bad)) is Outcome.SKIPPED
    assert set(outcomes.values()) == {Outcome.SUCCEEDED} and len(storage.present()) == 7
    assert "the result could not be saved: no room on the disk" in str(log.ended(bad).error)


def test_what_arrives_together_is_committed_together(tmp_path: Path) -> None:
    storage = Refuses(tmp_path / "storage")
    execute(lab_with(tmp_path, Scripted(room=50), storage), [Number(value) for value in range(200)])
    assert storage.commits == 4 and len(storage.present()) == 200


@pytest.mark.parametrize(("most", "failed"), [(None, 5), (1, 1), (3, 3)])
def test_a_run_stops_after_so_many_failures(tmp_path: Path, most: int | None, failed: int) -> None:
    lab = make_lab(tmp_path, "serial")
    log = Log()
    lab.execute(lab.prepare([Fails(str(n)) for n in range(5)]), [log], rules=Rules(keep_going=True, max_failures=most))
    outcomes = list(log.outcomes().values())
    assert outcomes.count(Outcome.FAILED) == failed and outcomes.count(Outcome.CANCELLED) == 5 - failed


def test_an_input_that_was_removed_meanwhile_fails_the_task_that_needs_it(tmp_path: Path) -> None:
    lab = make_lab(tmp_path, "serial")
    lab.run_task(Number(1), disable_progress=True)
    prepared = lab.prepare([After(Number(1)), Number(2)])

    class Removes(Log):
        """Takes the input away as soon as the run has begun."""

        def handle(self, event: Event) -> None:
            super().handle(event)
            if type(event) is RunStarted:
                lab.uncache_tasks([Number(1)])

    log = Removes()
    lab.execute(prepared, [log], rules=Rules(keep_going=True))
    assert "was removed meanwhile" in str(log.ended(After(Number(1))).error)
    assert log.outcomes()[Number(2)] is Outcome.SUCCEEDED


def _spoil(folder: Path) -> None:
    """Change a byte of each result."""
    database = sqlite3.connect(folder / "storage" / "labtech.db")
    with database:
        database.execute("UPDATE data SET bytes = CAST(x'00' || substr(bytes, 2) AS BLOB)")
    database.close()


def test_damaged_results_are_set_aside_and_computed_again(tmp_path: Path) -> None:
    lab = make_lab(tmp_path, "serial")
    lab.run_task(After(Number(1)), disable_progress=True)
    lab.storage.close()
    _spoil(tmp_path)
    result, log = execute(lab, [After(Number(1))])
    assert log.outcomes() == {Number(1): Outcome.SUCCEEDED, After(Number(1)): Outcome.SUCCEEDED}
    assert len(log.of(Warned)) == 2 and "was damaged: set aside, computed again" in log.of(Warned)[0].message
    assert result.result(After(Number(1))) == ("ran", 0)
    assert len(list((tmp_path / "storage" / "damaged").iterdir())) == 2
    assert execute(lab, [After(Number(1))])[0].counts["loaded"] == 1


def test_a_full_disk_is_said_once_and_what_else_arrived_runs_another_time(tmp_path: Path) -> None:
    tasks = [Number(value) for value in range(50)]
    storage = Refuses(tmp_path / "storage", *[task.cache_key for task in tasks])
    result, log = execute(lab_with(tmp_path, Scripted(room=50), storage), tasks, keep_going=False)
    assert len(result.failures) == 1
    assert result.counts["failed"] == 1 and result.counts["cancelled"] == 49
    assert len(log.outcomes()) == 50


class Overtaken(LocalStorage):
    """A storage whose damaged result another run replaces the moment after it was read."""

    overtake: Record | None = None

    def load(self, keys: Sequence[str]) -> dict[str, Any]:
        found = super().load(keys)
        if self.overtake is not None and self.overtake.key in keys:
            record, self.overtake = self.overtake, None
            another = LocalStorage(self.path)
            another.commit([record])
            another.close()
        return found


def test_a_good_result_that_came_in_place_of_a_damaged_one_is_not_set_aside(tmp_path: Path) -> None:
    lab = make_lab(tmp_path, "serial")
    execute(lab, [Number(1)])
    key = Number(1).cache_key
    (row,), good = lab.storage.rows(), lab.storage.load([key])[key]
    lab.close()
    _spoil(tmp_path)
    lab = make_lab(tmp_path, "serial")
    storage = Overtaken(tmp_path / "storage")
    storage.overtake = Record(key, row.type, None, row.params, 0.1, 1.0, good, code=row.code)
    lab.storage = storage
    done, log = execute(lab, [Number(1)])
    assert done.counts["loaded"] == 1 and log.of(Warned) == []
    assert not (tmp_path / "storage" / "damaged").exists()
    lab.close()


class Forgetful(LocalStorage):
    """A storage that lists a result which it then does not find, as one with a broken index may."""

    def load(self, keys: Sequence[str]) -> dict[str, Any]:
        return {}


def test_a_result_that_is_listed_and_not_there_is_computed_again(tmp_path: Path) -> None:
    lab = make_lab(tmp_path, "serial")
    execute(lab, [Number(1)])
    lab.storage = Forgetful(tmp_path / "storage")
    done, log = execute(lab, [Number(1)])
    assert done.counts["succeeded"] == 1
    assert "is gone, computed again" in log.of(Warned)[0].message
    lab.close()
