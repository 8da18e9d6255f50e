"""A signal at every kind of moment of a run: planning, starting, committing, printing; then the same command again.

A moment is one of Python's audit events or a statement to SQLite, in the command's own process; there are
some hundreds in a run. Every `STRIDE`-th is tried here, for each signal; all of them where it is long.
"""

from __future__ import annotations

import os
import signal
import sqlite3
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from labtech_cli.cli.main import run
from labtech_cli.store.local import LocalStorage

PROJECT = """\
import os
import labtech_cli as labtech

@labtech.task
class Part:
    number: int
    def run(self):
        open(f"ran.{self.number}.{os.getpid()}.{len(os.listdir())}", "w").close()
        print("part", self.number)
        return b"x" * 100_000 if self.number % 2 else self.number

@labtech.task
class Whole:
    parts: list[Part]
    def run(self):
        open(f"ran.whole.{os.getpid()}.{len(os.listdir())}", "w").close()
        return {"sizes": len(self.parts)}

whole = Whole([Part(number) for number in range(6)])
"""
COMMAND = ["run", "project.py:whole", "-j", "2", "--events", "events.jsonl"]
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
STRIDE = 229


class Moments:
    """Counts the moments of this process from now on, and sends it a signal at one of them, `times` times in a row."""

    def __init__(self, at: int, number: signal.Signals, times: int = 1) -> None:
        self.seen, self.at, self.number, self.times, self.home = 0, at, number, times, os.getpid()
        sys.addaudithook(self._audit)
        connect = sqlite3.connect

        def traced(*arguments: Any, **options: Any) -> sqlite3.Connection:
            made = connect(*arguments, **options)
            made.set_trace_callback(lambda _: self._moment())
            return made

        sqlite3.connect = traced  # type: ignore[assignment]

    def _audit(self, event: str, arguments: tuple[Any, ...]) -> None:
        if event not in ("os.kill", "signal.pthread_kill", "object.__getattr__", "sys._getframe"):
            self._moment()

    def _moment(self) -> None:
        if os.getpid() == self.home:
            self.seen += 1
            if self.at <= self.seen < self.at + self.times:
                os.kill(self.home, self.number)


def command(folder: Path, prepare: Callable[[], Moments | None]) -> tuple[int, int]:
    """Run the command in a fork; its exit status (negative for a signal) and how many moments it had."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        code = 99
        try:
            os.chdir(folder)
            for number, name in ((1, "out"), (2, "err")):
                os.dup2(os.open(name, os.O_CREAT | os.O_WRONLY | os.O_TRUNC), number)
            sys.stdout, sys.stderr = open(1, "w", closefd=False), open(2, "w", closefd=False)  # noqa: SIM115
            sys.modules.pop("project", None)
            moments = prepare()
            code = run(COMMAND)
            sys.stdout.flush()
            sys.stderr.flush()
            os.write(writing, b"%d" % (moments.seen if moments else 0))
        finally:
            os._exit(code)
    os.close(writing)
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    with open(reading, "rb") as pipe:
        return status, int(pipe.read() or b"0")


def executions(folder: Path) -> Counter[str]:
    return Counter(item.name.split(".")[1] for item in folder.glob("ran.*"))


def living(folder: Path) -> list[int]:
    """The workers of a folder that still live, and whatever else works there."""
    found = []
    for process in psutil.process_iter(["cwd", "status"]):
        if process.info["cwd"] == str(folder) and process.info["status"] != psutil.STATUS_ZOMBIE:
            found.append(process.pid)
    return found


def check(folder: Path, number: signal.Signals, at: int, times: int) -> int:
    """One interrupted run, and the same command again."""
    folder.mkdir()
    (folder / "project.py").write_text(PROJECT)
    status, seen = command(folder, lambda: Moments(at, number, times))
    said = (folder / "err").read_text()
    assert status in (0, 128 + number), f"at {at}: {status}\n{said}"
    assert "Traceback" not in said, f"at {at}:\n{said}"
    assert living(folder) == [], f"at {at}"
    storage = LocalStorage(folder / "labtech_storage")
    there = {row.params for row in storage.rows()} if storage.path.exists() else set()
    before = executions(folder)
    again, _ = command(folder, lambda: None)
    assert again == 0, f"at {at}: {(folder / 'err').read_text()}"
    assert set(executions(folder)) == {*map(str, range(6)), "whole"}
    assert sum(executions(folder).values()) - sum(before.values()) == 7 - len(there), f"at {at}: not what was left"
    for table in ("owner", "lease", "litter"):
        assert storage._database.select(f"SELECT * FROM {table}") == [], f"at {at}: {table}"
    assert list((folder / "labtech_storage" / "spool").glob("*")) == [], f"at {at}"
    storage.close()
    return seen


@pytest.mark.parametrize("number", SIGNALS, ids=[item.name for item in SIGNALS])
def test_a_signal_at_any_moment_ends_the_command_and_the_next_one_goes_on(
    tmp_path: Path, number: signal.Signals
) -> None:
    for at in range(1, 10_000, STRIDE):
        seen = check(tmp_path / str(at), number, at, 1)
        if 0 < seen < at:
            return
    raise AssertionError("the moments never end")


@pytest.mark.long
@pytest.mark.parametrize(("number", "times"), [(signal.SIGINT, 1), (signal.SIGINT, 2), (signal.SIGTERM, 1)])
def test_a_signal_at_every_seventh_moment(tmp_path: Path, number: signal.Signals, times: int) -> None:
    for at in range(1, 10_000, 7):
        seen = check(tmp_path / str(at), number, at, times)
        if 0 < seen < at:
            return
    raise AssertionError("the moments never end")
