"""Storages without a database, interrupted at every single step: by an error of the file system, and by SIGKILL."""

from __future__ import annotations

import errno
import os
import signal
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from storage_kit import LARGE, content, key, objects, record

from labtech_cli.errors import StorageError
from labtech_cli.store import folder_place, remote_sweep
from labtech_cli.store.records import Claim, Move
from labtech_cli.store.remote import FsspecStorage

K, A, B, C, D, E, F = map(key, "kabcdef")
OLD, NEW = LARGE, LARGE + b"new"
WHOLE = [[b"old", OLD], [b"new", NEW], [b"f", OLD]]
EVENTS = {"open", "os.rename", "os.link", "os.mkdir", "os.remove", "os.rmdir"}


def before(storage: FsspecStorage) -> None:
    """What is there when the interrupted process begins."""
    storage.commit([record(storage, K, b"old", OLD), record(storage, C, b"c", OLD), record(storage, D, b"d", OLD)])
    storage.commit([record(storage, F, b"f", OLD)])


def commit(storage: FsspecStorage) -> None:
    """A replaced result, a new one, one that leaves alone what is there, and one that is not kept."""
    made = [record(storage, K, b"new", NEW), record(storage, A, b"a", NEW), record(storage, B)]
    storage.commit([*made, replace(record(storage, C, b"late", NEW), replace=False)])


def remove(storage: FsspecStorage) -> None:
    assert storage.remove([C]) == 1


def rewrite(storage: FsspecStorage) -> None:
    """One that moves, and two that change places."""
    pairs = [(D, E), (K, F), (F, K)]
    storage.rewrite([Move(old, new, "n.T", "v2", "{}", None) for old, new in pairs], "moves")


def rewrite_and_undo(storage: FsspecStorage) -> None:
    rewrite(storage)
    storage.undo(storage.journal()[-1].number)


def share(storage: FsspecStorage) -> None:
    """A run from its beginning to its end."""
    storage.enter([K])
    with storage.claiming() as claim:
        assert claim(A, True) is Claim.MINE
    storage.beat()
    storage.commit([record(storage, A, b"a", NEW)])
    storage.set_aside(C)
    storage.leave()


STEPS = [commit, remove, rewrite, rewrite_and_undo, share]


def check(storage: FsspecStorage) -> None:
    """Everything that is listed is whole, and is what it was or what it was to be."""
    listed = set(storage.present())
    found = storage.load(sorted(listed))
    assert set(found) == listed == {row.key for row in storage.rows()}
    have = {one: content(stored) for one, stored in found.items()}
    assert have[K] in WHOLE and have[F] in WHOLE
    assert have.get(A, [b"a", NEW]) == [b"a", NEW] and have.get(C, [b"c", OLD]) == [b"c", OLD]
    assert all(have[one] == [b"d", OLD] for one in {D, E} & listed) and {D, E} & listed
    assert {K, C, F} <= set(storage.described()) and storage.timings().by_key


def check_after_opening(storage: FsspecStorage) -> None:
    """Once it was opened to write: a rewrite is done or not, the next commit works, and no rubbish stays."""
    storage.check_writable()
    check(storage)
    listed = set(storage.present())
    assert len({D, E} & listed) == 1
    done = E in listed
    first, second = (F, K) if done else (K, F)
    assert content(storage.load([first])[first]) in WHOLE[:2] and content(storage.load([second])[second]) == WHOLE[2]
    assert done is bool(storage.journal())
    storage.commit([record(storage, B, b"next", NEW)])
    assert content(storage.load([B])[B]) == [b"next", NEW]
    with storage.claiming() as claim:
        assert claim(key("another"), True) is Claim.MINE
    storage.leave()
    names = objects(storage)
    manifests = "".join(data.decode("latin-1") for name, data in names.items() if name.startswith("results/"))
    assert [name for name in names if name.startswith("data/") and name not in manifests] == []
    assert [name for name in names if name.split("/")[0] in ("spool", "runs", "leases", "staged", "probe")] == []


@pytest.fixture(autouse=True)
def no_grace(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remote_sweep, "GRACE", -60.0)


# -- SIGKILL ---------------------------------------------------------------------------------------


def killed_at(number: int, action: Callable[[], None], folder: Path) -> bool:
    """Do `action` in a forked process that kills itself before the given step below `folder`; whether it did."""
    pid = os.fork()
    if pid == 0:
        seen = [0]

        def hook(event: str, arguments: tuple[Any, ...]) -> None:
            if event in EVENTS and str(arguments[0]).startswith(str(folder)):
                seen[0] += 1
                if seen[0] == number:
                    os.kill(os.getpid(), signal.SIGKILL)

        try:
            sys.addaudithook(hook)
            action()
            os._exit(0)
        except BaseException:
            sys.excepthook(*sys.exc_info())
        finally:
            os._exit(1)
    status = os.waitpid(pid, 0)[1]
    assert os.WIFSIGNALED(status) or os.waitstatus_to_exitcode(status) == 0
    return os.WIFSIGNALED(status)


@pytest.mark.long
@pytest.mark.slow
@pytest.mark.parametrize("step", STEPS, ids=lambda step: step.__name__)
def test_a_kill_at_any_step_harms_nothing(tmp_path: Path, step: Callable[[FsspecStorage], None]) -> None:
    number = 0
    killed = True
    while killed:
        number += 1
        folder = tmp_path / str(number)
        url = f"file://{folder}"
        first = FsspecStorage(url)
        before(first)
        first.close()

        def action(url: str = url) -> None:
            storage = FsspecStorage(url)
            step(storage)
            storage.close()

        killed = killed_at(number, action, folder)
        check(FsspecStorage(url))
        check_after_opening(FsspecStorage(url))
    assert number > 15


# -- errors ----------------------------------------------------------------------------------------


class Failing:
    """Stands before a file system or the module `os`: the writing calls are counted, and one of them fails."""

    WRITES = {"replace", "link", "rename", "unlink", "makedirs", "pipe_file", "put_file", "cp_file", "rm_file"}

    def __init__(self, real: Any) -> None:
        self._real, self.seen, self.fails = real, 0, 0

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._real, name)
        if name not in self.WRITES:
            return value

        def call(*arguments: Any, **options: Any) -> Any:
            self.seen += 1
            if self.seen == self.fails:
                raise OSError(errno.ENOSPC, "No space left on device")
            return value(*arguments, **options)

        return call


@pytest.fixture(params=["file", "memory"])
def failing(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Makes a storage of which the Nth writing call fails, and one over the same place that is well."""

    def new(number: int, name: str) -> tuple[FsspecStorage, FsspecStorage, Failing]:
        url = f"{request.param}://{tmp_path}/{name}"
        well, ill = FsspecStorage(url), FsspecStorage(url)
        before(well)
        well.close()
        if request.param == "file":
            faults = Failing(os)
            monkeypatch.setattr(folder_place, "os", faults)
        else:
            place: Any = ill._place
            faults = Failing(place.fs)
            place._fs = faults
        ill.check_writable()
        faults.seen, faults.fails = 0, number
        return ill, well, faults

    if request.param == "memory":
        pytest.importorskip("fsspec")
    return new


@pytest.mark.slow
@pytest.mark.parametrize("step", STEPS, ids=lambda step: step.__name__)
def test_an_error_at_any_step_harms_nothing(failing: Any, step: Callable[[FsspecStorage], None]) -> None:
    number = 0
    while True:
        number += 1
        ill, well, faults = failing(number, f"{step.__name__}-{number}")
        old = set(well.present())
        told = False
        try:
            step(ill)
        except StorageError as error:
            told = error.hint == "make room; what was saved before is safe"
            if not told:
                raise
        if told and step is commit:
            assert set(well.present()) == old, "all of it was taken back"
        reached = faults.seen >= number
        faults.fails = 0
        check(well)
        if told and step is commit:
            step(ill)  # the same again, from the parts that are still there
            assert content(well.load([K])[K]) == [b"new", NEW]
        ill.close()
        check_after_opening(well)
        well.close()
        if not reached:
            break
    assert number > 3 and not told


def test_parts_of_a_commit_that_failed_can_be_committed_one_by_one(failing: Any) -> None:
    ill, well, faults = failing(0, "retry")
    made = [record(ill, A, b"a", NEW), record(ill, B, b"b", NEW)]
    faults.seen, faults.fails = 0, 4
    with pytest.raises(StorageError):
        ill.commit(made)
    faults.fails = 0
    for one in made:
        ill.commit([one])
    assert content(well.load([B])[B]) == [b"b", NEW] and content(well.load([A])[A]) == [b"a", NEW]
    ill.close()
