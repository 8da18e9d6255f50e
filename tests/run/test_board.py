"""What each worker runs now, in memory that outlives it."""

from __future__ import annotations

import os

from labtech_cli.run.board import NOTHING, Board


def test_what_a_child_wrote_is_read_after_it_died() -> None:
    board = Board(3)
    board.write(1, NOTHING)
    if (pid := os.fork()) == 0:
        Board(3, board.fd).write(2, 1 << 40, 12.5)
        os.kill(os.getpid(), 9)
    os.waitpid(pid, 0)
    assert [board.read(slot) for slot in (1, 2)] == [(NOTHING, 0.0), (1 << 40, 12.5)]
    board.close()
