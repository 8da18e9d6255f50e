"""What every runner does alike, through a Lab as the command line makes it."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import numpy as np
import psutil
import pytest
from runner_kit import ALL, IN_PROCESS, PROCESS, Log, execute, make_lab
from sample_tasks import (
    After,
    Array,
    Dies,
    Exits,
    Fails,
    Filtered,
    FirstMade,
    Limited,
    Meets,
    Number,
    OnlyInMain,
    Passing,
    ReadsWrapped,
    SeesContext,
    SpoilsInput,
    Talks,
    TalksLow,
    Total,
    Traced,
    Unpicklable,
    UsesJoblib,
    UsesLab,
    UsesPassing,
    Wrapped,
    array_in,
    chain,
    ladder,
    traces,
)

from labtech_cli.core.events import Outcome, TaskStarted
from labtech_cli.errors import TaskFailed

each_runner = pytest.mark.parametrize("runner", ALL)
each_process_runner = pytest.mark.parametrize("runner", PROCESS)
each_in_process_runner = pytest.mark.parametrize("runner", IN_PROCESS)


@pytest.fixture
def marks(tmp_path: Path) -> Path:
    folder = tmp_path / "marks"
    folder.mkdir()
    return folder


@each_runner
def test_results_are_right_and_in_the_order_given(tmp_path: Path, runner: str) -> None:
    tasks = [Number(value) for value in (5, 3, 9, 1, 3)]
    results = make_lab(tmp_path, runner).run_tasks(tasks, disable_progress=True)
    assert list(results.items()) == [(Number(5), 5), (Number(3), 3), (Number(9), 9), (Number(1), 1)]


@each_runner
def test_a_task_sees_results_and_metadata_of_its_dependencies_and_the_second_run_executes_nothing(
    tmp_path: Path, marks: Path, runner: str
) -> None:
    total = Total([Traced(value, str(marks)) for value in range(4)], str(marks))
    lab = make_lab(tmp_path, runner)
    assert lab.run_task(total, disable_progress=True) == (60, True)
    done = traces(marks)
    assert done == ["total", "traced-0", "traced-1", "traced-2", "traced-3"]

    result, log = execute(make_lab(tmp_path, runner), [total])
    assert result.result(total) == (60, True)
    assert log.outcomes() == {total: Outcome.LOADED} and not log.of(TaskStarted)
    assert traces(marks) == done


@each_runner
def test_the_context_reaches_tasks_filtered_where_they_say_so(tmp_path: Path, runner: str) -> None:
    lab = make_lab(tmp_path, runner, context={"plain": 3, "array": np.arange(100_000)})
    result, log = execute(lab, [SeesContext("plain"), SeesContext("array"), Filtered("plain"), SeesContext("plan")])
    assert result.result(SeesContext("plain")) == 3
    assert result.result(SeesContext("array")).sum() == sum(range(100_000))
    assert result.result(Filtered("plain")) == {"only": 6}
    error = log.ended(SeesContext("plan")).error
    assert error is not None and "no value 'plan'" in error.message and "'plain'" in error.message


@each_runner
def test_a_failure_names_the_users_code_only_and_skips_what_depends_on_it(tmp_path: Path, runner: str) -> None:
    bad = Fails("no data")
    after, further, other = After(bad), After(After(bad)), Number(1)
    result, log = execute(make_lab(tmp_path, runner), [further, other])
    assert log.outcomes() == {
        bad: Outcome.FAILED,
        after: Outcome.SKIPPED,
        further: Outcome.SKIPPED,
        other: Outcome.SUCCEEDED,
    }
    assert {log.ended(task).because for task in (after, further)} == {bad}
    error = log.ended(bad).error
    assert error is not None and (error.kind, error.message) == ("ValueError", "no data")
    assert "helper(self.message)" in error.traceback and "labtech_cli" not in error.traceback
    assert error.output == "about to fail\n"
    assert result.exit_code == 1 and result.result(other) == 1


@each_runner
def test_without_keep_going_nothing_new_starts_after_a_failure(tmp_path: Path, runner: str) -> None:
    bad = Fails("first")
    independent = [Number(value) for value in range(500)]
    lab = make_lab(tmp_path, runner, workers=1)
    result, log = execute(lab, [bad, *independent], keep_going=False)
    outcomes = log.outcomes()
    assert outcomes[bad] is Outcome.FAILED and len(outcomes) == 501
    assert result.counts["cancelled"] > 400 and result.exit_code == 1
    with pytest.raises(TaskFailed, match="no luck"):
        lab.run_task(Fails("no luck"), disable_progress=True)


@each_runner
def test_an_unpicklable_result_fails_that_task_only_and_is_done_again(tmp_path: Path, marks: Path, runner: str) -> None:
    bad, lab = Unpicklable(str(marks)), make_lab(tmp_path, runner)
    for times in (1, 2):
        _, log = execute(lab, [bad, Number(times)])
        error = log.ended(bad).error
        assert error is not None and error.kind == "CacheError" and "'function' cannot be saved" in error.message
        assert log.outcomes()[Number(times)] is Outcome.SUCCEEDED
        assert len(traces(marks)) == times
    assert not lab.is_cached(bad)
    assert [row.type for row in lab.storage.rows()] == ["sample_tasks.Number"] * 2
    assert not list((tmp_path / "storage").glob("results/*"))


@each_runner
def test_sys_exit_in_a_task_is_its_failure(tmp_path: Path, runner: str) -> None:
    _, log = execute(make_lab(tmp_path, runner), [Exits(0), Exits(4), Number(1)])
    assert log.outcomes() == {Exits(0): Outcome.FAILED, Exits(4): Outcome.FAILED, Number(1): Outcome.SUCCEEDED}
    error = log.ended(Exits(4)).error
    assert error is not None and str(error) == "SystemExit: 4"


@pytest.mark.parametrize("runner", ["process", "spawn", "thread"])
def test_a_post_init_that_raises_where_the_task_is_made_again_is_its_failure(tmp_path: Path, runner: str) -> None:
    bad = FirstMade(1) if runner == "thread" else OnlyInMain(os.getpid())
    after = After(bad)
    try:
        if runner == "thread":
            FirstMade.made = True  # type: ignore[attr-defined]
        _, log = execute(make_lab(tmp_path, runner), [after, Number(2)])
    finally:
        if runner == "thread":
            del FirstMade.made  # type: ignore[attr-defined]
    assert log.outcomes() == {bad: Outcome.FAILED, after: Outcome.SKIPPED, Number(2): Outcome.SUCCEEDED}
    error = log.ended(bad).error
    assert error is not None and error.message == "post_init says no"


@pytest.mark.parametrize("runner", ["process", "spawn", "fork", "fork-per-task", "thread"])
def test_as_many_tasks_run_at_a_time_as_there_are_workers(tmp_path: Path, marks: Path, runner: str) -> None:
    result, _ = execute(make_lab(tmp_path, runner, workers=3), [Meets(value, 3, str(marks)) for value in range(3)])
    assert result.counts["succeeded"] == 3


@each_runner
def test_max_parallel_is_never_exceeded(tmp_path: Path, marks: Path, runner: str) -> None:
    tasks = [Limited(value, str(marks)) for value in range(12)]
    results = make_lab(tmp_path, runner, workers=4).run_tasks(tasks, disable_progress=True)
    assert max(results.values()) <= 2 and len(results) == 12


@each_runner
def test_results_that_are_not_kept_reach_their_dependents_and_run_again(tmp_path: Path, runner: str) -> None:
    lab = make_lab(tmp_path, runner)
    tasks = [UsesPassing(Passing(2)), Passing(3)]
    results = lab.run_tasks(tasks, disable_progress=True)
    assert results[tasks[0]] == 120_002 and results[tasks[1]]["array"].sum() == 180_000
    _, log = execute(lab, tasks)
    assert log.outcomes() == {tasks[0]: Outcome.LOADED, tasks[1]: Outcome.SUCCEEDED}


@each_runner
def test_it_works_without_a_storage(runner: str) -> None:
    lab = make_lab(None, runner)
    tasks = [SpoilsInput(Array(1 << 20), 1), UsesPassing(Passing(1)), Number(7)]
    results = lab.run_tasks(tasks, disable_progress=True)
    assert list(results.values()) == [((1 << 17), 99), 60_001, 7]
    lab.close()


@each_runner
@pytest.mark.parametrize("size", [400_000, 8 << 20])
def test_a_dependent_that_writes_into_its_input_harms_no_other_now_or_later(
    tmp_path: Path, runner: str, size: int
) -> None:
    array = Array(size)
    first = SpoilsInput(array, 1)
    second = SpoilsInput(array, 2, first)
    lab = make_lab(tmp_path, runner)
    results = lab.run_tasks([first, second], disable_progress=True)
    assert list(results.values()) == [(size // 8, 99), (size // 8, 99)]
    third = SpoilsInput(array, 3)
    loaded = make_lab(tmp_path, runner).run_tasks([third, array], disable_progress=True)
    assert loaded[third] == (size // 8, 99) and int(loaded[array].sum()) == size // 8


class Opened:
    """The files this process opens, while it is told to watch. An audit hook stays for good."""

    def __init__(self) -> None:
        self.names: list[str] = []
        self.watching = False
        sys.addaudithook(self.note)

    def note(self, event: str, arguments: tuple[object, ...]) -> None:
        if self.watching and event == "open":
            self.names.append(str(arguments[0]))


@pytest.fixture(scope="module")
def opened() -> Opened:
    return Opened()


@each_runner
@pytest.mark.skipif(not os.path.exists("/proc/self/maps"), reason="looks into /proc")
@pytest.mark.parametrize("how", ["dict", "dataclass", "frame"])
def test_a_large_array_is_mapped_by_dependents_wherever_in_a_result_it_is_and_writing_changes_it_for_nobody(
    tmp_path: Path, runner: str, how: str, opened: Opened
) -> None:
    total = sum(range(1 << 17))
    tasks = [ReadsWrapped(Wrapped(how), turn) for turn in range(4)]
    opened.names.clear()
    opened.watching = True
    execute(make_lab(tmp_path, runner), tasks)
    opened.watching = False
    results = make_lab(tmp_path, runner).run_tasks(tasks, disable_progress=True)
    assert list(results.values()) == [(total, True)] * 4
    if runner in PROCESS:
        assert opened.names and not [name for name in opened.names if "buffers.bin" in name]  # not by the parent
    assert int(array_in(make_lab(tmp_path).load(Wrapped(how))).sum()) == total


@each_runner
def test_output_and_log_records_are_labelled_by_task(tmp_path: Path, runner: str) -> None:
    tasks = [Talks(name) for name in ("ann", "bob", "cid")]
    _, log = execute(make_lab(tmp_path, runner), tasks)
    for task in tasks:
        assert log.output(task).splitlines() == [
            f"{task.name} print",
            f"{task.name} stderr",
            f"INFO labtech: {task.name} info",
            f"WARNING other.library: {task.name} warning",
        ]


@pytest.mark.parametrize("runner", [*PROCESS, "serial"])
def test_output_below_python_is_caught_too(tmp_path: Path, runner: str, capfd: pytest.CaptureFixture[str]) -> None:
    tasks = [TalksLow(name) for name in ("ann", "bob", "cid")]
    _, log = execute(make_lab(tmp_path, runner), tasks)
    for task in tasks:
        assert log.output(task).splitlines() == [f"{task.name} os.write", f"{task.name} child"]
    assert capfd.readouterr() == ("", "")


@each_runner
def test_a_lab_inside_a_task_is_a_clear_error(tmp_path: Path, runner: str) -> None:
    _, log = execute(make_lab(tmp_path, runner), [UsesLab(str(tmp_path / "inner"))])
    error = log.ended(UsesLab(str(tmp_path / "inner"))).error
    assert error is not None and error.kind == "LabError"
    assert "cannot run a Lab inside a task" in error.message and "make the other task a parameter" in error.message
    assert not (tmp_path / "inner").exists()
    make_lab(tmp_path, runner).run_task(Number(1), disable_progress=True)  # and afterwards a lab runs here


@each_runner
def test_joblib_inside_a_task_neither_hangs_nor_leaves_processes(tmp_path: Path, runner: str) -> None:
    result, log = execute(make_lab(tmp_path, runner), [UsesJoblib(3), UsesJoblib(4)])
    assert result.counts["succeeded"] == 2, log.events
    assert result.result(UsesJoblib(4))[0] == [0, 1, 2, 3]
    left = [" ".join(child.cmdline()) for child in psutil.Process().children(recursive=True)]
    assert not [line for line in left if "resource_tracker" not in line]


@each_runner
def test_deep_and_wide_graphs_run(tmp_path: Path, runner: str) -> None:
    deep = chain(300 if runner == "fork-per-task" else 3_000)
    wide = ladder(20 if runner == "fork-per-task" else 200)
    result, _ = execute(make_lab(tmp_path, runner), [deep, *wide])
    assert result.result(deep) == deep.value + 1 and result.exit_code == 0


@each_process_runner
@pytest.mark.parametrize(
    ("how", "words"),
    [("kill", "killed by SIGKILL"), ("exit", "ended with exit code 3 (the task may have called os._exit)")],
)
def test_a_worker_that_dies_fails_its_task_only(tmp_path: Path, runner: str, how: str, words: str) -> None:
    bad, others = Dies(how), [Number(value) for value in range(30)]
    result, log = execute(make_lab(tmp_path, runner), [*others[:15], bad, After(bad), *others[15:]])
    error = log.ended(bad).error
    assert error is not None and error.kind == "TaskDied" and words in error.message
    assert result.counts == {"succeeded": 30, "loaded": 0, "failed": 1, "skipped": 1, "cancelled": 0}


@each_process_runner
def test_a_pool_outlives_more_deaths_than_it_has_workers(tmp_path: Path, runner: str) -> None:
    dying = [After(Number(1), value) for value in range(5)]
    result, _ = execute(
        make_lab(tmp_path, runner), [Dies("kill"), Dies("exit"), *[Dies(f"{n}") for n in range(4)], *dying]
    )
    assert (result.counts["failed"], result.counts["succeeded"]) == (6, 6)


@pytest.mark.parametrize("runner", ["process", "fork", "thread", "serial"])
def test_five_thousand_tiny_tasks_run(tmp_path: Path, runner: str) -> None:
    log = Log()
    lab = make_lab(tmp_path, runner)
    result = lab.execute(lab.prepare([Number(value) for value in range(5_000)]), [log])
    assert result.counts["succeeded"] == 5_000
    assert [result.result(Number(value)) for value in (0, 2_500, 4_999)] == [0, 2_500, 4_999]
    assert len(lab.storage.present()) == 5_000
