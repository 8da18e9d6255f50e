"""An object store: S3 as a server on this machine plays it. Skipped without `moto[server]` and `s3fs`."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from storage_kit import LARGE, content, key, record

from labtech_cli.errors import StorageError
from labtech_cli.store.records import Claim, Move
from labtech_cli.store.remote import FsspecStorage

pytest.importorskip("s3fs")
server = pytest.importorskip("moto.server")
pytestmark = pytest.mark.slow
K, A, B, C, ABSENT = map(key, ("k", "a", "b", "c", "absent"))


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    running = server.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    running.start()
    host, port = running.get_host_and_port()
    yield f"http://{host}:{port}"
    running.stop()


@pytest.fixture
def another(endpoint: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], FsspecStorage]]:
    """Makes one more user of one bucket."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    made: list[FsspecStorage] = []

    def new() -> FsspecStorage:
        bucket = f"bucket-{abs(hash(str(tmp_path)))}"
        made.append(FsspecStorage(f"s3://{bucket}/lab", client_kwargs={"endpoint_url": endpoint}))
        return made[-1]

    yield new
    for storage in made:
        storage.close()


def claim(storage: FsspecStorage, *keys: str) -> list[Claim]:
    with storage.claiming() as ask:
        return [ask(one, True) for one in keys]


def test_results_are_kept_listed_replaced_and_removed(another: Callable[[], FsspecStorage]) -> None:
    first, second = another(), another()
    assert first.present() == {} == first.load([K]) and first.remove([K]) == 0 and first.live() == []
    first.check_writable()
    keys = [key(str(number)) for number in range(40)]
    first.commit([record(first, one, one.encode()) for one in keys])
    first.commit([record(first, K, b"small", LARGE, took=2.0)])
    assert set(second.present()) == {K, *keys} and second.timings().by_key[K] == 2.0
    assert content(second.load([K, ABSENT])[K]) == [b"small", LARGE]
    late = record(second, K, b"late", LARGE)
    late.replace = False
    second.commit([late])
    assert content(first.load([K])[K]) == [b"small", LARGE]
    second.commit([record(second, K, b"new", LARGE + b"x")])
    assert content(first.load([K])[K]) == [b"new", LARGE + b"x"]
    assert second.remove([K, *keys[:10]]) == 11 and set(first.present()) == set(keys[10:])
    assert K in first.described()
    first.keep({"d" * 32: "text"})
    assert second.documents(["d" * 32, "e" * 32]) == {"d" * 32: "text"}


def test_runs_share_the_work(another: Callable[[], FsspecStorage]) -> None:
    first, second = another(), another()
    first.enter([K])
    assert claim(first, A, B) == [Claim.MINE, Claim.MINE]
    second.enter([])
    assert first._place.exclusive and second.needed() == {K}
    assert claim(second, A) == [Claim.HELD]
    first.beat()
    assert claim(second, A, B, C) == [Claim.HELD, Claim.HELD, Claim.MINE] and claim(first, C) == [Claim.HELD]
    first.commit([record(first, A, b"a")])
    assert claim(second, A) == [Claim.DONE]
    first.leave()
    assert claim(second, B) == [Claim.MINE]
    second.leave()
    assert not second._place.find("leases") and not second._place.find("runs")


def test_results_get_another_identity(another: Callable[[], FsspecStorage]) -> None:
    storage = another()
    storage.commit([record(storage, A, b"a", LARGE), record(storage, B, b"b")])
    number = storage.rewrite([Move(A, B, "n.T", None, "{}", None), Move(B, A, "n.T", None, "{}", None)], "swap")
    assert content(storage.load([B])[B]) == [b"a", LARGE]
    assert storage.undo(number) == 2 and content(storage.load([A])[A]) == [b"a", LARGE]
    storage.set_aside(A)
    assert set(storage.present()) == {B} and len(storage._place.find("damaged")) == 3


def test_after_a_fork_each_process_has_its_own_connections(another: Callable[[], FsspecStorage]) -> None:
    storage = another()
    storage.commit([record(storage, A, LARGE)])
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            assert content(storage.load([A])[A]) == [LARGE]
            storage.commit([record(storage, B, LARGE)])
            storage.close()
            status = 0
        finally:
            os._exit(status)
    deadline = time.monotonic() + 30
    while (ended := os.waitpid(pid, os.WNOHANG))[0] == 0 and time.monotonic() < deadline:
        time.sleep(0.01)
    if ended[0] == 0:
        os.kill(pid, 9)
        os.waitpid(pid, 0)
    assert ended == (pid, 0)
    assert content(storage.load([B])[B]) == [LARGE]


def test_a_store_that_cannot_be_reached_is_an_error_of_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    options: dict[str, Any] = {
        "client_kwargs": {"endpoint_url": "http://127.0.0.1:9"},
        "config_kwargs": {"retries": {"max_attempts": 0}, "connect_timeout": 1},
    }
    with pytest.raises(StorageError, match="storage 's3://bucket/lab': could not connect"):
        FsspecStorage("s3://bucket/lab", **options).check_writable()


def test_the_command_runs_on_it(another: Callable[[], FsspecStorage], endpoint: str, tmp_path: Path) -> None:
    (tmp_path / "experiments.py").write_text(
        "import labtech_cli as labtech\n@labtech.task\nclass T:\n    x: int\n"
        "    def run(self):\n        return 'y' * 100_000\n"
        "tasks = [T(x) for x in range(3)]\n"
    )
    url = another().url
    command = [sys.executable, "-m", "labtech_cli", "run", "experiments.py:tasks", "--storage", url, "--show", "none"]
    told = []
    for _ in range(2):
        done = subprocess.run(
            command,
            cwd=tmp_path,
            env={**os.environ, "AWS_ENDPOINT_URL": endpoint},
            capture_output=True,
            text=True,
            timeout=100,
        )
        assert done.returncode == 0, done.stderr
        told.append(done.stderr)
    assert "3 succeeded" in told[0] and "3 loaded" in told[1]
    assert len(another().present()) == 3 and another().live() == []
