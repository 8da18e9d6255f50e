"""A storage that fails, a disk that is full, results that cannot be kept: one task's failure, and no harm to others."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from crash_tasks import project, value_of
from storage_kit import LARGE, key, make, record

import labtech_cli as labtech
from labtech_cli import JoblibCache
from labtech_cli.errors import LabtechError, StorageError
from labtech_cli.lab import Lab
from labtech_cli.run.loop import Rules
from labtech_cli.store.local import LocalStorage
from labtech_cli.store.storage import Storage

METHODS = (
    *("check_writable", "spool", "present", "timings", "commit", "load", "rows", "keep", "documents"),
    *("codes", "produced_by", "enter", "leave", "beat", "claiming", "release", "set_aside"),
)


class Failing:
    """Makes the n-th call of a storage raise, before or after it did what it was asked."""

    def __init__(self, storage: Storage, at: int, *, after: bool) -> None:
        self.seen, self.at, self.after = 0, at, after
        self.failed = ""
        for name in METHODS:
            setattr(storage, name, self._wrapped(name, getattr(storage, name)))

    def _wrapped(self, name: str, method: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **options: Any) -> Any:
            self.seen += 1
            fails = self.seen == self.at
            if fails and not self.after:
                self._fail(name)
            found = method(*arguments, **options)
            if fails:
                self._fail(name)
            return found

        return call

    def _fail(self, name: str) -> None:
        self.failed = name
        raise StorageError(f"the storage failed: {name}")


@pytest.fixture
def marks(tmp_path: Path) -> Path:
    (tmp_path / "marks").mkdir()
    return tmp_path / "marks"


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_whichever_call_of_a_storage_fails_nothing_is_lost_and_the_next_run_finishes(
    tmp_path: Path, marks: Path, after: bool
) -> None:
    folder, number, failed = tmp_path / "storage", 0, set()
    while True:
        number += 1
        shutil.rmtree(folder, ignore_errors=True)
        lab = Lab(storage=LocalStorage(folder), runner_backend="serial", max_workers=1)
        failing = Failing(lab.storage, number, after=after)
        try:
            lab.execute(lab.prepare(project(str(marks))), rules=Rules(keep_going=True))
        except StorageError as error:
            assert "the storage failed" in str(error)  # noqa: PT017 - it need not be raised: a task may fail instead
        if not failing.failed:
            break
        failed.add(failing.failed)
        LocalStorage.close(lab.storage)  # type: ignore[arg-type]
        again = Lab(storage=folder, runner_backend="serial")
        for task in project(str(marks)):
            if again.is_cached(task):
                again.load(task)
        result = again.execute(again.prepare(project(str(marks))))
        assert result.counts["failed"] == 0
        assert [value_of(again.load(task)) for task in project(str(marks))] == [1, 2, 3, 13]
        again.close()
    assert {"present", "codes", "enter", "claiming", "commit", "keep", "leave", "spool"} <= failed
    assert number > 15


class Raises:
    """Cannot be pickled."""

    def __reduce__(self) -> Any:
        raise ValueError("no way")


class Leaves:
    """Ends the process that pickles it."""

    def __reduce__(self) -> Any:
        os._exit(7)


class LeavesLater:
    """Is pickled well, and ends the process that unpickles it."""

    def __reduce__(self) -> Any:
        return os._exit, (9,)


KINDS = {
    "raises": Raises,
    "leaves": Leaves,
    "lambda": lambda: lambda: 0,
    "file": lambda: open(os.devnull),  # noqa: SIM115
}


@labtech.task
class Bad:
    kind: str
    size: int = 0

    def run(self) -> Any:
        return [b"x" * self.size, KINDS[self.kind]()]


@labtech.task(cache=JoblibCache())
class BadJoblib:
    kind: str
    size: int = 0

    def run(self) -> Any:
        return [b"x" * self.size, KINDS[self.kind]()]


@labtech.task
class Good:
    number: int

    def run(self) -> int:
        return self.number


@pytest.mark.parametrize("size", [0, 300_000])
@pytest.mark.parametrize("kind", [Bad, BadJoblib])
@pytest.mark.parametrize(
    "runner",
    ["process", *(pytest.param(name, marks=pytest.mark.long) for name in ("fork", "spawn", "thread")), "serial"],
)
def test_a_result_that_cannot_be_kept_fails_its_task_alone(tmp_path: Path, runner: str, kind: Any, size: int) -> None:
    lab = Lab(storage=tmp_path / "storage", runner_backend=runner, max_workers=2)
    leaving = ["leaves"] if runner in ("process", "fork", "spawn") else []
    bad = [kind(name, size) for name in ["raises", "lambda", "file", *leaving]]
    good = [Good(number) for number in range(5)]
    result = lab.execute(lab.prepare([*bad, *good]), rules=Rules(keep_going=True))
    assert {task for task, _ in result.failures} == set(bad)
    assert [lab.load(task) for task in good] == list(range(5))
    assert not any(lab.is_cached(task) for task in bad)
    lab.close()
    places = [tmp_path / "storage" / name for name in ("results", "spool", "damaged")]
    assert not [item for place in places for item in place.rglob("*") if item.is_file()]


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of three megabytes."""
    folder = tmp_path / "disk"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", str(folder)]
    if os.getuid() != 0 or subprocess.run(command, capture_output=True).returncode != 0:
        pytest.skip("needs to mount a file system")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


@pytest.mark.parametrize("size", [20_000, 400_000])
@pytest.mark.parametrize("runner", ["process", "serial"])
def test_a_disk_that_fills_up_loses_nothing_that_was_done(small_disk: Path, runner: str, size: int) -> None:
    tasks = [Sized(number, size) for number in range(6_000_000 // size)]
    lab = Lab(storage=small_disk / "storage", runner_backend=runner, max_workers=2)
    message = ""
    try:
        done = lab.execute(lab.prepare(tasks), rules=Rules(keep_going=False))
        assert done.counts["failed"] and done.exit_code == 1
        message = str(done.failures[0][1])
    except LabtechError as error:
        message = str(error)
    assert "no space" in message.lower() or "full" in message.lower(), message
    lab.close()
    subprocess.run(["mount", "-o", "remount,size=40m", str(small_disk)], check=True)
    lab = Lab(storage=small_disk / "storage", runner_backend=runner, max_workers=2)
    there = set(lab.storage.present())
    assert 0 < len(there) < len(tasks)
    assert all(len(lab.load(task)) == size for task in tasks if task.cache_key in there)
    result = lab.execute(lab.prepare(tasks), rules=Rules(keep_going=False))
    assert result.counts["succeeded"] == len(tasks) - len(there) and result.counts["loaded"] == len(there)
    lab.close()


def test_a_shared_folder_on_a_full_disk_can_be_emptied(small_disk: Path) -> None:
    folder = small_disk / "storage"
    storage = make("file", folder)
    keys = [key(str(number)) for number in range(4)]
    storage.commit([record(storage, name, LARGE) for name in keys])
    storage.set_aside(keys[3])
    storage.close()
    with suppress(OSError), open(small_disk / "filling", "wb", buffering=0) as file:
        while True:
            file.write(bytes(1024))
    with pytest.raises(StorageError, match="no space left"):
        make("file", folder).check_writable()
    storage = make("file", folder)
    assert storage.remove_unneeded(keys[:2]) == 2
    storage.discard(storage.aside())
    storage.leave()
    storage.close()
    assert set(make("file", folder).present()) == {keys[2]} and storage.aside() == []
    assert set(storage.described()) == set(keys), "there was room for what stays of them afterwards"
    data = [item for item in folder.rglob("part-0") if item.is_file()]
    assert [keys[2] in str(item) for item in data] == [True]
    storage = make("file", folder)
    storage.commit([record(storage, keys[0], LARGE)])
    storage.close()


@labtech.task
class Sized:
    number: int
    size: int

    def run(self) -> bytes:
        return os.urandom(self.size)


def test_a_storage_that_cannot_be_written_to_gives_what_it_has_and_one_error_for_what_it_has_not(
    tmp_path: Path,
) -> None:
    folder = tmp_path / "storage"
    lab = Lab(storage=folder, runner_backend="serial")
    lab.run_tasks([Good(1), Sized(1, 300_000)], disable_progress=True)
    lab.close()
    from storage_kit import as_somebody_else

    for item in [folder, *folder.rglob("*"), *(place for place in folder.parents if "pytest-" in str(place))]:
        item.chmod(0o755 if item.is_dir() else 0o644)

    def read() -> None:
        lab = Lab(storage=folder, runner_backend="serial")
        results = lab.run_tasks([Good(1), Sized(1, 300_000)], disable_progress=True)
        assert results[Good(1)] == 1 and len(results[Sized(1, 300_000)]) == 300_000
        with pytest.raises(StorageError, match=r"ermission denied|readonly|read-only"):
            lab.run_tasks([Good(2)], disable_progress=True)

    assert as_somebody_else(read) == ""
