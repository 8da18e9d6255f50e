"""What tasks start in the command's own process ends with the command, even when that is killed with SIGKILL.

With `serial` and `thread`, processes that tasks start are children of the command itself. When it is gone nobody
can tell whose they were, so a watcher, a small process of its own, takes note of them while it lives:
a forked one says so itself, a program that was started has a mark in its environment, and once a second
the watcher looks at who is below the command. When the command is gone it ends them all, and itself.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import struct
import subprocess
import sys
import time
import uuid
from collections.abc import Collection

from labtech_cli.run.family import below, is_tracker
from labtech_cli.run.starters import python_command
from labtech_cli.store.owners import born

MARK = "LABTECH_TASKS"
_PID = struct.Struct("<i")
_LOOK_SECONDS = 1.0
_MOST_SECONDS = 5.0  # for processes that start others faster than they are ended

_told: int | None = None
"""Where a forked process says that it is there."""


class Watcher:
    """Watches over the processes that are started from now on, until it is closed. `before`: those there are."""

    def __init__(self, before: Collection[int]) -> None:
        global _told
        self._process: subprocess.Popen[bytes] | None = None
        if sys.platform != "linux":
            return
        mark = uuid.uuid4().hex
        read, _told = os.pipe()
        call = f"from labtech_cli.run.watcher import main; main({read}, {os.getpid()}, {mark!r}, {sorted(before)})"
        try:
            self._process = subprocess.Popen(
                python_command(call),
                pass_fds=(read,),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )
        finally:
            os.close(read)
        os.environ[MARK] = mark  # what is started from now on has it

    @property
    def pid(self) -> int | None:
        """The process; None where there is none."""
        return self._process.pid if self._process is not None else None

    def close(self) -> None:
        """Nothing is left to be watched."""
        global _told
        if self._process is None:
            return
        self._process.kill()
        self._process.wait()
        self._process = None
        del os.environ[MARK]
        if _told is not None:
            os.close(_told)
            _told = None


def _say_so() -> None:
    if _told is not None:
        with contextlib.suppress(OSError):  # nobody watches any more
            os.write(_told, _PID.pack(os.getpid()))


os.register_at_fork(after_in_child=_say_so)


# -- the watcher's side -----------------------------------------------------------------------------


def main(pipe: int, command: int, mark: str, before: Collection[int]) -> None:
    """The whole life of a watcher: until the command is gone, and then until nothing is left of it."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    spared = {*before, os.getpid()}
    known: dict[int, str | None] = {}
    with contextlib.suppress(OSError):  # it is gone already
        gone = os.pidfd_open(command)
        while os.getppid() == command:
            ready, _, _ = select.select([gone, pipe], [], [], _LOOK_SECONDS)
            pids = _told_by(pipe) if pipe in ready else below(command)
            known |= {pid: born(pid) for pid in pids if pid not in spared}
            if gone in ready:
                break
    _end_all(known, f"{MARK}={mark}".encode())


def _told_by(pipe: int) -> list[int]:
    return [pid for (pid,) in _PID.iter_unpack(os.read(pipe, _PID.size * 1024))]


def _end_all(known: dict[int, str | None], mark: bytes) -> None:
    deadline = time.monotonic() + _MOST_SECONDS
    while time.monotonic() < deadline:
        left = {pid for pid, birth in known.items() if birth is not None and born(pid) == birth}
        left |= {pid for pid in map(int, filter(str.isdecimal, os.listdir("/proc"))) if mark in _environment(pid)}
        left |= {other for pid in left for other in below(pid)}
        left = {pid for pid in left if not is_tracker(pid) and born(pid) is not None}
        if not left:
            return
        for pid in left:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.01)


def _environment(pid: int) -> bytes:
    try:
        with open(f"/proc/{pid}/environ", "rb") as file:
            return file.read()
    except OSError:  # it has ended meanwhile, or is not ours to look at
        return b""
