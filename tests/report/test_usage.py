from __future__ import annotations

import os
import subprocess
import sys
import time

from labtech_cli.report.usage import Usage

BUSY = "import subprocess, sys\nsubprocess.run([sys.executable, '-c', 'while True: pass'])"


def test_a_worker_counts_with_all_it_started_and_may_vanish():
    worker = subprocess.Popen([sys.executable, "-c", BUSY], start_new_session=True)
    try:
        usage = Usage()
        usage.sample(100.0, [worker.pid])
        first = usage.of(worker.pid)
        assert first is not None and first.cpu is None and first.memory > 1_000_000
        time.sleep(1.0)
        usage.sample(101.0, [worker.pid])
        second = usage.of(worker.pid)
        assert second is not None and second.cpu is not None and second.cpu > 5
    finally:
        os.killpg(worker.pid, 9)
        worker.wait()
    usage.sample(110.0, [worker.pid])
    assert usage.of(worker.pid) is None


def test_between_samples_nothing_is_looked_at():
    usage = Usage()
    usage.sample(100.0, [os.getpid()])
    before = usage.of(os.getpid())
    usage.sample(100.3, [])
    assert before is not None and usage.of(os.getpid()) is before
    usage.sample(150.0, [])
    assert usage.of(os.getpid()) is None


def test_a_clock_that_was_set_back_does_not_stop_the_samples():
    usage = Usage()
    usage.sample(100_000.0, [])
    usage.sample(100.0, [os.getpid()])
    assert usage.of(os.getpid()) is not None


def test_a_task_without_a_process_has_no_numbers():
    usage = Usage()
    usage.sample(1.0, [2**30])
    assert usage.of(None) is None and usage.of(2**30) is None
