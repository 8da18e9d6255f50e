"""The processes below this one."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time

from sample_tasks import wait_until

from labtech_cli.run.family import children, end_children


def test_the_status_of_a_child_that_is_left_alone_stays_for_who_waits_for_it() -> None:
    spared = subprocess.Popen([sys.executable, "-c", "raise SystemExit(7)"])
    ended = subprocess.Popen(["sleep", "1000"])
    wait_until(lambda: os.waitid(os.P_PID, spared.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None)
    end_children(lambda pid: pid == ended.pid)
    assert spared.pid in children() and ended.pid not in children()
    assert spared.wait() == 7
    ended.wait()


def test_children_are_found_while_threads_of_their_parent_end() -> None:
    """A thread that ends between two looks must not make it seem as if there were none."""
    over = threading.Event()

    def churn() -> None:
        while not over.is_set():
            threads = [threading.Thread(target=time.sleep, args=(0,)) for _ in range(8)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()

    with subprocess.Popen(["sleep", "600"]) as child:
        busy = threading.Thread(target=churn)
        busy.start()
        try:
            assert all(child.pid in children() for _ in range(2_000))
        finally:
            over.set()
            busy.join()
            child.kill()
