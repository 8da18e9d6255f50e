"""Tasks run where and when there is room for what they need, on every runner."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import resource_tasks
from resource_tasks import DiesOnGpu, FailsOnGpu, Heavy, Looks, OnGpu, OnNone, OnTwo, Wide
from runner_kit import ALL, PROCESS, Log, make_lab
from sample_tasks import traces

from labtech_cli.core.events import TaskRetried, Warned
from labtech_cli.errors import LabError
from labtech_cli.lab import Lab
from labtech_cli.outcome import RunResult
from labtech_cli.project.modules import place_of
from labtech_cli.run.loop import Rules

SEPARATE = (*PROCESS, "serial")


def lab_with(folder: Path, runner: str, workers: int = 2, **resources: Any) -> Lab:
    lab = make_lab(folder, runner, workers, resources=resources)
    lab.modules = [*lab.modules, place_of(resource_tasks)]
    return lab


def run(lab: Lab, tasks: list[Any], **rules: Any) -> tuple[list[Any], RunResult, Log]:
    log = Log()
    done = lab.execute(lab.prepare(tasks), [log], rules=Rules(keep_going=True, retry_delay=0.01, **rules))
    return [done.result(task) for task in tasks if task in dict(done.results(tasks))], done, log


@pytest.mark.parametrize("runner", SEPARATE)
def test_each_gpu_has_one_task_at_a_time(tmp_path: Path, runner: str) -> None:
    tasks = [OnGpu(value, str(tmp_path)) for value in range(12)]
    found, done, _ = run(lab_with(tmp_path, runner, workers=3, gpus=[4, "GPU-aa"]), tasks)
    assert done.counts["succeeded"] == 12 and {gpu for _, gpu in found} <= {"4", "GPU-aa"}
    if runner != "serial":
        assert {gpu for _, gpu in found} == {"4", "GPU-aa"}


@pytest.mark.parametrize("runner", PROCESS)
def test_no_process_sees_one_set_of_gpus_after_another(tmp_path: Path, runner: str) -> None:
    """CUDA keeps what it found when it was first used."""
    tasks = [
        made
        for value in range(6)
        for made in (
            OnGpu(value, str(tmp_path)),
            OnTwo(value),
            OnNone(value),
            Looks(value),
            OnGpu(9 + value, str(tmp_path)),
        )
    ]
    found, done, _ = run(lab_with(tmp_path, runner, workers=3, gpus=[0, 1, 2]), tasks)
    assert done.counts["succeeded"] == len(tasks)
    seen: dict[int, set[str | None]] = {}
    for pid, gpus in found:
        seen.setdefault(pid, set()).add(gpus[0] if isinstance(gpus, list) else gpus)
    assert all(len(sets) == 1 for sets in seen.values()), seen
    assert {next(iter(sets)) for sets in seen.values()} >= {"", None}


def test_a_worker_is_used_again_for_the_same_gpus(tmp_path: Path) -> None:
    tasks = [OnGpu(value, str(tmp_path)) for value in range(20)]
    found, _, _ = run(lab_with(tmp_path, "process", workers=2, gpus=[0, 1]), tasks)
    assert len({pid for pid, _ in found}) <= 2


@pytest.mark.parametrize("runner", SEPARATE)
def test_who_asks_for_nothing_finds_everything_as_it_was(
    tmp_path: Path, runner: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "5")
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    tasks = [Looks(1), OnNone(1), Wide(1, str(tmp_path)), Looks(2)]
    (first, none, wide, second), _, _ = run(lab_with(tmp_path, runner, workers=2, cpus=4), tasks)
    assert first[1] == second[1] == ["5", "3"] and none[1] == "" and wide[1] == "2"


@pytest.mark.parametrize("runner", PROCESS)
def test_the_gpu_of_a_task_that_dies_or_fails_is_free_again(tmp_path: Path, runner: str) -> None:
    tasks = [DiesOnGpu(1, str(tmp_path)), *[FailsOnGpu(value) for value in range(3)], OnGpu(1, str(tmp_path))]
    found, done, log = run(lab_with(tmp_path, runner, gpus=[7]), tasks, retries=1)
    assert done.counts["succeeded"] == 2 and found[0] == "7" and found[1][1] == "7"
    assert {event.error.message for event in log.of(TaskRetried)} >= {"7"}
    assert [failure.message for _, failure in done.failures] == ["7", "7", "7"]


def test_a_runner_whose_tasks_share_an_environment_says_so(tmp_path: Path) -> None:
    _, _, log = run(lab_with(tmp_path, "thread", gpus=[0]), [FailsOnGpu(1)])
    assert [event.message for event in log.of(Warned)] == [
        "the runner 'thread' cannot give tasks GPUs of their own: each sees all of them"
    ]


@pytest.mark.parametrize("runner", ALL)
def test_no_more_run_than_there_are_cpus_and_libraries_use_as_many(tmp_path: Path, runner: str) -> None:
    tasks = [Wide(value, str(tmp_path)) for value in range(8)]
    if runner == "thread":
        tasks = []  # its tasks share the environment
    heavy = [Heavy(value, 3, str(tmp_path)) for value in range(8)]
    found, done, _ = run(lab_with(tmp_path, runner, workers=4, cpus=4, memory="7GB"), tasks)
    assert all(many <= 2 and threads == "2" for many, threads in found)
    found, done, _ = run(lab_with(tmp_path, runner, workers=4, cpus=4, memory="7GB"), heavy)
    assert max(found) <= 2 and done.counts["succeeded"] == 8


def test_tasks_that_fit_together_run_together(tmp_path: Path) -> None:
    tasks = [Heavy(value, 3, str(tmp_path)) for value in range(12)]
    found, _, _ = run(lab_with(tmp_path, "fork", workers=3, cpus=4, memory="9GB"), tasks)
    assert max(found) == 3


def test_a_task_that_wants_more_cpus_than_there_are_runs_alone_and_that_is_told_once(tmp_path: Path) -> None:
    tasks = [Wide(value, str(tmp_path)) for value in range(3)]
    found, _, log = run(lab_with(tmp_path, "fork", workers=2, cpus=1), tasks)
    assert {many for many, _ in found} == {1}
    (told,) = log.of(Warned)
    assert "and 2 more ask for more CPUs than the 1 there are: each runs alone" in told.message


def test_what_can_never_run_is_an_error_before_anything_is_done(tmp_path: Path) -> None:
    lab = lab_with(tmp_path, "fork", memory="2GB", gpus=[])
    for task, words in (
        (Heavy(1, 3, ""), "it needs 3.0 GB, and this run has 2.0 GB"),
        (OnTwo(1), "there are not enough GPUs for OnTwo(value=1)"),
    ):
        with pytest.raises(LabError) as caught:
            lab.execute(lab.prepare([Looks(1), task]))
        assert words in str(caught.value) and caught.value.exit_status == 2
    assert not (tmp_path / "storage").exists() and not traces(tmp_path)


def test_the_driver_is_asked_only_where_a_task_wants_gpus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tool = tmp_path / "nvidia-smi"
    tool.write_text(f"#!/bin/sh\ntouch {tmp_path}/asked\necho 'GPU 0: NVIDIA H200 (UUID: GPU-aa)'\n")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    run(lab_with(tmp_path, "serial"), [Looks(1), OnNone(1), Wide(1, str(tmp_path))])
    assert not (tmp_path / "asked").exists()
    found, _, _ = run(lab_with(tmp_path, "serial"), [OnGpu(1, str(tmp_path))])
    assert found[0][1] == "0" and (tmp_path / "asked").exists()


@pytest.mark.parametrize("runner", ["process", "spawn"])
def test_libraries_of_tasks_that_say_nothing_share_the_cpus_that_the_run_may_use(
    tmp_path: Path, runner: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    found, _, _ = run(lab_with(tmp_path, runner, workers=2, cpus=6), [Looks(1), Looks(2)])
    assert [seen[1][1] for seen in found] == ["3", "3"]
