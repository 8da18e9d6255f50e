"""A long run in which everything happens at once, and somebody kills workers at random all the while.

Of the tasks 5 % raise, 2 % hang, 2 % kill their worker, 1 % take more memory than they may. What is killed at
random is tried again. In the end every outcome is the expected one, and the command is as small as it was.

`LABTECH_SOAK_TASKS` sets how many tasks there are (2,000 take about ten minutes).
"""

from __future__ import annotations

import contextlib
import os
import random
import signal
import threading
import time
from collections import Counter
from pathlib import Path

import psutil
import pytest
import soak_tasks
from runner_kit import Log, descendants
from sample_tasks import wait_until
from soak_tasks import Soaked

from labtech_cli.core.events import Outcome, TaskFinished, TaskRetried
from labtech_cli.lab import Lab
from labtech_cli.project.modules import place_of
from labtech_cli.run.loop import Rules

TASKS = int(os.environ.get("LABTECH_SOAK_TASKS", "2000"))
RETRIES = 3
TIMEOUT = 1.5
KINDS = {"raises": "ValueError", "hangs": "TaskTimeout", "kills": "TaskDied", "hoards": "MemoryLimit"}


def fates(many: int, seed: int) -> list[str]:
    """What becomes of each task, mixed."""
    each = {"raises": many // 20, "hangs": many // 50, "kills": many // 50, "hoards": max(1, many // 100)}
    found = [fate for fate, count in each.items() for _ in range(count)]
    found += ["fine"] * (many - len(found))
    random.Random(seed).shuffle(found)
    return found


class Killer(threading.Thread):
    """Kills a worker now and then, until it is told to stop."""

    def __init__(self, folder: Path, seed: int) -> None:
        super().__init__(daemon=True)
        self.folder, self.random, self.kills, self.over = folder, random.Random(seed), 0, threading.Event()

    def run(self) -> None:
        while not self.over.wait(self.random.uniform(0.2, 1.0)):
            busy = [int(item.name) for item in self.folder.iterdir()]
            if busy:
                pid = self.random.choice(busy)
                with contextlib.suppress(FileNotFoundError, psutil.Error, ProcessLookupError):
                    (self.folder / str(pid)).unlink()
                    if psutil.Process(pid).ppid() != os.getpid() and os.getpid() not in ancestors(pid):
                        continue  # an id that is somebody else's by now
                    os.kill(pid, signal.SIGKILL)
                    self.kills += 1


def ancestors(pid: int) -> list[int]:
    return [process.pid for process in psutil.Process(pid).parents()]


def soak(folder: Path, many: int, runner: str, seed: int) -> str:
    """One run with everything in it; what is to be known of it."""
    busy = folder / "busy"
    busy.mkdir()
    tasks = [Soaked(number, fate, str(busy)) for number, fate in enumerate(fates(many, seed))]
    lab = Lab(
        storage=folder / "storage", runner_backend=runner, max_workers=2,
        resources={"memory": "2GB", "enforce_memory": True},
    )  # fmt: skip
    lab.modules = [place_of(soak_tasks)]
    me = psutil.Process()
    descriptors, size, before = me.num_fds(), me.memory_info().rss, descendants()
    log, killer, began = Log(), Killer(busy, seed), time.monotonic()
    killer.start()
    try:
        lab.execute(lab.prepare(tasks), [log], rules=Rules(True, retries=RETRIES, retry_delay=0.01, timeout=TIMEOUT))
    finally:
        killer.over.set()
        killer.join()
    ends = {event.task: event for event in log.of(TaskFinished)}
    assert len(ends) == len(log.of(TaskFinished)) == many
    for task in tasks:
        end = ends[task]
        assert end.outcome is (Outcome.SUCCEEDED if task.fate == "fine" else Outcome.FAILED), f"{task}: {end.error}"
        if task.fate != "fine":
            assert end.attempt == RETRIES + 1, f"{task}: {end}"
            assert end.error.kind in (KINDS[task.fate], "TaskDied"), f"{task}: {end.error}"
    values = lab.storage.present()
    assert len(values) == sum(task.fate == "fine" for task in tasks)
    lab.close()
    grown = (me.memory_info().rss - size) / many
    left = me.num_fds() - descriptors
    assert left <= 0, f"{left} descriptors are left open"
    assert grown < 50_000, f"{grown:.0f} bytes a task"
    wait_until(lambda: not descendants() - before, 10)
    retried = Counter(event.error.kind for event in log.of(TaskRetried))
    return (
        f"{runner}: {many} tasks in {time.monotonic() - began:.0f} s, {killer.kills} kills at random, "
        f"retried {dict(retried)}, {grown:.0f} bytes a task"
    )


@pytest.mark.slow
@pytest.mark.parametrize("runner", ["process", "fork-per-task"])
def test_a_short_soak_ends_as_expected_and_leaves_nothing(tmp_path: Path, runner: str) -> None:
    print(soak(tmp_path, 150, runner, seed=1))


@pytest.mark.long
def test_a_long_soak_ends_as_expected_and_leaves_nothing(tmp_path: Path) -> None:
    print(soak(tmp_path, TASKS, "process", seed=2))
