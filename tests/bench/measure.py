"""Run a command and measure it: wall time, CPU time of the process tree, peak memory."""

from __future__ import annotations

import os
import resource
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

SAMPLE_SECONDS = 0.02


@dataclass(frozen=True)
class Measured:
    """One run of a command."""

    wall_seconds: float
    cpu_seconds: float
    peak_bytes: int | None
    """PSS of the whole process tree, sampled: shared pages count once. None where it was not asked for."""
    parent_bytes: int | None
    exit_code: int
    error: str


def measure(
    command: Sequence[str], folder: Path, *, memory: bool = False, timeout: float = 300.0, env: Mapping[str, str] = {}
) -> Measured:
    """Run `command` in `folder` to its end, or kill it after `timeout` seconds."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    errors = folder / "stderr.txt"
    with open(errors, "wb") as stderr, open(os.devnull, "wb") as null:
        began = time.perf_counter()
        process = subprocess.Popen(
            command, cwd=folder, stdin=subprocess.DEVNULL, stdout=null, stderr=stderr, env={**os.environ, **env}
        )
        sampler = _Sampler(process.pid) if memory else None
        try:
            code = process.wait(timeout)
        except subprocess.TimeoutExpired:
            for child in psutil.Process(process.pid).children(recursive=True):
                child.kill()
            process.kill()
            code = process.wait()
        wall = time.perf_counter() - began
        if sampler is not None:
            sampler.stop()
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    last = (errors.read_text(errors="replace").strip().splitlines() or [""])[-1] if code else ""
    peaks = (sampler.peak, sampler.parent) if sampler else (None, None)
    return Measured(wall, cpu, *peaks, code, last[:200])


class _Sampler:
    """Samples the PSS of a process tree until it is stopped."""

    def __init__(self, pid: int) -> None:
        self.peak = self.parent = 0
        self._root = psutil.Process(pid)
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._sample, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._done.set()
        self._thread.join()

    def _sample(self) -> None:
        while not self._done.wait(SAMPLE_SECONDS):
            try:
                tree = [self._root, *self._root.children(recursive=True)]
            except psutil.Error:
                return
            sizes = [_pss(process.pid) for process in tree]
            self.peak = max(self.peak, sum(sizes))
            self.parent = max(self.parent, sizes[0])


def _pss(pid: int) -> int:
    try:
        with open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as file:
            return next(int(line.split()[1]) * 1024 for line in file if line.startswith("Pss:"))
    except (OSError, StopIteration):
        return 0  # it ended meanwhile
