"""Runs that share a storage without a database: each task is computed once, whoever dies."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path

import pytest
from crash_kit import Steps, every_step, in_a_child
from storage_kit import key, objects, record

from labtech_cli.store import remote_leases, remote_runs
from labtech_cli.store.manifests import place_of
from labtech_cli.store.owners import SILENCE, Watch
from labtech_cli.store.records import Claim, Owner
from labtech_cli.store.remote import FsspecStorage

A, B, C = map(key, "abc")
WORKER = """
import os, sys, time, random
sys.path.insert(0, sys.argv[3])
from storage_kit import *
from labtech_cli.store.records import Claim
from labtech_cli.store.remote import FsspecStorage
storage, log = FsspecStorage(sys.argv[1]), open(sys.argv[2], "a")
storage.enter([])
todo = [key(str(number)) for number in range(200)]
random.Random(os.getpid()).shuffle(todo)
while todo:
    storage.beat()
    with storage.claiming() as claim:
        answers = [(one, claim(one, True)) for one in todo[:20]]
    mine = [one for one, answer in answers if answer is Claim.MINE]
    for one in mine:
        print(one, file=log, flush=True)
    storage.commit([record(storage, one, one.encode()) for one in mine])
    done = {one for one, answer in answers if answer is not Claim.HELD}
    todo = [one for one in todo[20:] if one not in done] + [one for one in todo[:20] if one not in done]
    if not mine:
        time.sleep(0.01)
storage.leave()
storage.close()
"""


def worker(url: str, log: Path, host: str) -> subprocess.Popen[str]:
    """A process that computes 200 tasks, or waits for who does, and writes down those it computed."""
    command = [sys.executable, "-c", WORKER, url, str(log), str(Path(__file__).parent)]
    return subprocess.Popen(command, env={**os.environ, "LABTECH_HOST": host}, stderr=subprocess.PIPE, text=True)


def claim(storage: FsspecStorage, *keys: str) -> list[Claim]:
    with storage.claiming() as ask:
        return [ask(one, True) for one in keys]


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"file://{tmp_path}/storage"


@pytest.mark.parametrize("hosts", [("left", "right", "middle"), ("here", "here", "here")], ids=["elsewhere", "here"])
def test_runs_that_contend_for_the_same_tasks_compute_each_once(
    url: str, tmp_path: Path, hosts: tuple[str, ...]
) -> None:
    logs = [tmp_path / str(number) for number in range(3)]
    processes = [worker(url, log, host) for log, host in zip(logs, hosts, strict=True)]
    for process in processes:
        _, told = process.communicate(timeout=60)
        assert process.returncode == 0, told
    computed = [line for log in logs for line in log.read_text().split()]
    assert len(computed) == 200 == len(set(computed)) == len(FsspecStorage(url).present())
    assert [name for name in objects(FsspecStorage(url)) if name.split("/")[0] in ("leases", "runs", "spool")] == []


def test_what_a_killed_run_had_is_taken_over_at_once_on_its_machine(url: str, tmp_path: Path) -> None:
    code = WORKER.partition("todo =")[0] + (
        "with storage.claiming() as claim:\n    claim(key('a'), True)\n"
        "print('ready', file=log, flush=True)\ntime.sleep(60)"
    )
    command = [sys.executable, "-c", code, url, str(tmp_path / "log"), str(Path(__file__).parent)]
    process = subprocess.Popen(command)
    while not (tmp_path / "log").exists() or not (tmp_path / "log").read_text():
        time.sleep(0.01)
    storage = FsspecStorage(url)
    assert claim(storage, A) == [Claim.HELD] and len(storage.live()) == 1
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert claim(storage, A) == [Claim.MINE] and storage.live() == []
    storage.close()


class Elsewhere(FsspecStorage):
    """A storage as another machine uses it, whose clock is ours to turn."""

    def __init__(self, url: str, host: str, clock: list[float]) -> None:
        super().__init__(url)
        os.environ["LABTECH_HOST"] = host
        self._runs.register()
        self._runs._watch = Watch(lambda: clock[0])
        self._leases._clock = lambda: clock[0]
        self._open()


@pytest.mark.parametrize("shared", [False, True])
def test_what_a_silent_run_elsewhere_had_is_taken_over_after_a_while_by_one(
    url: str, monkeypatch: pytest.MonkeyPatch, shared: bool
) -> None:
    monkeypatch.setenv("LABTECH_HOST", "")
    clock = [1000.0]
    left, right, third = (Elsewhere(url, name, clock) for name in ("left", "right", "third"))
    if not shared:
        right.close(), third.close()
        assert left.alone()
    assert claim(left, A, B) == [Claim.MINE, Claim.MINE]
    if not shared:
        right, third = (Elsewhere(url, name, clock) for name in ("right", "third"))
    assert claim(right, A) == claim(third, A) == [Claim.HELD]
    clock[0] += SILENCE - 1
    right.beat(), third.beat()
    assert claim(right, A) == claim(third, A) == [Claim.HELD]
    left.beat()
    clock[0] += 2
    assert claim(right, A) == claim(third, A) == [Claim.HELD], "it lives"
    for _ in range(4):
        clock[0] += SILENCE / 3
        right.beat(), third.beat()
        right.live(), third.live()
    assert claim(right, A) == [Claim.MINE] and claim(third, A) == [Claim.HELD]
    assert claim(third, B) == [Claim.MINE] and claim(right, B) == [Claim.HELD]
    left.release([A, B])
    assert claim(third, A) == [Claim.HELD], "who seemed dead takes nothing back from who took over"
    for storage in (left, right, third):
        storage.close()


def test_of_many_that_see_a_dead_lease_one_takes_it_whatever_they_saw_before(url: str) -> None:
    """Each looks before any acts: what was looked at is of no consequence."""
    users = [FsspecStorage(url) for _ in range(4)]
    for user in users:
        user.enter([])
    dead = Owner("d" * 32, users[0]._runs.register().host, 1, "never", 0.0, 0)
    place, name = users[0]._place, place_of("leases", A)
    place.put({"leases/all.json": b'{"owner": "shared"}', f"runs/{dead.id}.json": json.dumps(dead._asdict()).encode()})
    place.put({name: json.dumps({"owner": dead.id}).encode()})
    for user in users:  # as if all of them had found the dead lease before any of them took it
        real = user._leases._read
        stale = [True]

        def read(asked: str, real: object = real, stale: list[bool] = stale) -> str | None:
            if asked == name and stale:
                stale.pop()
                return dead.id
            return real(asked)  # type: ignore[operator]

        user._leases._read = read  # type: ignore[method-assign]
    assert sorted(claim(user, A)[0] for user in users) == [Claim.MINE] + [Claim.HELD] * 3
    for user in users:
        user.close()


def test_a_lease_that_cannot_be_read_is_respected_for_a_while(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    storage, another, clock = FsspecStorage(url), FsspecStorage(url), [0.0]
    storage.enter([]), another.enter([])
    storage._leases._clock = lambda: clock[0]
    storage._place.put({"leases/all.json": b'{"owner": "shared"}', place_of("leases", A): b""})
    assert claim(storage, A, B) == [Claim.HELD, Claim.MINE]
    clock[0] += SILENCE + 1
    assert claim(storage, A) == [Claim.MINE]
    storage.close(), another.close()
    assert leases_in(url) == []


def leases_in(url: str) -> list[str]:
    return sorted(name for name in objects(FsspecStorage(url)) if name.startswith("leases/"))


def test_of_runs_that_leave_at_the_same_moment_one_takes_the_sign_down(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each looks for the others before any of them is gone, wherever it can."""
    monkeypatch.setattr(remote_leases, "_LEAVING_SECONDS", 30.0)  # however busy the machine is
    users = [FsspecStorage(url) for _ in range(6)]
    for user in users:
        user.enter([])
    assert claim(users[0], A) == [Claim.MINE] and leases_in(url)[1:] == ["leases/all.json"]
    threads = [threading.Thread(target=user.leave) for user in users]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert leases_in(url) == []


def test_who_leaves_while_others_stay_takes_nothing_back_once_it_is_no_run(url: str) -> None:
    """By then its turn to leave may be another one's, who took it as that of a dead run."""
    first, second, third = [FsspecStorage(url) for _ in range(3)]
    for user in (first, second, third):
        user.enter([])
    assert claim(first, A) == [Claim.MINE]
    removed: list[str] = []
    remove = first._place.remove

    def noted(names: Sequence[str]) -> None:
        if first._runs.owner is None:
            removed.extend(names)
        remove(names)

    first._place.remove = noted  # type: ignore[method-assign]
    first.leave()
    assert removed == [] and "leases/leaving.json" in leases_in(url)
    assert not second._runs.lives(first_holder(url))
    second.leave(), third.leave()
    assert leases_in(url) == []


def first_holder(url: str) -> str:
    return str(json.loads(FsspecStorage(url)._place.read(["leases/leaving.json"])["leases/leaving.json"])["owner"])


def test_a_sign_that_nobody_took_down_is_taken_down_by_the_next_to_come(url: str) -> None:
    storage = FsspecStorage(url)
    storage.enter([])
    storage._place.put({"leases/all.json": b'{"owner": "shared"}'})
    assert claim(storage, A, B) == [Claim.MINE, Claim.MINE]
    assert leases_in(url) == ["leases/all.json"] and storage.alone(), "it holds everything, with one object"
    storage.close()
    assert leases_in(url) == []


def test_a_lease_that_is_given_back_while_it_is_taken_from_a_seeming_dead_leaves_nothing(url: str) -> None:
    first, second, third = (FsspecStorage(url) for _ in range(3))
    for user in (first, second, third):
        user.enter([])
    assert claim(first, A) == [Claim.MINE]
    real = second._leases._lives

    def lives(name: str, holder: str) -> bool:  # as if it was asked just before the first left
        if first._runs.owner is not None and holder == first._runs.owner.id:
            first.leave()
            assert claim(third, A) == [Claim.MINE]
            return False
        return real(name, holder)

    second._leases._lives = lives  # type: ignore[method-assign]
    assert claim(second, A) == [Claim.HELD]
    second.close(), third.close()
    assert leases_in(url) == []


def test_a_run_that_is_alone_claims_without_writing(url: str) -> None:
    storage = FsspecStorage(url)
    storage.enter([])
    claim(storage, A)
    before = len(objects(storage))
    assert claim(storage, B, C) == [Claim.MINE, Claim.MINE] and len(objects(storage)) == before
    storage.commit([record(storage, A, b"1")])
    storage.close()


def test_what_a_foreign_object_says_is_no_run(url: str) -> None:
    storage = FsspecStorage(url)
    storage.enter([])
    good = storage._runs.register()._asdict()
    for number, text in enumerate(
        [b"", b"[]", b"{}", json.dumps({**good, "pid": "x"}).encode(), json.dumps(good).encode()]
    ):
        storage._place.put({f"runs/{number:032x}.json": text})
    storage._place.put({"runs/x.json": b"{}"})
    assert storage.live() == [] and storage.needed() == set()
    storage.close()


def test_a_run_is_registered_before_it_has_a_folder_that_others_might_sweep(url: str, tmp_path: Path) -> None:
    def looked_at(number: int) -> int:
        def look(what: str) -> None:
            for owner in os.listdir(spool) if spool.exists() else ():
                assert first._runs.registered(owner), f"before {what}"

        def action() -> None:
            steps = Steps(number, look)
            second = FsspecStorage(url)
            second.enter([A])
            second.commit([record(second, A, b"1", b"x" * 100_000)])
            second.close()
            os._exit(3 if steps.seen >= number else 0)

        return in_a_child(action)

    first, spool = FsspecStorage(url), tmp_path / "storage" / "spool"
    first.enter([])
    assert len(list(every_step(looked_at))) > 15
    first.close()


def test_a_registration_that_was_never_finished_is_forgotten_after_hours(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    storage = FsspecStorage(url)
    storage.enter([])
    storage._place.put({f"runs/{'a' * 32}.json": b""})
    storage._runs.sweep()
    assert storage._runs.registered("a" * 32) and storage.live() == []
    monkeypatch.setattr(remote_runs, "GRACE", -60.0)
    storage._runs.sweep()
    assert not storage._runs.registered("a" * 32)
    storage.close()


def test_a_dead_run_elsewhere_is_forgotten_after_hours(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    storage = FsspecStorage(url)
    storage.enter([])
    away = storage._runs.register()._replace(id="a" * 32, host="away")
    storage._place.put({f"runs/{away.id}.json": json.dumps(away._asdict()).encode()})
    storage._runs.sweep()
    assert [owner.id for owner in storage.live()] == [away.id]
    monkeypatch.setattr(remote_runs, "GRACE", -60.0)
    storage._runs.sweep()
    assert storage.live() == []
    storage.close()
