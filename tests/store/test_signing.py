"""Signed results, and those that are not."""

from __future__ import annotations

import os
import pickle
from pathlib import Path
from typing import Any

import pytest

import labtech_cli as labtech
from labtech_cli.errors import ConfigError, UntrustedResult
from labtech_cli.lab import Lab
from labtech_cli.store.blobs import Blob, Stored, digest
from labtech_cli.store.signing import VARIABLE, Trust

OLD, NEW = "old-key-0123456789", "new-key-0123456789"
STORED = Stored("pickle", (Blob("a", 3, digest(b"abc", strong=True), b"abc", None),))


@labtech.task
class Sized:
    size: int

    def run(self) -> bytes:
        return b"x" * self.size


@labtech.task
class Doubled:
    sized: Sized

    def run(self) -> int:
        return 2 * len(self.sized.result)


def test_without_keys_everything_is_accepted_and_nothing_is_signed() -> None:
    trust = Trust.from_environment({})
    assert not trust and trust.sign("k", STORED).signature == ""
    trust.check("k", STORED)


def test_what_a_key_signed_it_accepts_and_nothing_else() -> None:
    trust = Trust((NEW,))
    signed = trust.sign("k", STORED)
    trust.check("k", signed)
    blob = STORED.blobs[0]
    for key, wrong in [
        ("other", signed),
        ("k", signed._replace(format="joblib")),
        ("k", signed._replace(signature=signed.signature[:-1] + "x")),
        ("k", signed._replace(signature="")),
        ("k", signed._replace(signature="abc:ü")),
        ("k", signed._replace(blobs=(blob._replace(name="b"),))),
        ("k", signed._replace(blobs=(blob._replace(size=4),))),
        ("k", signed._replace(blobs=(blob._replace(digest=digest(b"abd", strong=True)),))),
        ("k", signed._replace(blobs=(blob, blob))),
        ("k", signed._replace(blobs=())),
    ]:
        with pytest.raises(UntrustedResult):
            trust.check(key, wrong)


def test_a_signature_over_a_checksum_that_an_attacker_can_match_is_not_accepted() -> None:
    trust = Trust((NEW,))
    weak = Stored("pickle", (Blob("a", 3, digest(b"abc", strong=False), b"abc", None),))
    with pytest.raises(UntrustedResult, match="wrong"):
        trust.check("k", trust.sign("k", weak))


def test_keys_are_changed_by_naming_both() -> None:
    signed = Trust((OLD,)).sign("k", STORED)
    both = Trust.from_environment({VARIABLE: f"{NEW}, {OLD}"})
    both.check("k", signed)
    Trust((NEW,)).check("k", both.sign("k", STORED))
    with pytest.raises(UntrustedResult, match="by another key"):
        Trust((NEW,)).check("k", signed)


def test_a_short_key_is_refused() -> None:
    with pytest.raises(ConfigError, match="5 characters"):
        Trust.from_environment({VARIABLE: "short"})


@pytest.mark.parametrize("text", ["", " ", ",", " , "])
def test_a_variable_without_a_key_is_refused_a_missing_secret_must_not_turn_signing_off(text: str) -> None:
    with pytest.raises(ConfigError, match="holds no key"):
        Trust.from_environment({VARIABLE: text})


@pytest.mark.parametrize("runner", ["serial", "fork", "spawn"])
@pytest.mark.parametrize("size", [10, 300_000])
def test_a_lab_signs_and_refuses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, runner: str, size: int) -> None:
    monkeypatch.setenv(VARIABLE, NEW)

    def lab() -> Lab:
        return Lab(storage=tmp_path / "s", runner_backend=runner, max_workers=1)

    task = Doubled(Sized(size))
    assert lab().run_task(task.sized, disable_progress=True) == b"x" * size
    assert lab().run_task(task, disable_progress=True) == 2 * size
    monkeypatch.setenv(VARIABLE, OLD)
    with pytest.raises(UntrustedResult, match="by another key"):
        lab().load(task)
    with pytest.raises(UntrustedResult, match="by another key"):
        lab().run_tasks([task], disable_progress=True)
    monkeypatch.setenv(VARIABLE, f"{OLD},{NEW}")
    assert lab().load(task) == 2 * size
    monkeypatch.delenv(VARIABLE)
    assert lab().load(task) == 2 * size, "without a key, checksums are checked alone"


def test_results_from_before_keys_were_used_are_refused_until_they_are_computed_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lab = Lab(storage=tmp_path / "s", runner_backend="serial")
    lab.run_task(Sized(5), disable_progress=True)
    monkeypatch.setenv(VARIABLE, NEW)
    strict = Lab(storage=tmp_path / "s", runner_backend="serial")
    with pytest.raises(UntrustedResult, match="is not signed"):
        strict.run_task(Sized(5), disable_progress=True)
    strict.run_task(Sized(5), bust_cache=True, disable_progress=True)
    assert strict.load(Sized(5)) == b"xxxxx"


class Hostile:
    """Leaves a trace when it is unpickled."""

    def __init__(self, trace: Path) -> None:
        self.trace = str(trace)

    def __reduce__(self) -> Any:
        return os.mkdir, (self.trace,)


@pytest.mark.parametrize("size", [0, 300_000])
def test_a_forged_result_is_refused_before_it_is_unpickled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    monkeypatch.setenv(VARIABLE, NEW)
    lab = Lab(storage=tmp_path / "s", runner_backend="serial")
    lab.run_task(Sized(size), disable_progress=True)
    trace = tmp_path / "unpickled"
    data = pickle.dumps([Hostile(trace), b"x" * size])
    stored = lab.storage.load([Sized(size).cache_key])[Sized(size).cache_key]
    record = next(lab.storage.rows())
    from labtech_cli.store.blobs import PartFolder
    from labtech_cli.store.records import Record

    folder = PartFolder(lab.storage.spool())
    with folder.file_handle("", "result.pickle", mode="wb") as part:
        part.write(data)
    forged = Stored("pickle", tuple(folder.blobs), stored.signature)  # with the signature of the right one
    lab.storage.commit([Record(record.key, record.type, None, record.params, 1.0, 1.0, forged)])
    with pytest.raises(UntrustedResult, match="is wrong"):
        lab.load(Sized(size))
    with pytest.raises(UntrustedResult, match="is wrong"):
        lab.run_task(Doubled(Sized(size)), disable_progress=True)
    assert not trace.exists()
    monkeypatch.delenv(VARIABLE)
    Lab(storage=tmp_path / "s").load(Sized(size))
    assert trace.exists(), "the forged result is one that would act"


def test_a_large_part_that_is_changed_between_the_check_and_the_load_is_not_unpickled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from labtech_cli.store import formats
    from labtech_cli.store.blobs import verify

    monkeypatch.setenv(VARIABLE, NEW)
    lab = Lab(storage=tmp_path / "s", runner_backend="serial")
    task, trace = Sized(300_000), tmp_path / "unpickled"
    lab.run_task(task, disable_progress=True)
    stored = lab.storage.load([task.cache_key])[task.cache_key]
    verify(stored)
    data = pickle.dumps(Hostile(trace))
    Path(str(stored.blobs[0].path)).write_bytes(data.ljust(stored.blobs[0].size, b"\0"))
    with pytest.raises(Exception, match="checksum"):
        formats.load(task, stored)
    assert not trace.exists()
