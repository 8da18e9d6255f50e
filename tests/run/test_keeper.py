"""The process between a command and its workers."""

from __future__ import annotations

import os
import pickle
import socket
import subprocess
import threading
from pathlib import Path

import psutil
import pytest
from sample_tasks import wait_until

from labtech_cli.errors import RunnerError
from labtech_cli.run.family import children, end_children, end_tree, is_tracker
from labtech_cli.run.keeper import Keeper
from labtech_cli.run.starters import Starter


def refuse(slot: int, fd: int, output: int) -> int:
    raise BlockingIOError(11, "Resource temporarily unavailable")


def test_a_worker_that_cannot_be_started_is_an_error_that_says_so() -> None:
    class Asking(Starter):
        """Its keeper is a thread."""

        def __init__(self) -> None:
            super().__init__()
            self.keeper = threading.Thread(target=Keeper(self._theirs, refuse)._answer_all)
            self.keeper.start()

    starter = Asking()
    ours, theirs = socket.socketpair()
    with ours, theirs, pytest.raises(RunnerError, match="cannot be started: Resource temporarily unavailable"):
        starter.start(0, theirs, 2)
    starter.close()
    starter.close()
    starter.keeper.join(5)
    assert not starter.keeper.is_alive()
    starter._theirs.close()


def test_requests_to_a_keeper_that_is_gone_are_an_error() -> None:
    starter = Starter()
    starter._theirs.close()
    with pytest.raises(RunnerError, match="the process that starts workers ended"):
        starter.exit_code(1)
    starter.close()


def test_only_the_named_children_are_ended() -> None:
    kept, ended = subprocess.Popen(["sleep", "600"]), subprocess.Popen(["sleep", "600"])
    assert {kept.pid, ended.pid} <= set(children())
    end_children(lambda pid: pid == ended.pid, reap=False)
    assert ended.wait(5) == -9 and kept.poll() is None
    end_tree(kept.pid)
    assert kept.wait(5) == -9
    end_tree(kept.pid)  # it is gone: nothing happens


def test_a_tree_is_ended_with_what_it_started_in_other_sessions(tmp_path: Path) -> None:
    tree = subprocess.Popen(["sh", "-c", f"setsid sleep 600 & echo $! > {tmp_path}/pid; wait"])
    wait_until(lambda: (tmp_path / "pid").exists() and (tmp_path / "pid").read_text().strip())
    child = int((tmp_path / "pid").read_text())
    end_tree(tree.pid)
    assert tree.wait(5) == -9
    wait_until(lambda: not psutil.pid_exists(child) or psutil.Process(child).status() == psutil.STATUS_ZOMBIE, 5)


def test_processes_that_remove_shared_memory_are_recognised() -> None:
    assert not is_tracker(os.getpid()) and not is_tracker(2**22 + 1)
    code = "import time; time.sleep(600)  # resource_tracker"
    process = subprocess.Popen(["python3", "-c", code])
    try:
        wait_until(lambda: is_tracker(process.pid))
    finally:
        process.kill()
        process.wait(5)


def test_answers_are_data() -> None:
    control, other = socket.socketpair()
    with control, other:
        reading, writing = os.pipe()
        answer = Keeper(control, lambda slot, fd, output: 1000 + slot)._answer(
            pickle.dumps(("hire", 3)), [reading, writing]
        )
        assert pickle.loads(answer) == 1003
        for fd in (reading, writing):
            with pytest.raises(OSError):
                os.fstat(fd)  # what is a worker's is not held open here
