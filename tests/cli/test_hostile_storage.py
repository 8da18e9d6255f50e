"""A storage full of traps: no command but one that loads results unpickles, follows a name, or stops."""

from __future__ import annotations

import json
import os
import pickle
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
