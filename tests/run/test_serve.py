"""The worker's side of the pool: what is sent to it is done, whichever of its threads reads it."""

from __future__ import annotations

import os
import signal
import socket

from labtech_cli.run import wire
from labtech_cli.run.board import Board
from labtech_cli.run.serve import Batch, Server

WORK = Batch([], [], {}, [], [(0, 1, (), False), (1, 1, (), False)], {})


def in_a_worker(sock: socket.socket) -> int:
    """In a process of its own, for a server takes over what is written: 0 if it has work without being sent more."""
    pid = os.fork()
    if pid == 0:
        signal.alarm(10)
        status = 1
        try:
            server = Server(sock, Board(1), 0, os.memfd_create("output"), None)
            server._read_on()  # as the pulse does when the last task ended just after it was found to take long
            status = 0 if server._waits_for_work() and len(server._queue) == 2 else 2
        finally:
            os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def test_work_that_was_read_while_a_task_ran_is_done_though_no_more_comes() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        wire.send(ours, WORK)
        assert in_a_worker(theirs) == 0
