"""Whose runs are kept where, which of them live, and which go."""

from __future__ import annotations

import json
import os
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from store.storage_kit import as_somebody_else

from labtech_cli import task
from labtech_cli.core.events import Warned
from labtech_cli.errors import LabError, TaskFailed
from labtech_cli.lab import Lab
from labtech_cli.report.base import Reporter
from labtech_cli.report.past import Past, past_runs, run_names
from labtech_cli.runs import failed_last, status
from labtech_cli.store.owners import born, this_host
from labtech_cli.store.remote import FsspecStorage
from labtech_cli.store.storage import NullStorage


@task
class Double:
    n: int
    fails: bool = False

    def run(self) -> int:
        print("doubling", self.n)
        if self.fails and not os.path.exists("mended"):
            raise ValueError("no")
        return self.n * 2


@task
class Sum:
    parts: list[Double]

    def run(self) -> int:
        return sum(part.result for part in self.parts)


class Warnings(Reporter):
    def __init__(self) -> None:
        self.told: list[str] = []

    def handle(self, event: Any) -> None:
        if type(event) is Warned:
            self.told.append(event.message)


def lab_in(folder: Path, **options: Any) -> Lab:
    return Lab(storage=folder / "storage", runner_backend="serial", continue_on_failure=True, **options)


def run(lab: Lab, *tasks: Any) -> list[str]:
    """Run tasks; the warnings of it."""
    heard = Warnings()
    lab.run_tasks(list(tasks), disable_progress=True, reporters=[heard])
    return heard.told


def kept(folder: Path) -> list[Past]:
    return list(past_runs(folder / "storage" / "history"))


def test_a_notebook_keeps_history_too(tmp_path: Path) -> None:
    run(lab_in(tmp_path), Double(1), Double(2))
    (past,) = kept(tmp_path)
    assert status(past) == "succeeded" and past.about["counts"]["succeeded"] == 2
    assert past.about["pid"] == os.getpid() and past.about["folder"] == os.getcwd()
    assert [b"".join(past.output(story)) for story in past.stories().values()] == [b"doubling 1\n", b"doubling 2\n"]


def test_a_run_that_loads_everything_is_kept_and_one_of_nothing_is_not(tmp_path: Path) -> None:
    run(lab_in(tmp_path), Double(1))
    run(lab_in(tmp_path), Double(1))
    run(lab_in(tmp_path))
    assert [past.about["counts"]["loaded"] for past in kept(tmp_path)] == [1, 0]  # the newest first


def test_a_failing_run_of_a_notebook_has_ended_and_names_its_log(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lab = Lab(storage=tmp_path / "storage", runner_backend="serial")
    with pytest.raises(TaskFailed):
        lab.run_tasks([Double(1, True)])
    (past,) = kept(tmp_path)
    assert status(past) == "failed"
    where = f"--storage {tmp_path}/storage {past.run_id} {Double(1, True).cache_key[:12]}"
    assert f"log: labtech runs logs {where}" in capsys.readouterr().err


def test_none_is_kept_where_it_is_not_wanted_or_cannot_be(tmp_path: Path) -> None:
    run(lab_in(tmp_path, keep_runs=0), Double(1))
    assert not (tmp_path / "storage" / "history").exists()
    assert NullStorage().history() is None and not Lab(storage=None).keeps_history
    with pytest.raises(LabError, match="keep_runs must be"):
        Lab(keep_runs=-1)


def test_of_an_object_store_it_is_kept_on_this_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    one, other = (FsspecStorage(f"memory://history/{name}").history() for name in ("one", "other"))
    assert one is not None and other is not None and one != other and one.is_relative_to(tmp_path / "labtech")
    monkeypatch.setenv("XDG_STATE_HOME", "relative")
    home = FsspecStorage("memory://x").history()
    assert home is not None and home.is_relative_to(Path.home() / ".local" / "state" / "labtech")
    assert FsspecStorage(f"file://{tmp_path}/shared").history() == tmp_path / "shared" / "history"


def test_a_history_that_cannot_be_written_is_one_warning(tmp_path: Path) -> None:
    run(lab_in(tmp_path / "first"), Double(1))
    (tmp_path / "storage").mkdir()
    (tmp_path / "storage" / "history").write_text("in the way")
    (warning,) = run(lab_in(tmp_path), Double(1))
    assert warning.startswith(f"the history of this run cannot be written in '{tmp_path}/storage/history': ")


def test_a_storage_that_is_only_read_keeps_none_and_says_nothing(tmp_path: Path) -> None:
    lab = lab_in(tmp_path)
    run(lab, Double(1))
    lab.close()

    def load() -> None:
        assert run(lab_in(tmp_path), Double(1)) == []

    for path in (*tmp_path.rglob("*"), tmp_path):
        path.chmod(0o555 if path.is_dir() else 0o444)
    opened = [parent for parent in tmp_path.parents if parent.stat().st_mode & 0o055 != 0o055]
    for parent in opened:
        parent.chmod(parent.stat().st_mode | 0o055)
    try:
        assert as_somebody_else(load) == ""
    finally:
        for path in (tmp_path, *(path for path in tmp_path.rglob("*") if path.is_dir())):
            path.chmod(0o755)
        for parent in opened:
            parent.chmod(parent.stat().st_mode & ~0o055)
    assert len(kept(tmp_path)) == 1


def fake(folder: Path, name: str, **about: Any) -> None:
    (folder / name).mkdir(parents=True)
    text = {"status": "running", "pid": 1, "process": {"host": this_host(), "born": "never"}, **about}
    (folder / name / "run.json").write_text(json.dumps(text))


@pytest.mark.parametrize(
    ("about", "age", "found"),
    [
        ({}, 0, "died"),
        ({"pid": os.getpid(), "process": {"host": this_host(), "born": born(os.getpid())}}, 1000, "running"),
        ({"process": {"host": "elsewhere", "born": "1"}}, 10, "running"),
        ({"process": {"host": "elsewhere", "born": "1"}}, 100, "unknown"),
        ({"status": "succeeded"}, 0, "succeeded"),
        ({"status": "interrupted"}, 1000, "interrupted"),
        ({"status": "nonsense", "process": 7}, 1000, "died"),
        ({"status": ["failed"], "pid": "x"}, 0, "unknown"),
    ],
)
def test_no_run_is_said_to_run_for_ever(tmp_path: Path, about: dict[str, Any], age: int, found: str) -> None:
    fake(tmp_path, "20260101-000000-aaaaaa", **about)
    then = time.time() - age
    os.utime(tmp_path / "20260101-000000-aaaaaa" / "run.json", (then, then))
    (past,) = past_runs(tmp_path)
    assert status(past) == found


def test_a_live_run_says_so_by_the_clock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from labtech_cli.report import history

    monkeypatch.setattr(history, "BEAT_SECONDS", 0.0)
    writer = history.HistoryWriter(tmp_path / "20260101-000000-aaaaaa", {}, lambda error: None)
    from labtech_cli.core.events import RunStarted

    writer.handle(RunStarted("r", 1.0, (), 1, "serial", {}, {}, None))
    (past,) = past_runs(tmp_path)
    os.utime(past.folder / "run.json", (1, 1))
    writer.tick(time.time(), list)
    assert time.time() - past.beat() < 30
    writer.close()


def test_the_oldest_go_but_never_one_that_lives(tmp_path: Path) -> None:
    folder = tmp_path / "storage" / "history"
    for number in range(10):
        fake(folder, f"20200101-00000{number}-aaaaaa")
    alive = {"host": this_host(), "born": born(os.getpid())}
    fake(folder, "20190101-000000-aaaaaa", pid=os.getpid(), process=alive)
    run(lab_in(tmp_path, keep_runs=4), Double(1))
    names = run_names(folder)
    assert names[1:] == [*(f"20200101-00000{n}-aaaaaa" for n in (9, 8, 7)), "20190101-000000-aaaaaa"]


def test_each_task_is_judged_by_its_own_last_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "storage" / "history"
    one, two, fine = Double(1, True), Double(2, True), Double(3)
    keys = [item.cache_key for item in (one, two, fine, Sum([one]), Double(9))]
    assert failed_last(folder, keys) == (set(), False)
    lab = lab_in(tmp_path)
    run(lab, Sum([one]), two, fine)
    assert failed_last(folder, keys) == ({one.cache_key, two.cache_key, Sum([one]).cache_key}, True)
    (tmp_path / "mended").touch()
    run(lab, one)
    assert failed_last(folder, keys) == ({two.cache_key, Sum([one]).cache_key}, True)
    assert failed_last(folder, [fine.cache_key]) == (set(), True)


def test_two_runs_at_once_keep_each_its_own(tmp_path: Path) -> None:
    def go(number: int) -> None:
        Lab(storage=tmp_path / "storage", runner_backend="fork").run_tasks([Double(number)], disable_progress=True)

    threads = [threading.Thread(target=go, args=(number,)) for number in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert sorted(next(iter(past.stories().values())).params["n"] for past in kept(tmp_path)) == [0, 1]
    assert {status(past) for past in kept(tmp_path)} == {"succeeded"}


def test_what_the_storage_does_leaves_the_history_alone(tmp_path: Path) -> None:
    lab = lab_in(tmp_path)
    run(lab, Double(1))
    before = sorted((tmp_path / "storage" / "history").rglob("*"))
    assert len(list(lab.storage.rows())) == 1
    lab.uncache_tasks([Double(1)])
    lab.storage.compact()
    lab.storage.leave()
    assert sorted((tmp_path / "storage" / "history").rglob("*")) == before
