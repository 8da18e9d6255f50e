"""A clean process that has imported the user's modules, from which workers are forked.

It runs one thread and nothing of the command's own, so a fork of it is safe (no locks held by other
threads, no used OpenMP runtime) and cheap (3 ms: everything is imported already). It starts while
the command is still busy planning.
"""

from __future__ import annotations

import contextlib
import os
import socket
import sys
from typing import Any

from labtech_cli import alias
from labtech_cli.project.modules import import_place
from labtech_cli.run import worker as worker_module
from labtech_cli.run.board import Board
from labtech_cli.run.keeper import Keeper
from labtech_cli.run.serve import start


def main(control_fd: int, board_fd: int, board_size: int) -> None:
    """Serve requests on the control socket until the other end is closed."""
    control = socket.socket(fileno=control_fd)
    worker_module.in_task = True
    alias.install()
    board = Board(board_size, board_fd)

    def hire(slot: int, fd: int, output: int) -> int:
        pid = os.fork()
        if pid == 0:
            control.close()
            start(socket.socket(fileno=fd), board, slot, output)
        return pid

    Keeper(control, hire, _preload).serve()


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
