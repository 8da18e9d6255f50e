"""The processes below this one."""

from __future__ import annotations

import os
import subprocess
import sys

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
