"""A storage full of traps: no command but one that loads results unpickles, follows a name, or stops."""

from __future__ import annotations

import json
import os
import pickle
import shutil
import sqlite3
from pathlib import Path
from typing import Any

import pytest
from cli_kit import Cli

from labtech_cli.store.blobs import digest
from labtech_cli.store.local import LocalStorage

MODULE = """
import labtech_cli as labtech

@labtech.task
class Part:
    n: int
    def run(self):
        return self.n

@labtech.task
class Whole:
    part: Part
    def run(self):
        return self.part.result

parts = [Part(n) for n in range(12)]
whole = [Whole(part) for part in parts]
"""
TEXTS = [
    "../../etc/passwd",
    "/etc/passwd",
    "a\0b",
    "x" * 5000,
    "<script>alert(1)</script>",
    "\x1b]0;owned\x07",
    "..",
    "",
    "\u202e",
]


class Trap:
    def __init__(self, trace: Path) -> None:
        self.trace = str(trace)

    def __reduce__(self) -> Any:
        return os.mkdir, (self.trace,)


@pytest.fixture
def trapped(lab: Cli) -> tuple[Cli, Path]:
    """A lab whose storage has traps for bytes, and traps for names, and the trace that a sprung trap leaves."""
    (lab.folder / "trap.py").write_text(MODULE)
    lab("run", "trap.py:whole", "trap.py:parts").check(0)
    folder, trace = lab.folder / "labtech_storage", lab.folder / "sprung"
    data = pickle.dumps(Trap(trace))
    outside = lab.folder / "outside.pickle"
    outside.write_bytes(data)
    database = sqlite3.connect(folder / "labtech.db")
    rows = database.execute("SELECT id FROM task WHERE format IS NOT NULL ORDER BY id").fetchall()
    line = f"result.pickle\t{len(data)}\t{digest(data)}\t"
    for place, (number,) in enumerate(rows):
        text = TEXTS[place % len(TEXTS)]
        parts = [line, line + text, line + f"results/ab/../../{text}", f"{text}\t{len(data)}\t{digest(data)}\t"][
            place % 4
        ]
        database.execute("UPDATE task SET parts = ?, size = ? WHERE id = ?", (parts, len(data), number))
        database.execute("UPDATE data SET bytes = ? WHERE id = ?", (data, number))
    for place, text in enumerate(TEXTS):
        params = [
            json.dumps({"n": text}),
            text,
            "[" * 3000,
            json.dumps({"n": {"$task": place}}),
            '{"n": {"$enum": 1}}',
        ][place % 5]
        database.execute(
            "INSERT INTO task (key, type, code_version, params, duration, format, started_at, size, parts, code, "
            "origin) VALUES (?, ?, ?, ?, 1, ?, 1, ?, ?, 1, 1)",
            (f"{place:032x}", f"trap.{text}", text, params, text, len(data), line),
        )
    database.execute("UPDATE document SET text = ?", (json.dumps({"schema": "labtech.codes/1", "types": [TEXTS[5]]}),))
    database.commit()
    database.close()
    return lab, trace


COMMANDS = [
    *(["cache", "ls", "--format", form] for form in ("table", "json", "jsonl", "csv", "md")),
    ["cache", "ls", "--module", "trap.py", "--stale"],
    ["cache", "ls", "--where", "n>3"],
    ["cache", "stats"],
    ["cache", "verify"],
    ["cache", "gc", "--keep-last", "1", "--dry-run"],
    ["cache", "rm", "Part", "--dry-run"],
    ["cache", "copy", "--to", "elsewhere"],
    ["cache", "migrate", "trap.Part", "trap.Piece", "--dry-run"],
    ["plan", "trap.py:whole", "--tasks"],
    ["plan", "trap.py:whole", "--json"],
    ["why", "trap.py:parts"],
    ["why", "0" * 32],
    ["tasks", "trap.py"],
    ["diagram", "trap.py:whole"],
]


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_no_trap_is_sprung(trapped: tuple[Cli, Path], command: list[str]) -> None:
    lab, trace = trapped
    done = lab(*command)
    assert done.code in (0, 1), done.err
    assert not trace.exists() and "Traceback" not in done.err
    assert "\x1b]0;" not in done.out + done.err and "\0" not in done.out + done.err


COLUMNS = {
    "duration": "'x'",
    "started_at": "'abc'",
    "type": "x'ff00'",
    "size": "'x'",
    "params": "x'ff'",
    "format": "5.5",
    "code": "'x'",
    "key": "CAST(x'ff00' AS TEXT)",
    "code_version": "x'00'",
    "peak_memory": "'x'",
    "parts": "7",
    "signature": "x'ff'",
}


@pytest.mark.parametrize(
    "column", [name if name == "duration" else pytest.param(name, marks=pytest.mark.long) for name in COLUMNS]
)
def test_a_row_with_values_of_other_types_stops_nothing_and_is_found(lab: Cli, column: str) -> None:
    (lab.folder / "trap.py").write_text(MODULE)
    lab("run", "trap.py:whole", "trap.py:parts").check(0)
    database = sqlite3.connect(lab.folder / "labtech_storage" / "labtech.db")
    database.execute(f"UPDATE task SET {column} = {COLUMNS[column]} WHERE id = 5")
    database.commit()
    database.close()
    for command in [command for command in COMMANDS if command != ["why", "0" * 32]]:
        done = lab(*command)
        assert done.code in (0, 1) and "Traceback" not in done.err, (command, done.err)
    done = lab("run", "trap.py:whole", "trap.py:parts", "--show", "none")
    assert done.code == 0 and "Traceback" not in done.err, done.err
    lab("cache", "verify", "--repair")
    assert lab("cache", "verify").code == 0


def test_a_broken_manifest_of_a_shared_folder_is_found_and_set_aside(lab: Cli) -> None:
    (lab.folder / "trap.py").write_text(MODULE)
    shared = f"file://{lab.folder}/shared"
    lab("run", "trap.py:parts", "--storage", shared).check(0)
    manifests = sorted((lab.folder / "shared" / "results").rglob("*.json"))
    good = json.loads(manifests[5].read_text())
    for place, text in enumerate(
        ["{", "[]", "", json.dumps({**good, "parts": 7}), json.dumps({**good, "duration": "x"})]
    ):
        manifests[place if place < 3 else place + 2].write_text(text)
    ls = lab("cache", "ls", "--storage", shared, "--json")
    assert ls.code == 0 and len(json.loads(ls.out)["results"]) == 12
    assert lab("cache", "verify", "--storage", shared).code == 1
    assert lab("cache", "verify", "--storage", shared, "--repair").code == 0
    assert lab("cache", "verify", "--storage", shared).code == 0
    done = lab("run", "trap.py:parts", "--storage", shared, "--show", "none")
    assert done.code == 0 and "5 succeeded" in done.err


def test_each_trapped_entry_is_shown(trapped: tuple[Cli, Path]) -> None:
    lab, trace = trapped
    for key in LocalStorage(lab.folder / "labtech_storage").present():
        done = lab("cache", "show", key)
        assert done.code in (0, 1, 2) and "Traceback" not in done.err and "\x1b]0;" not in done.out + done.err
    assert not trace.exists()


def test_a_name_that_leads_out_is_not_followed_and_the_result_is_computed_again(trapped: tuple[Cli, Path]) -> None:
    lab, _ = trapped
    storage = LocalStorage(lab.folder / "labtech_storage")
    paths = [blob.path for stored in storage.load(list(storage.present())).values() for blob in stored.blobs]
    assert all(not path or "outside" not in path for path in paths)
    storage.close()
    done = lab("run", "trap.py:parts", "--show", "none")
    assert "was damaged" in done.err
    assert (lab.folder / "outside.pickle").exists()


def test_loading_such_a_result_without_a_signing_key_does_spring_the_trap(trapped: tuple[Cli, Path]) -> None:
    lab, trace = trapped
    lab("results", "trap.py:whole", "trap.py:parts")
    assert trace.exists(), "the traps are real"


@pytest.mark.parametrize("where", ["labtech_storage", "file://{folder}/labtech_storage"])
def test_no_command_removes_or_writes_what_lies_outside_the_storage(lab: Cli, where: str) -> None:
    (lab.folder / "trap.py").write_text(MODULE)
    storage, outside = where.format(folder=lab.folder), lab.folder / "thesis"
    (outside / "ab").mkdir(parents=True)
    (outside / "ab" / "chapter").write_text("precious")
    lab("run", "trap.py:parts", "--storage", storage).check(0)
    for name in ("spool", "damaged", "history"):
        folder = lab.folder / "labtech_storage" / name
        shutil.rmtree(folder, ignore_errors=True)
        folder.symlink_to(outside)
        for command in (
            ["run", "trap.py:whole"],
            ["cache", "verify", "--repair"],
            ["cache", "gc", "--damaged", "--max-size", "1GB", "--yes"],
            ["cache", "rm", "Part", "--where", "n=1", "--yes"],
        ):
            done = lab(*command, "--storage", storage)
            assert done.code in (0, 2) and "Traceback" not in done.err, (name, command, done.err)
            assert [str(item.relative_to(outside)) for item in outside.rglob("*")] == ["ab", "ab/chapter"]
        folder.unlink()


ODD_ROWS = [
    "UPDATE task SET size = 9223372036854775807",
    "INSERT INTO owner VALUES ('x', 'h', 1, 'b', 'abc', 0, 'zz')",
    "INSERT INTO owner VALUES (x'00ff', x'ff', 1, 'b', 1.0, 0, 'zz')",
    "INSERT INTO journal VALUES (1, 1.0, 't', 'garbage')",
    "INSERT INTO litter VALUES (x'ff', x'ff', 'x')",
    "INSERT INTO lease SELECT key, x'ff' FROM task",
]


def test_rows_about_runs_that_labtech_did_not_write_stop_nothing(lab: Cli) -> None:
    (lab.folder / "trap.py").write_text(MODULE)
    lab("run", "trap.py:whole").check(0)
    for command in (
        ["cache", "stats"],
        ["cache", "migrate", "--list"],
        ["cache", "gc", "--keep-last", "20", "--yes"],
        ["cache", "verify", "--repair"],
        ["run", "trap.py:whole", "--rerun"],
    ):
        database = sqlite3.connect(lab.folder / "labtech_storage" / "labtech.db")
        for statement in ODD_ROWS:
            database.execute(statement.replace("INSERT", "INSERT OR REPLACE"))
        database.commit()
        database.close()
        assert "Traceback" not in lab(*command).check(0).err
