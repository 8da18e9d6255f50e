"""A clean process that has imported the user's modules, from which workers are forked.

It runs one thread and nothing of the command's own, so a fork of it is safe (no locks held by other
threads, no used OpenMP runtime) and cheap (3 ms: everything is imported already). It starts while
the command is still busy planning. It ends every worker's process group when the command ends.
"""

from __future__ import annotations

import contextlib
import os
import pickle
import signal
import socket
import sys
from typing import Any

from labtech_cli import alias
from labtech_cli.project.modules import import_place
from labtech_cli.run import worker as worker_module
from labtech_cli.run.board import Board
from labtech_cli.run.serve import start

_REQUEST_BYTES = 1 << 18


def main(control_fd: int, board_fd: int, board_size: int) -> None:
    """Serve requests on the control socket until the other end is closed."""
    control = socket.socket(fileno=control_fd)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with contextlib.suppress(OSError):
        os.setpgid(0, 0)
    worker_module.in_task = True
    alias.install()
    board = Board(board_size, board_fd)
    workers: set[int] = set()
    while True:
        try:
            message, fds, _, _ = socket.recv_fds(control, _REQUEST_BYTES, 2)
        except ConnectionError:
            break
        if not message:
            break
        reply = _answer(message, fds, control, board, workers)
        try:
            control.sendall(reply)
        except ConnectionError:
            break
    for pid in workers:
        with contextlib.suppress(OSError):
            os.killpg(pid, signal.SIGKILL)


def _answer(message: bytes, fds: list[int], control: socket.socket, board: Board, workers: set[int]) -> bytes:
    request, value = pickle.loads(message)
    if request == "preload":
        _preload(value)
        return pickle.dumps(None)
    if request == "fork":
        pid = os.fork()
        if pid == 0:
            control.close()
            start(socket.socket(fileno=fds[0]), board, value, fds[1])
        for fd in fds:
            os.close(fd)
        workers.add(pid)
        return pickle.dumps(pid)
    workers.discard(value)
    return pickle.dumps(_wait(value))


def _preload(places: list[Any]) -> None:
    """Import modules, silently: the command imports them too, and shows what they print or raise."""
    path, places = places[0], places[1:]
    sys.path[:] = path
    saved = os.dup(1), os.dup(2)
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 1)
    os.dup2(null, 2)
    for place in places:
        with contextlib.suppress(BaseException):
            if isinstance(place, str):
                __import__(place)
            else:
                import_place(place)
    with contextlib.suppress(Exception):
        sys.stdout.flush()
        sys.stderr.flush()
    os.dup2(saved[0], 1)
    os.dup2(saved[1], 2)
    for fd in (*saved, null):
        os.close(fd)


def _wait(pid: int) -> int | None:
    try:
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    except ChildProcessError:
        return None
