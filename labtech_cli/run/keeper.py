"""The process between a command and its workers: it starts them, and nothing below it outlives the command.

It runs one thread. Linux makes it the parent of every orphan below it, in whatever group or session that
is, so what tasks leave can be found when a worker ends, and all the rest when the command is gone.
"""

from __future__ import annotations

import contextlib
import os
import pickle
import signal
import socket
import sys
from collections.abc import Callable
from typing import Any

from labtech_cli.run.family import adopt_orphans, end_children, is_tracker, wait_for_children

REQUEST_BYTES = 1 << 18
_LOOK_SECONDS = 1.0  # how often it sees to it that the command is there, should another process hold the socket, too
_TIDY_SECONDS = 1.5  # for what removes the shared memory of processes that were killed


class Keeper:
    """Serves a command. `hire`: from a slot and descriptors of a socket and an output file to a new worker's pid."""

    def __init__(
        self,
        control: socket.socket,
        hire: Callable[[int, int, int], int],
        preload: Callable[[Any], None] | None = None,
    ) -> None:
        self._control, self._hire, self._preload = control, hire, preload
        self._workers: set[int] = set()

    def serve(self) -> None:
        """Until the command is gone, however it ended."""
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):  # meant for the command, which tells us
            signal.signal(number, signal.SIG_IGN)
        with contextlib.suppress(OSError):
            os.setpgid(0, 0)
        adopt_orphans()
        try:
            self._answer_all()
        finally:
            self._end_all()

    def _answer_all(self) -> None:
        parent = os.getppid()
        self._control.settimeout(_LOOK_SECONDS)
        while os.getppid() == parent:
            try:
                message, fds, _, _ = socket.recv_fds(self._control, REQUEST_BYTES, 2)
                if not message:
                    return
                self._control.sendall(self._answer(message, fds))
            except TimeoutError:
                continue
            except ConnectionError:
                return

    def _answer(self, message: bytes, fds: list[int]) -> bytes:
        request, value = pickle.loads(message)
        if request == "preload":
            assert self._preload is not None
            return pickle.dumps(self._preload(value))
        if request == "hire":
            try:
                pid = self._hire(value, *fds)
            except OSError as error:  # too many processes, or too little memory
                return pickle.dumps(error)
            finally:
                for fd in fds:
                    os.close(fd)
            self._workers.add(pid)
            return pickle.dumps(pid)
        return pickle.dumps(self._wait(value))

    def _wait(self, pid: int) -> int | None:
        """The exit code of a worker that ended; what it left of its process group is ended, too.

        What is in a group of its own may still be of use to others, and stays until the command is gone.
        """
        code = reap(pid)
        self._workers.discard(pid)
        if sys.platform == "linux":
            end_children(lambda child: child not in self._workers and _group(child) == pid and not is_tracker(child))
        else:
            _end_group(pid)
        return code

    def _end_all(self) -> None:
        for pid in self._workers:
            _end_group(pid)
        self._workers.clear()
        end_children(lambda child: not is_tracker(child))
        wait_for_children(_TIDY_SECONDS)
        end_children(lambda child: True)


def reap(pid: int) -> int | None:
    """Wait for a child to end: its exit code, or None where somebody else has waited for it."""
    try:
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    except ChildProcessError:
        return None


def _group(pid: int) -> int:
    try:
        return os.getpgid(pid)
    except ProcessLookupError:
        return 0


def _end_group(pid: int) -> None:
    """Where orphans are not adopted, the group is all that can be found."""
    send = os.kill if sys.platform == "linux" else os.killpg
    with contextlib.suppress(ProcessLookupError, PermissionError):
        send(pid, signal.SIGKILL)
