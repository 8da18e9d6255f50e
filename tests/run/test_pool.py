"""The pool of worker processes: few messages, and nothing that outlives it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any

import psutil
import pytest
from runner_kit import PROCESS, Log, execute, make_lab
from sample_tasks import (
    After,
    Array,
    Dies,
    Fails,
    Lasts,
    LeavesChild,
    Link,
    Meets,
    Number,
    SpoilsInput,
    Stays,
    wait_until,
)

from labtech_cli.core.events import TaskStarted
from labtech_cli.errors import RunnerError
from labtech_cli.run.backends import make_runner
from labtech_cli.run.pool import ProcessRunner
from labtech_cli.run.runner import Outcome, Report, RunnerBackend

HERE = str(Path(__file__).parent)


def alive(pid: int) -> bool:
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


class Counting(ProcessRunner):
    """Counts the messages to workers, and the times it was woken by some."""

    batches = wakes = 0

    def _dispatch(self, worker: Any) -> None:
        self.batches += 1
        super()._dispatch(worker)

    def wait(self, timeout: float | None) -> list[Report]:
        reports = super().wait(timeout)
        self.wakes += any(type(report) is Outcome for report in reports)
        return reports


def test_five_thousand_tiny_tasks_take_few_messages(tmp_path: Path) -> None:
    runner = Counting("fork")
    lab = make_lab(tmp_path)
    lab.runner = RunnerBackend("counting", lambda: runner)
    result, _ = execute(lab, [Number(value) for value in range(5_000)])
    assert result.counts["succeeded"] == 5_000
    assert runner.batches < 1_000 and runner.wakes < 1_000


def test_a_long_task_gives_back_those_that_wait_behind_it(tmp_path: Path) -> None:
    """The first tasks are tiny, so batches are large when the long ones come: they must still meet."""
    tasks = [*[Number(value) for value in range(300)], *[Meets(value, 2, str(tmp_path)) for value in range(2)]]
    lab = make_lab(tmp_path)
    prepared = lab.prepare([*tasks, *[Number(value) for value in range(300, 400)]])
    result = lab.execute(prepared, [])
    assert result.counts["succeeded"] == 402


@pytest.mark.parametrize("runner", PROCESS)
def test_after_a_run_no_process_is_left_not_even_one_a_task_started(tmp_path: Path, runner: str) -> None:
    result, _ = execute(make_lab(tmp_path, runner), [LeavesChild(str(tmp_path)), Number(1)])
    child = result.result(LeavesChild(str(tmp_path)))
    wait_until(lambda: not alive(child), 5)
    left = [" ".join(item.cmdline()) for item in psutil.Process().children(recursive=True)]
    assert not [line for line in left if "resource_tracker" not in line]


@pytest.mark.parametrize("runner", PROCESS)
def test_workers_end_when_the_command_is_killed(tmp_path: Path, runner: str) -> None:
    script = (
        f"import sys; sys.path.insert(0, {HERE!r})\n"
        "from pathlib import Path; from runner_kit import make_lab; from sample_tasks import Stays\n"
        "folder = Path(sys.argv[1])\n"
        "make_lab(folder, sys.argv[2]).run_tasks([Stays(n, str(folder)) for n in (0, 1)], disable_progress=True)\n"
    )
    command = subprocess.Popen([sys.executable, "-c", script, str(tmp_path), runner], stderr=subprocess.PIPE)
    pids: list[int] = []
    try:
        wait_until(lambda: len(list(tmp_path.glob("pid-?"))) == 2 or command.poll() is not None)
        pids = [int(word) for file in tmp_path.glob("pid-?") for word in file.read_text().split()]
        assert len(pids) == 4 and all(alive(pid) for pid in pids), command.stderr
        command.send_signal(signal.SIGKILL)
        command.wait(5)
        wait_until(lambda: not [pid for pid in pids if alive(pid)], 2)
    finally:
        for pid in pids:
            if alive(pid):
                os.kill(pid, signal.SIGKILL)
        command.kill()
        command.communicate()


def test_killing_a_pool_ends_its_workers_and_leaves_no_zombie(tmp_path: Path) -> None:
    for runner in PROCESS:
        folder = tmp_path / runner
        folder.mkdir()

        class Terminating(Log):
            interval = 0.02

            def tick(self, now: float, active: Any, folder: Path = folder) -> None:
                if len(list(folder.glob("pid-?"))) == 2:
                    os.kill(os.getpid(), signal.SIGTERM)

        lab = make_lab(folder, runner)
        began = time.monotonic()
        result = lab.execute(lab.prepare([Stays(n, str(folder)) for n in (0, 1)]), [Terminating()])
        assert result.exit_code == 143 and time.monotonic() - began < 15
        pids = [int(word) for file in folder.glob("pid-?") for word in file.read_text().split()]
        wait_until(lambda pids=pids: not [pid for pid in pids if alive(pid)], 5)
        assert not [item for item in psutil.Process().children() if item.status() == psutil.STATUS_ZOMBIE]


def test_what_runs_is_known_while_it_runs(tmp_path: Path) -> None:
    seen: list[Any] = []

    class Looking(Log):
        interval = 0.02

        def tick(self, now: float, active: Any) -> None:
            seen.extend(active())
            if seen and self.of(TaskStarted):
                (tmp_path / "here-last").touch()

    lab, log = make_lab(tmp_path), Looking()
    lab.execute(lab.prepare([Meets(0, 2, str(tmp_path))]), [log])
    assert seen[0].task == Meets(0, 2, str(tmp_path)) and not alive(seen[0].pid or 0)
    assert len(log.of(TaskStarted)) == 1


def test_many_large_inputs_pass_the_bound_of_what_a_worker_holds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from labtech_cli.run import handle

    monkeypatch.setattr(handle, "HELD_BYTES", 100_000)
    arrays = [Array(60_000, fill) for fill in range(1, 9)]
    tasks = [SpoilsInput(array, turn) for turn in range(3) for array in arrays]
    results = make_lab(tmp_path).run_tasks([*tasks, After(list(arrays))], disable_progress=True)
    assert [results[task] for task in tasks] == [(7_500 * task.array.fill, 99) for task in tasks]


def test_a_run_works_outside_the_main_thread(tmp_path: Path) -> None:
    found: list[Any] = []
    for runner in ("process", "fork"):
        lab = make_lab(tmp_path / runner, runner)
        thread = threading.Thread(target=lambda lab=lab: found.append(lab.run_task(Number(4), disable_progress=True)))
        thread.start()
        thread.join(30)
    assert found == [4, 4]


def test_an_unknown_runner_is_refused_with_the_nearest_name(tmp_path: Path) -> None:
    with pytest.raises(RunnerError, match="unknown runner 'treads'; did you mean 'thread'"):
        make_runner("treads", [])
    with pytest.raises(RunnerError, match="a runner is a name or a RunnerBackend, not 3"):
        make_runner(3, [])


def test_a_chain_of_tiny_tasks_takes_few_messages(tmp_path: Path) -> None:
    """A task that waits only for what its worker is about to do is sent along with it."""
    runner = Counting("fork")
    lab = make_lab(tmp_path)
    lab.runner = RunnerBackend("counting", lambda: runner)
    last = Link(0)
    for value in range(1, 2_000):
        last = Link(value, last)
    result, _ = execute(lab, [last])
    assert result.counts["succeeded"] == 2_000 and result.result(last) == 2_000
    assert runner.batches < 700 and runner.wakes < 700


@pytest.mark.parametrize("runner", ["process", "fork"])
def test_what_follows_a_failure_or_a_death_in_its_worker_does_not_run(tmp_path: Path, runner: str) -> None:
    warm = [Number(value) for value in range(300)]  # short tasks first, so that workers are given many at a time
    for culprit in (Fails("no"), Dies("kill")):
        last: Any = culprit
        for value in range(20):
            last = Link(value, last)
        lab = make_lab(tmp_path, runner)
        lab.continue_on_failure = True
        result, _ = execute(lab, [*warm, last])
        assert [task for task, _ in result.failures] == [culprit]
        assert result.counts["skipped"] == 20 and not result.has(last)


def test_a_large_result_is_handed_on_within_a_chain(tmp_path: Path) -> None:
    """It is a file that is moved when it is committed: what follows waits for that."""
    sums = [SpoilsInput(Array(200_000, fill), 0) for fill in range(40)]
    result, _ = execute(make_lab(tmp_path), [*[Number(value) for value in range(300)], *sums])
    assert result.counts["succeeded"] == 380 and not result.failures
    assert [result.result(task) for task in sums] == [(25_000 * fill, 99) for fill in range(40)]


@pytest.mark.parametrize("fails", [False, True], ids=["all-goes-well", "the-first-slow-one-fails"])
def test_slow_tasks_after_many_quick_ones_do_not_wait_in_one_workers_queue(tmp_path: Path, fails: bool) -> None:
    """They were handed out by the hundred, as the quick ones before them."""
    slow = [Lasts(number, 0.06, str(tmp_path), fails and number == 0) for number in range(60)]
    tasks = [Lasts(1000 + number, 0.0, str(tmp_path)) for number in range(600)] + slow
    done, _ = execute(make_lab(tmp_path, "process"), tasks, keep_going=not fails)
    began = [path.name.split(".") for path in tmp_path.glob("slow.*")]
    if fails:
        assert done.counts["failed"] == 1 and len(began) < 30, "what waited began after the run was to stop"
    else:
        by_worker = Counter(pid for _, _, pid in began)
        assert len(began) == 60 and len(by_worker) == 2 and min(by_worker.values()) >= 5, by_worker


_LIMITED = """
import resource, sys
from pathlib import Path
from runner_kit import execute, make_lab
from sample_tasks import Number
from labtech_cli.errors import RunnerError
limit, workers, runner, folder = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3], Path(sys.argv[4])
resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))
try:
    result, _ = execute(make_lab(folder, runner, workers), [Number(value) for value in range(workers)])
    print(result.counts["succeeded"])
except RunnerError as error:
    print(error)
"""


def run_with_few_files(folder: Path, limit: int, workers: int, runner: str) -> str:
    command = [sys.executable, "-c", _LIMITED, str(limit), str(workers), runner, str(folder)]
    done = subprocess.run(command, cwd=HERE, capture_output=True, text=True, timeout=60, check=True)
    return done.stdout.strip()


@pytest.mark.parametrize("runner", [*PROCESS, "thread"])
def test_more_workers_than_files_can_be_opened_for_are_refused(tmp_path: Path, runner: str) -> None:
    assert run_with_few_files(tmp_path, 100, 4, runner) == "4"
    said = run_with_few_files(tmp_path, 100, 90, runner)
    needs = 90 if runner == "thread" else 270
    assert said == (
        f"90 workers need {needs} open files, and this process may have 100 open in all; "
        "fewer workers (--workers), or a higher limit (ulimit -n)"
    )
