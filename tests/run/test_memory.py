"""Memory that runs out costs an attempt, not the run; what was used once is known the next time; limits hold."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import memory_tasks
import psutil
import pytest
from memory_tasks import MB, Cheats, Crowd, Exhausts, Honest, Takes
from runner_kit import PROCESS, Log, make_lab
from sample_tasks import traces

from labtech_cli.core.events import TaskRetried, Warned
from labtech_cli.core.plan import Policy
from labtech_cli.lab import Lab
from labtech_cli.outcome import RunResult
from labtech_cli.project.modules import place_of
from labtech_cli.run import deaths, machine
from labtech_cli.run.deaths import OUT_OF_MEMORY, Deaths
from labtech_cli.run.loop import Rules
from labtech_cli.run.runner import Died


def lab_with(folder: Path, runner: str = "process", workers: int = 4, **resources: Any) -> Lab:
    lab = make_lab(folder, runner, workers, resources=resources)
    lab.modules = [*lab.modules, place_of(memory_tasks)]
    return lab


def run(lab: Lab, tasks: list[Any], again: bool = False, **rules: Any) -> tuple[RunResult, Log]:
    log = Log()
    prepared = lab.prepare(tasks, Policy(rerun_all=again))
    return lab.execute(prepared, [log], rules=Rules(keep_going=True, retry_delay=0.01, **rules)), log


# -- learned ---------------------------------------------------------------------------------------


def test_the_first_tasks_that_end_tell_how_many_of_the_rest_run_together(tmp_path: Path) -> None:
    tasks = [Crowd(value, str(tmp_path)) for value in range(12)]
    lab = lab_with(tmp_path, memory="250MB")
    done, _ = run(lab, tasks)
    assert done.counts["succeeded"] == 12
    assert max(map(done.result, tasks[-4:])) <= 2


def test_a_sweep_that_was_too_wide_runs_narrower_the_next_time(tmp_path: Path) -> None:
    lab = lab_with(tmp_path, memory="250MB")
    done, _ = run(lab, [Crowd(0, str(tmp_path))])
    assert done.counts["succeeded"] == 1
    tasks = [Crowd(value, str(tmp_path)) for value in range(1, 9)]
    done, _ = run(lab, tasks)
    assert max(map(done.result, tasks)) <= 2, "others of the type are admitted with what the first took"
    done, _ = run(lab, tasks, again=True)
    assert max(map(done.result, tasks)) <= 2, "and each with what it took itself"


def test_what_was_learned_stays_when_the_result_is_removed(tmp_path: Path) -> None:
    lab, task = lab_with(tmp_path), Takes(100)
    run(lab, [task])
    lab.uncache_tasks([task])
    timings = lab.storage.timings()
    assert timings.memory_by_key[task.cache_key] > 95 * MB
    assert list(timings.memory_by_type.values()) == list(timings.memory_by_key.values())


# -- running out -------------------------------------------------------------------------------------


@pytest.mark.parametrize("runner", PROCESS)
def test_a_task_that_dies_of_memory_is_run_once_more_alone(tmp_path: Path, runner: str) -> None:
    """It was seen to hold nearly all there is when it was killed."""
    bad, others = Exhausts(1, str(tmp_path)), [Crowd(value, str(tmp_path), 5) for value in range(6)]
    done, log = run(lab_with(tmp_path, runner, workers=2, memory="160MB"), [bad, *others])
    assert done.counts["succeeded"] == 6 and done.counts["failed"] == 1 and len(traces(tmp_path, "tried")) == 2
    (retried,) = log.of(TaskRetried)
    assert retried.error.kind == OUT_OF_MEMORY and retried.error.message.endswith("; it runs once more, alone")
    assert "it ran out of memory (1" in retried.error.message and "MB of 160 MB)" in retried.error.message
    ended = log.ended(bad)
    assert ended.attempt == 2 and ended.error.kind == OUT_OF_MEMORY and ended.peak_memory_bytes > 140 * MB
    assert "of 160 MB), though nothing else ran: its worker process was killed by SIGKILL" in ended.error.message


def test_a_task_that_is_killed_for_something_else_is_not_run_again(tmp_path: Path) -> None:
    bad = Exhausts(1, str(tmp_path))
    _, log = run(lab_with(tmp_path, memory="4GB"), [bad])
    assert not log.of(TaskRetried) and log.ended(bad).error.kind == "TaskDied"


def test_the_kernel_is_asked_whether_it_was_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "PROC", tmp_path)
    (tmp_path / "vmstat").write_text("oom_kill 5\n")
    explained = Deaths(8 * 10**9)
    killed, ended = Died(1, 2, -signal.SIGKILL, 10**9), Died(1, 2, 1, 8 * 10**9)
    assert explained.describe(killed).kind == deaths.KIND
    (tmp_path / "vmstat").write_text("oom_kill 6\n")
    assert explained.describe(ended).kind == deaths.KIND, "an exit code is no kill"
    assert "(1.0 GB of 8.0 GB): its worker" in explained.describe(killed).message
    assert explained.describe(killed).kind == deaths.KIND, "one kill explains one death"
    assert explained.describe(killed, others=65 * 10**8).kind == OUT_OF_MEMORY, "together they held nearly all"
    assert explained.describe(killed._replace(peak_memory=None), 8 * 10**9).message.startswith(
        "it ran out of memory (its part of"
    )


@pytest.fixture
def group() -> Iterator[Path]:
    """A cgroup with 450 MB of memory, below the one of this process."""
    above = next(machine.cgroups("memory"), None)
    folder = above / f"labtech-test-{os.getpid()}" if above is not None else None
    made = False
    try:
        if folder is not None:
            with contextlib.suppress(OSError):
                folder.mkdir()
                made = True
                limit = folder / "memory.max" if (folder / "memory.max").exists() else folder / "memory.limit_in_bytes"
                limit.write_text(str(450 * MB))
        if not made or (machine.PROC and psutil.swap_memory().total):
            pytest.skip("no cgroup can be made here, or there is swap")
        assert folder is not None
        yield folder
    finally:
        if made and folder is not None:
            deadline = time.monotonic() + 10
            while (pids := (folder / "cgroup.procs").read_text().split()) and time.monotonic() < deadline:
                for pid in pids:
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(int(pid), signal.SIGKILL)
                time.sleep(0.01)
            folder.rmdir()


IN_GROUP = """
import json, os, pathlib, sys
sys.path[:0] = {path!r}
pathlib.Path({group!r}, "cgroup.procs").write_text(str(os.getpid()))
from test_memory import *
lab = lab_with(pathlib.Path({folder!r}), {runner!r})
tasks = [Takes(130, 1.0, value) for value in range(8)]
for again in (False, True):
    done, log = run(lab, tasks, again)
    retried = [event.error.message for event in log.of(TaskRetried)]
    print(json.dumps([done.counts, retried]))
"""


@pytest.mark.parametrize("runner", ["process", "fork"])
def test_a_sweep_that_exhausts_the_memory_of_its_cgroup_ends_well_and_the_next_is_narrow_enough(
    tmp_path: Path, group: Path, runner: str
) -> None:
    path = [str(Path(__file__).parent), *sys.path]
    code = IN_GROUP.format(path=path, group=str(group), folder=str(tmp_path), runner=runner)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    (first, retried), (second, again) = map(json.loads, done.stdout.splitlines())
    assert first["succeeded"] == second["succeeded"] == 8
    assert retried and all(text.startswith("it ran out of memory") and "450 MB)" in text for text in retried)
    assert again == []


# -- limits ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["itself", "child"])
@pytest.mark.parametrize("runner", PROCESS)
def test_a_task_that_takes_more_than_it_declared_is_ended(tmp_path: Path, runner: str, how: str) -> None:
    bad, others = Cheats(how), [Honest(value) for value in range(4)]
    lab = lab_with(tmp_path, runner, workers=2, enforce_memory=True)
    done, log = run(lab, [bad, *others])
    assert done.counts["succeeded"] == 4
    error = log.ended(bad).error
    assert error.kind == "MemoryLimit" and error.message.endswith(" of the 100 MB it declared and was ended")
    assert not [child for child in psutil.Process().children(recursive=True) if "time.sleep(60)" in child.cmdline()]


def test_a_limit_counts_for_each_attempt(tmp_path: Path) -> None:
    done, log = run(lab_with(tmp_path, "fork", enforce_memory=True), [Cheats("itself")], retries=1)
    assert [event.error.kind for event in log.of(TaskRetried)] == ["MemoryLimit"] and done.counts["failed"] == 1
    assert log.ended(Cheats("itself")).attempt == 2


def test_a_runner_that_does_not_see_what_tasks_take_says_so(tmp_path: Path) -> None:
    _, log = run(lab_with(tmp_path, "serial", enforce_memory=True), [Honest(1)])
    assert [event.message for event in log.of(Warned)] == [
        "the runner 'serial' cannot end tasks for their memory: enforce_memory does not hold"
    ]
