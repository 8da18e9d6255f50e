"""The local folder: what survives, what is refused, and what is never made."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest
from storage_kit import LARGE, as_somebody_else, content, edit, files, flip, record

from labtech_cli.errors import DamagedResult, StorageError
from labtech_cli.store.blobs import verify
from labtech_cli.store.local import LocalStorage


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "storage"


@pytest.fixture
def storage(folder: Path) -> LocalStorage:
    return LocalStorage(folder)


def child(code: str, *arguments: object) -> subprocess.Popen[str]:
    """Another process over the same storage; `storage`, `record` and `LARGE` are there."""
    head = (
        f"import sys, os, signal; sys.path.insert(0, {str(Path(__file__).parent)!r})\n"
        "from storage_kit import *; from labtech_cli.store.local import LocalStorage\n"
        "storage = LocalStorage(sys.argv[1])\n"
    )
    command = [sys.executable, "-c", head + code, *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def finish(process: subprocess.Popen[str], status: int = 0) -> str:
    out, err = process.communicate(timeout=60)
    assert process.returncode == status, err
    return out


def test_reading_where_there_is_nothing_makes_nothing(folder: Path, storage: LocalStorage) -> None:
    assert storage.present() == {} and list(storage.rows()) == [] and storage.load(["k"]) == {}
    storage.remove(["k"])
    storage.set_aside("k")
    storage.close()
    assert not folder.exists()


def test_large_parts_are_files_and_small_ones_are_not(folder: Path, storage: LocalStorage) -> None:
    storage.commit([record(storage, "ab12", b"small", LARGE)])
    storage.close()
    (name,) = files(folder)[:1]
    assert name.startswith("results/ab/ab12.") and name.endswith("/part-1")
    assert (folder / name).read_bytes() == LARGE
    assert (folder / ".gitignore").read_text() == "*\n"


def test_two_processes_that_commit_at_once_lose_nothing(folder: Path) -> None:
    code = (
        "for n in range(60):\n"
        "    large = LARGE if n % 20 == 0 else b''\n"
        "    storage.commit([record(storage, f'{sys.argv[2]}-{n}', sys.argv[2].encode(), large)])\n"
    )
    for process in [child(code, folder, name) for name in ("a", "b", "c")]:
        finish(process)
    found = LocalStorage(folder)
    keys = [f"{name}-{number}" for name in "abc" for number in range(60)]
    assert sorted(found.present()) == sorted(keys)
    assert all(content(stored)[0].decode() == key[0] for key, stored in found.load(keys).items())


@pytest.mark.parametrize("step", ["after the parts are written", "after they are moved", "in the transaction"])
def test_a_process_that_is_killed_between_two_steps_leaves_the_old_result(folder: Path, step: str) -> None:
    storage = LocalStorage(folder)
    storage.commit([record(storage, "k", b"old", LARGE)])
    storage.close()
    code = {
        "after the parts are written": "made = record(storage, 'k', b'new', LARGE * 2)\n",
        "after they are moved": (
            "made = record(storage, 'k', b'new', LARGE * 2)\n"
            "home = storage._home(made)\n"
            "storage._ledger.announce([home])\n"
            "storage._move(made, home, [])\n"
        ),
        "in the transaction": (
            "from contextlib import contextmanager\n"
            "from labtech_cli.store.database import Database\n"
            "class Dying(Database):\n"
            "    @contextmanager\n"
            "    def transaction(self):\n"
            "        with super().transaction() as database:\n"
            "            yield database\n"
            "            os.kill(os.getpid(), signal.SIGKILL)\n"
            "storage._database = Dying(storage.path)\n"
            "storage.commit([record(storage, 'k', b'new', LARGE * 2)])\n"
        ),
    }[step]
    finish(child(code + "os.kill(os.getpid(), signal.SIGKILL)", folder), -signal.SIGKILL)

    again = LocalStorage(folder)
    assert content(again.load(["k"])["k"]) == [b"old", LARGE]
    again.enter([])
    assert not [name for name in files(folder) if name.startswith("spool/")]
    assert len([name for name in files(folder) if name.startswith("results")]) == 1
    again.commit([record(again, "k", b"newest")])
    assert content(again.load(["k"])["k"]) == [b"newest"]


def test_a_process_that_ends_leaves_no_spool(folder: Path) -> None:
    finish(child("record(storage, 'k', LARGE)", folder))
    assert not [name for name in files(folder) if name.startswith("spool/")]


def test_a_database_without_tables_is_an_empty_storage(folder: Path, storage: LocalStorage) -> None:
    folder.mkdir()
    (folder / "labtech.db").touch()
    assert storage.present() == {}
    storage.commit([record(storage, "k", b"data")])
    assert set(storage.present()) == {"k"}


def test_a_damaged_byte_is_found_inline_and_in_a_file(folder: Path, storage: LocalStorage) -> None:
    storage.commit(
        [record(storage, "small", b"abcdef"), record(storage, "large", LARGE), record(storage, "fine", LARGE)]
    )
    edit(folder, "UPDATE data SET bytes = ? WHERE length(bytes) = 6", b"abcdeX")
    flip(next(folder.glob("results/la/large.*/part-0")))
    found = storage.load(["small", "large", "fine"])
    for key in ("small", "large"):
        with pytest.raises(DamagedResult, match="'part-0' does not match its checksum"):
            verify(found[key])
    verify(found["fine"])


@pytest.mark.parametrize("damage", [b"", b"abc"])
def test_missing_bytes_are_found(folder: Path, storage: LocalStorage, damage: bytes) -> None:
    storage.commit([record(storage, "small", b"abcdef"), record(storage, "large", LARGE)])
    edit(folder, "UPDATE data SET bytes = ?", damage)
    next(folder.glob("results/la/large.*/part-0")).write_bytes(damage)
    for stored in storage.load(["small", "large"]).values():
        with pytest.raises(DamagedResult):
            verify(stored)
    next(folder.glob("results/la/large.*/part-0")).unlink()
    with pytest.raises(DamagedResult, match="cannot be read: No such file"):
        verify(storage.load(["large"])["large"])


@pytest.mark.parametrize(
    "line",
    [
        "../secret\t6\t0\tresults/aa/x",
        "part-0\t6\t0\t../..",
        "part-0\t6\t0\tresults/../..",
        "part-0\t6\t0\t/etc",
        "part-0\t6\t0\tresults/aa/..",
        "/etc/passwd\t6\t0\t",
        "part-0\tmany\t0\t",
        "rubbish",
        "",
    ],
)
def test_names_that_lead_elsewhere_are_not_followed_and_count_as_damaged(
    folder: Path, storage: LocalStorage, tmp_path: Path, line: str
) -> None:
    secret = tmp_path / "secret"
    secret.write_text("secret")
    storage.commit([record(storage, "bad", b"abcdef"), record(storage, "good", b"good")])
    edit(folder, "UPDATE task SET parts = ? WHERE key = 'bad'", line)
    found = storage.load(["bad", "good"])
    assert content(found["good"]) == [b"good"]
    with pytest.raises(DamagedResult):
        verify(found["bad"])
    storage.set_aside("bad")
    assert set(storage.present()) == {"good"} and secret.read_text() == "secret"
    storage.commit([record(storage, "bad", b"mended", LARGE)])
    assert content(storage.load(["bad"])["bad"]) == [b"mended", LARGE]


def test_a_file_in_place_of_the_folder_is_refused(folder: Path, storage: LocalStorage) -> None:
    folder.write_text("a file")
    for use in (storage.present, storage.check_writable, storage.spool):
        with pytest.raises(StorageError, match="is a file, not a folder; name a folder with --storage"):
            use()
    assert folder.read_text() == "a file"


def test_a_database_that_is_none_is_refused(folder: Path, storage: LocalStorage) -> None:
    folder.mkdir()
    (folder / "labtech.db").write_text("this is no database, whatever its name may say" * 50)
    for use in (storage.present, storage.check_writable):
        with pytest.raises(
            StorageError, match=r"file is not a database; the file labtech.db is damaged or not labtech's"
        ):
            use()


def test_a_newer_storage_is_refused_and_not_locked(folder: Path, storage: LocalStorage) -> None:
    storage.commit([record(storage, "k", b"data")])
    storage.close()
    edit(folder, "PRAGMA user_version = 99")
    for use in (storage.present, storage.check_writable):
        with pytest.raises(
            StorageError, match=r"written by a newer labtech \(format 99; this one knows \d+\)"
        ) as caught:
            use()
        other = sqlite3.connect(folder / "labtech.db", timeout=0.1)
        other.execute("BEGIN IMMEDIATE")
        other.close()
        del caught


def test_of_several_results_that_cannot_be_committed_together_the_good_ones_can_be_alone(
    folder: Path, storage: LocalStorage
) -> None:
    good, bad = record(storage, "good", LARGE), record(storage, "bad", LARGE)
    assert bad.stored is not None
    Path(str(bad.stored.blobs[0].path)).unlink()
    with pytest.raises(StorageError):
        storage.commit([good, bad])
    assert storage.present() == {} and not list(folder.glob("results/go/*"))
    storage.commit([good])
    assert content(storage.load(["good"])["good"]) == [LARGE]


def test_an_error_while_results_are_moved_is_a_storage_error(folder: Path, storage: LocalStorage) -> None:
    made = record(storage, "k", LARGE)
    (folder / "results").write_text("in the way")
    with pytest.raises(StorageError, match="not a directory"):
        storage.commit([made])
    assert storage.present() == {}


def test_a_folder_that_cannot_be_written_to_can_be_listed_and_says_so_when_written_to() -> None:
    with tempfile.TemporaryDirectory() as made:
        os.chmod(made, 0o755)
        folder = Path(made) / "storage"
        first = LocalStorage(folder)
        first.commit([record(first, "k", b"data", LARGE)])
        first.close()
        os.chmod(folder, 0o555)
        try:

            def read() -> None:
                storage = LocalStorage(folder)
                assert set(storage.present()) == {"k"}
                assert content(storage.load(["k"])["k"]) == [b"data", LARGE]

            assert as_somebody_else(read) == ""
            error = as_somebody_else(LocalStorage(folder).check_writable)
            assert "permission denied; check that the folder can be written to" in error
            assert "StorageError" in as_somebody_else(LocalStorage(folder / "below").check_writable)
        finally:
            os.chmod(folder, 0o755)


def test_a_run_that_found_no_result_leaves_alone_what_another_committed_meanwhile(storage: LocalStorage) -> None:
    """The other run's tasks may be reading its files."""
    storage.commit([record(storage, "k", b"first", LARGE)])
    late = record(storage, "k", b"second", LARGE * 2)
    late.replace = False
    storage.commit([late, record(storage, "other", b"x")])
    assert content(storage.load(["k"])["k"]) == [b"first", LARGE]
    assert "other" in storage.present()
    storage.close()
    assert len([name for name in files(storage.path) if name.startswith("results/k")]) == 1


def test_processes_that_make_a_storage_at_the_same_moment_all_can_use_it(folder: Path) -> None:
    code = (
        "import time\n"
        "go = float(sys.argv[2])\n"
        "while time.time() < go:\n"
        "    pass\n"
        "storage.present()\n"
        "storage.commit([record(storage, f'k{os.getpid()}', b'x')])\n"
        "storage.present()\n"
        "storage.close()\n"
    )
    for turn in range(3):
        place = folder / str(turn)
        moment = str(time.time() + 1.0)
        for process in [child(code, place, moment) for _ in range(5)]:
            finish(process)
        assert len(LocalStorage(place).present()) == 5


def test_what_could_not_be_given_back_is_free_for_the_next_run_of_the_process(folder: Path) -> None:
    first, second = LocalStorage(folder), LocalStorage(folder)
    first.enter([])
    with first.claiming() as claim:
        claim("a" * 32, True)
    edit(folder, "CREATE TRIGGER full BEFORE DELETE ON owner BEGIN SELECT RAISE(ABORT, 'disk is full'); END")
    first.close()
    assert len(rows_of(folder, "owner")) == len(rows_of(folder, "lease")) == 1
    assert second.live() == []
    edit(folder, "DROP TRIGGER full")
    second.enter([])
    assert len(rows_of(folder, "owner")) == 1 and rows_of(folder, "lease") == []
    second.close()


def test_runs_that_ended_cost_the_next_run_of_the_process_nothing(tmp_path: Path) -> None:
    counts = []
    for number in range(20):
        storage, said = LocalStorage(tmp_path / str(number)), []
        storage._database.connect(write=True).set_trace_callback(said.append)
        storage.enter([])
        storage.close()
        counts.append(len(said))
    assert len(set(counts)) == 1


def rows_of(folder: Path, table: str) -> list[tuple[object, ...]]:
    database = sqlite3.connect(folder / "labtech.db")
    found = database.execute(f"SELECT * FROM {table}").fetchall()
    database.close()
    return found


@pytest.mark.parametrize("column", ["parts", "format", "signature"])
def test_a_row_whose_columns_are_no_text_is_a_damaged_result(storage: LocalStorage, column: str) -> None:
    storage.commit([record(storage, "k", b"1", LARGE), record(storage, "whole", b"2")])
    edit(storage.path, f"UPDATE task SET {column} = X'00ff' WHERE key = 'k'")
    found = storage.load(["k", "whole"])
    with pytest.raises(DamagedResult):
        verify(found["k"])
    assert content(found["whole"]) == [b"2"]
    assert list(storage.outlines(["k", "whole"])) == ["whole"]
    storage.set_aside("k")
    assert storage.load(["k"]) == {} and len(os.listdir(storage.path / "damaged")) == 1
