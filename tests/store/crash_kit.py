"""Kills a process at its n-th step, for every n: a step is a change to a file or a statement to SQLite.

The steps are counted by Python's audit events, which come before what they announce, and by SQLite's
trace of statements, so to be killed at step n means that exactly the steps before n were done.
"""

from __future__ import annotations

import errno
import os
import signal
import sqlite3
import sys
import tempfile
import traceback
from collections.abc import Callable, Iterator
from typing import Any

STEPS = ("os.mkdir", "os.rename", "os.rmdir", "os.remove", "os.link", "os.truncate")


class Steps:
    """Counts the steps of this process from now on, and does something at one of them."""

    def __init__(self, at: int, act: Callable[[str], None], counts: Callable[[], bool] = lambda: True) -> None:
        self.seen, self.at, self.act, self.counts = 0, at, act, counts
        sys.addaudithook(self._audit)
        connect = sqlite3.connect

        def traced(*arguments: Any, **options: Any) -> sqlite3.Connection:
            made = connect(*arguments, **options)
            made.set_trace_callback(self._statement)
            return made

        sqlite3.connect = traced  # type: ignore[assignment]

    def _audit(self, event: str, arguments: tuple[Any, ...]) -> None:
        if event in STEPS or (event == "open" and _changes(arguments)):
            self._step(f"{event} {arguments[0]}")

    def _statement(self, text: str) -> None:
        if not text.startswith(("SELECT", "PRAGMA")):
            self._step(text)

    def _step(self, what: str) -> None:
        if self.counts():
            self.seen += 1
            if self.seen == self.at:
                self.act(what)


def _changes(arguments: tuple[Any, ...]) -> bool:
    flags = arguments[2] if len(arguments) > 2 and isinstance(arguments[2], int) else 0
    changes = bool(flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT))
    return changes and not isinstance(arguments[0], int) and str(arguments[0]) != os.devnull


def die(what: str) -> None:
    """End this process as `kill -9` does; pytest shows what it said where a test fails."""
    print(f"killed before: {what}", file=sys.stderr, flush=True)
    os.kill(os.getpid(), signal.SIGKILL)


def disk_is_full(what: str) -> None:
    """Fail as a full disk does, once."""
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), what)


def in_a_child(action: Callable[[], None]) -> int:
    """Run `action` in a fork of this process; its exit code, negative for the signal that ended it.

    It ends without the clean-up of an interpreter that exits: what it leaves is what it left. What it raises
    is the test's failure.
    """
    sys.stdout.flush()
    with tempfile.TemporaryFile() as raised:
        pid = os.fork()
        if pid == 0:
            code = 70
            try:
                action()
                code = 0
            except BaseException:
                os.write(raised.fileno(), traceback.format_exc().encode())
            finally:
                os._exit(code)
        code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        raised.seek(0)
        text = raised.read().decode()
    assert not text, f"the child raised\n{text}"
    return code


def every_step(run: Callable[[int], int], most: int = 500, start: int = 1, stride: int = 1) -> Iterator[int]:
    """The numbers of the steps, one after the other, until `run(number)` is no longer stopped by its step."""
    code = 0
    for number in range(start, most, stride):
        code = run(number)
        yield number
        if code == 0:
            return
    raise AssertionError(f"more than {most} steps: the last run ended with {code}")
