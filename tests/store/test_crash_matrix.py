"""Whatever step of a run a process is killed at: nothing done is lost, nothing half-done counts, the rest is redone."""

from __future__ import annotations

import os
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from crash_kit import Steps, die, disk_is_full, every_step, in_a_child
from crash_tasks import VALUES, project, value_of

from labtech_cli.core.plan import Policy
from labtech_cli.errors import LabtechError
from labtech_cli.lab import Lab
from labtech_cli.run.loop import Rules

PARTS = 2  # each process of the test run takes every other step


@pytest.fixture
def marks(tmp_path: Path) -> Path:
    folder = tmp_path / "marks"
    folder.mkdir()
    return folder


def where(kind: str, folder: Path) -> str:
    return str(folder) if kind == "local" else f"file://{folder}"


def run(lab: Lab, marks: Path, *, rerun: bool = False) -> Any:
    done = lab.execute(lab.prepare(project(str(marks)), Policy(rerun_all=rerun)), rules=Rules(keep_going=True))
    lab.close()
    return done


def make(kind: str, folder: Path, runner: str) -> Lab:
    return Lab(storage=where(kind, folder), runner_backend=runner, max_workers=1)


def check_what_is_there(kind: str, folder: Path, marks: Path) -> set[str]:
    """Everything that is listed loads and is right; which tasks that are."""
    lab = make(kind, folder, "serial")
    keys = set(lab.storage.present())
    assert {row.key for row in lab.storage.rows()} == keys
    for task, value in zip(project(str(marks)), VALUES, strict=True):
        if task.cache_key in keys:
            assert value_of(lab.load(task)) == value
    lab.close()
    return keys


def check_the_rest_is_done(kind: str, folder: Path, marks: Path, there: set[str], runner: str = "serial") -> None:
    """The same command finishes the work, does nothing twice, and leaves nothing but results."""
    executed = Counter(item.name.partition(".")[0] for item in marks.iterdir())
    result = run(make(kind, folder, runner), marks)
    tasks = project(str(marks))
    assert result.counts["failed"] == 0 and all(result.has(task) for task in tasks)
    again = Counter(item.name.partition(".")[0] for item in marks.iterdir()) - executed
    names = {"small-1": tasks[0], "large-2": tasks[1], "joblib-3": tasks[2], "sum": tasks[3]}
    assert again == Counter(name for name, task in names.items() if task.cache_key not in there)
    assert check_what_is_there(kind, folder, marks) == {task.cache_key for task in tasks}
    check_nothing_is_left(kind, folder)


def check_nothing_is_left(kind: str, folder: Path) -> None:
    lab = make(kind, folder, "serial")
    named = {blob.path for stored in lab.storage.load(list(lab.storage.present())).values() for blob in stored.blobs}
    found = {str(item) for place in ("results", "data", "spool") for item in (folder / place).rglob("*")}
    files = {name for name in found if Path(name).is_file() and not name.endswith(".json")}
    assert files == {name for name in named if name is not None}
    if kind == "local":
        for table in ("owner", "lease", "litter"):
            assert lab.storage._database.select(f"SELECT * FROM {table}") == []  # type: ignore[attr-defined]
    lab.close()


def clear(marks: Path) -> None:
    for item in marks.iterdir():
        item.unlink()


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A storage in which everything is done, with the folder of marks beside it."""
    folder = tmp_path_factory.mktemp("done")
    (folder / "marks").mkdir()
    run(make("local", folder / "storage", "serial"), folder / "marks")
    return folder


@pytest.mark.parametrize("part", range(PARTS))
@pytest.mark.parametrize("runner", ["serial", pytest.param("fork", marks=pytest.mark.long)])
def test_the_command_is_killed_at_every_step_of_a_run(tmp_path: Path, marks: Path, runner: str, part: int) -> None:
    folder = tmp_path / "storage"

    def killed_at(number: int) -> int:
        shutil.rmtree(folder, ignore_errors=True)
        clear(marks)

        def action() -> None:
            parent = os.getpid()
            Steps(number, die, lambda: os.getpid() == parent)
            run(make("local", folder, runner), marks)

        return in_a_child(action)

    steps = 0
    for _ in every_step(killed_at, start=1 + part, stride=PARTS):
        steps += 1
        there = check_what_is_there("local", folder, marks)
        check_the_rest_is_done("local", folder, marks, there)
    print(f"{steps} steps")
    assert steps > 30


@pytest.mark.long
@pytest.mark.parametrize("part", range(PARTS))
def test_the_command_is_killed_at_every_step_of_a_rerun_that_replaces_results(
    tmp_path: Path, done: Path, part: int
) -> None:
    folder, marks = tmp_path / "storage", done / "marks"

    def killed_at(number: int) -> int:
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(done / "storage", folder)

        def action() -> None:
            Steps(number, die)
            run(make("local", folder, "serial"), marks, rerun=True)

        return in_a_child(action)

    steps = 0
    for _ in every_step(killed_at, start=1 + part, stride=PARTS):
        steps += 1
        there = check_what_is_there("local", folder, marks)
        assert len(there) == 4, "the old result stays until the new one is there"
        run(make("local", folder, "serial"), marks, rerun=True)
        check_what_is_there("local", folder, marks)
        check_nothing_is_left("local", folder)
    print(f"{steps} steps")
    assert steps > 30


def test_the_worker_is_killed_at_every_step(tmp_path: Path, marks: Path) -> None:
    folder = tmp_path / "storage"

    def killed_at(number: int) -> int:
        shutil.rmtree(folder, ignore_errors=True)
        clear(marks)

        def action() -> None:
            parent = os.getpid()
            Steps(number, die, lambda: os.getpid() != parent)
            result = run(make("local", folder, "fork"), marks)
            os._exit(3 if result.counts["failed"] else 0)

        return in_a_child(action)

    steps = 0
    for _ in every_step(killed_at):
        steps += 1
        there = check_what_is_there("local", folder, marks)
        check_the_rest_is_done("local", folder, marks, there)
    print(f"{steps} steps")
    assert steps >= 3


@pytest.mark.parametrize("runner", ["serial", "fork"])
def test_the_disk_is_full_at_every_step_that_makes_a_file(tmp_path: Path, marks: Path, runner: str) -> None:
    folder = tmp_path / "storage"

    def full_at(number: int) -> int:
        shutil.rmtree(folder, ignore_errors=True)
        clear(marks)

        def action() -> None:
            steps = Steps(number, disk_is_full)
            steps._statement = lambda text: None  # type: ignore[method-assign]
            message, failed = "", 0
            try:
                failed = run(make("local", folder, runner), marks).counts["failed"]
            except LabtechError as error:
                message = str(error).lower()
            assert not message or "no space" in message, message
            os._exit(3 if message or failed or steps.seen >= number else 0)

        return in_a_child(action)

    steps = 0
    for _ in every_step(full_at):
        steps += 1
        there = check_what_is_there("local", folder, marks)
        check_the_rest_is_done("local", folder, marks, there)
    print(f"{steps} steps")
    assert steps > 10
