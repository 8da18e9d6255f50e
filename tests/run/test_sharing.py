"""Several commands on one storage at the same time divide the work, and survive each other's deaths."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

from labtech_cli.store.local import LocalStorage

MODULE = """
import os, time
from pathlib import Path
import labtech_cli as labtech

def note(name):
    folder = Path(__file__).parent / "marks"
    (folder / f"{name}.{os.getpid()}.{time.monotonic_ns()}").touch()

@labtech.task
class Part:
    number: int
    def run(self):
        note(f"part-{self.number}")
        time.sleep(PAUSE)
        return self.number * (b"x" * 70_000 if self.number % 50 == 0 else 1)

@labtech.task
class Whole:
    parts: list[Part]
    def run(self):
        note(f"whole-{self.parts[0].number}")
        return [part.number for part in self.parts if part.result == part.number or len(part.result)]

parts = [Part(number) for number in range(COUNT)]
whole = [Whole(parts[place : place + 10]) for place in range(0, COUNT, 10)]
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "marks").mkdir()
    return tmp_path


def start(project: Path, count: int, *options: str, host: str = "", pause: float = 0.01) -> subprocess.Popen[bytes]:
    """A `labtech run` of the whole project."""
    (project / "shared.py").write_text(MODULE.replace("COUNT", str(count)).replace("PAUSE", str(pause)))
    command = [
        sys.executable,
        "-m",
        "labtech_cli",
        "run",
        "shared.py:whole",
        "-j",
        "2",
        "--progress",
        "plain",
        *options,
    ]
    environment = {**os.environ, **({"LABTECH_HOST": host} if host else {})}
    with open(project / "log.txt", "ab") as log:
        return subprocess.Popen(command, cwd=project, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment)


def executed(project: Path) -> Counter[str]:
    """How often each task began."""
    return Counter(item.name.partition(".")[0] for item in (project / "marks").iterdir())


def check_all_is_done(project: Path, count: int, *options: str) -> None:
    again = start(project, count, *options)
    before = executed(project)
    assert again.wait(60) == 0, (project / "log.txt").read_text()
    assert executed(project) == before and len(before) == count + count // 10, "nothing is left to do"


@pytest.mark.parametrize("runner", ["process", "thread"])
def test_commands_that_run_at_once_execute_each_task_once(project: Path, runner: str) -> None:
    runs = [start(project, 200, "--runner", runner) for _ in range(3)]
    for run in runs:
        assert run.wait(120) == 0, (project / "log.txt").read_text()
    assert set(executed(project).values()) == {1}
    check_all_is_done(project, 200)


def test_commands_on_different_machines_over_one_folder_execute_each_task_once(project: Path) -> None:
    runs = [start(project, 200, host=name) for name in ("left", "right")]
    for run in runs:
        assert run.wait(120) == 0, (project / "log.txt").read_text()
    assert set(executed(project).values()) == {1}


def test_a_task_that_a_dead_run_held_is_taken_over_at_once(project: Path) -> None:
    first = start(project, 100)
    deadline = time.monotonic() + 60
    while len(executed(project)) < 20:
        assert time.monotonic() < deadline, (project / "log.txt").read_text()
        time.sleep(0.01)
    second = start(project, 100)
    first.kill()
    first.wait()
    assert second.wait(60) == 0, (project / "log.txt").read_text()
    found = executed(project)
    assert len(found) == 110 and sum(found.values()) <= 110 + 2 + 64, "what was done was not done again"
    check_all_is_done(project, 100)


def test_nobody_is_ever_in_the_way_of_a_reader(project: Path) -> None:
    runs = [start(project, 100) for _ in range(2)]
    storage = LocalStorage(project / "labtech_storage")
    looks = 0
    while any(run.poll() is None for run in runs):
        for key in storage.present():
            assert key in storage.load([key])
            break
        list(storage.rows())
        looks += 1
    assert [run.returncode for run in runs] == [0, 0] and looks > 3
    storage.close()


PLACES = {
    "local": ("labtech_storage", ("", "")),
    "folder": ("file://{project}/labtech_storage", ("", "")),
    "folder-of-two-machines": ("file://{project}/labtech_storage", ("left", "right")),
}


def stress(project: Path, place: str, seconds: float) -> str:
    """Four commands at the same 500 tasks, killed and started again at random for about so long; what happened."""
    count, chosen, kills = 500, random.Random(7), 0
    where, hosts = PLACES[place]
    storage = ("--storage", where.format(project=project))

    def begin(number: int) -> subprocess.Popen[bytes]:
        return start(project, count, *storage, host=hosts[number % 2], pause=seconds * 6 / count)

    runs = [begin(number) for number in range(4)]
    ends = time.monotonic() + seconds
    while time.monotonic() < ends and any(run.poll() is None for run in runs):
        time.sleep(chosen.uniform(0.2, 1.5))
        number = chosen.randrange(len(runs))
        if runs[number].poll() is None:
            runs[number].send_signal(signal.SIGKILL)
            runs[number].wait()
            kills += 1
            runs[number] = begin(number)
    for run in runs:
        assert run.wait(180) == 0, (project / "log.txt").read_text()
    found = executed(project)
    extra = sum(found.values()) - len(found)
    assert len(found) == count + count // 10
    assert max(found.values()) <= 1 + kills
    assert extra <= kills * 2 * 2, "a kill costs what its two workers had, and what was not committed yet"
    check_all_is_done(project, count, *storage)
    return f"{place}: {kills} kills, {len(found)} tasks, {extra} executed again"


def test_commands_that_are_killed_and_started_again_at_random_finish_the_work_together(project: Path) -> None:
    """Each task is executed once, and at most once more for each kill; each result is right."""
    print(stress(project, "local", 4))
    storage = LocalStorage(project / "labtech_storage")
    for table in ("owner", "lease", "litter"):
        assert storage._database.select(f"SELECT * FROM {table}") == []
    storage.close()


@pytest.mark.long
@pytest.mark.parametrize("place", PLACES)
def test_so_they_do_for_a_minute(project: Path, place: str) -> None:
    print(stress(project, place, 60))
