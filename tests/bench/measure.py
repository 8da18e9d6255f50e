"""Run a command and measure it: wall time, CPU time, peak memory, and the words it fails with."""

from __future__ import annotations

import contextlib
import json
import os
import re
import resource
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

SAMPLE_SECONDS = 0.02
UNSET = ("PYTHONDONTWRITEBYTECODE", "PYTHONUNBUFFERED")
"""Set on some machines; with them every command compiles its modules again, and writes in small pieces."""


@dataclass(frozen=True)
class Measured:
    """One run of a command."""

    wall_seconds: float
    cpu_seconds: float = 0.0
    """User and system, of all processes that were waited for: a daemon that outlives its parent is missed."""
    parent_bytes: int = 0
    """Peak resident memory of the command's own process."""
    tree_bytes: int | None = None
    """Peak PSS of the whole process tree (shared pages count once). None where it was not asked for."""
    work_seconds: float | None = None
    """What the command itself printed as its seconds: without imports and start-up."""
    failure: str = ""


def measure(
    command: Sequence[str], folder: Path, *, tree: bool = False, timeout: float = 600.0, env: Mapping[str, str] = {}
) -> Measured:
    """Run `command` in `folder` to its end, or kill it after `timeout` seconds."""
    output, errors = folder / "stdout.txt", folder / "stderr.txt"
    kept = {name: value for name, value in os.environ.items() if name not in UNSET}
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    began = time.perf_counter()
    with output.open("wb") as out, errors.open("wb") as error:
        process = subprocess.Popen(
            command,
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=error,
            env={**kept, **env},
            start_new_session=True,
        )
    sampler = _Sampler(process.pid, tree)
    late = threading.Event()

    def stop() -> None:
        late.set()
        process.kill()

    timer = threading.Timer(timeout, stop)
    timer.start()
    try:
        process.wait()  # wait(timeout) looks every 50 ms: a tenth of what is measured
    finally:
        wall = time.perf_counter() - began
        timer.cancel()
        sampler.stop()
        _end(process)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return Measured(
        wall_seconds=wall,
        cpu_seconds=after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime,
        parent_bytes=sampler.parent,
        tree_bytes=sampler.tree if tree else None,
        work_seconds=_work_seconds(output),
        failure=f"over {timeout:.0f} s" if late.is_set() else _failure(process.returncode, errors),
    )


def _end(process: subprocess.Popen[bytes]) -> None:
    """Kill what the command left behind: all of it after a timeout, daemons of its session else."""
    victims = [pid for pid in psutil.pids() if _session(pid) == process.pid]
    with contextlib.suppress(psutil.Error):
        victims += [child.pid for child in psutil.Process(process.pid).children(recursive=True)]
    for pid in victims:
        with contextlib.suppress(psutil.Error):
            psutil.Process(pid).kill()
    process.wait()


def _session(pid: int) -> int | None:
    try:
        return os.getsid(pid)
    except OSError:
        return None  # it ended meanwhile


def _failure(code: int, errors: Path) -> str:
    """The exception that stderr names last, or its last line; nothing after a success."""
    if not code:
        return ""
    lines = [line.strip() for line in errors.read_text(errors="replace").splitlines() if line.strip()]
    named = [line for line in lines if re.match(r"[\w.]*(Error|Exception|Interrupt)\b", line)]
    last = (named or lines or [f"exit code {code}"])[-1]
    name, _, message = last.partition(":")
    return f"{name.rpartition('.')[2]}:{message}"[:120].rstrip(": ") if named else last[:120]


def _work_seconds(output: Path) -> float | None:
    """A peer ends with {"seconds": ...}, `labtech run --json` with an event of {"duration_seconds": ...}."""
    with output.open("rb") as file:
        file.seek(max(0, output.stat().st_size - 65_536))
        last = (file.read().splitlines() or [b""])[-1]
    with contextlib.suppress(ValueError):
        found = json.loads(last)
        if isinstance(found, dict):
            return found.get("seconds", found.get("duration_seconds"))
    return None


class _Sampler:
    """Samples the memory of a process, or of its whole tree, until it is stopped."""

    def __init__(self, pid: int, tree: bool) -> None:
        self.parent = self.tree = 0
        self._root = psutil.Process(pid)
        self._whole = tree
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._sample, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._done.set()
        self._thread.join()

    def _sample(self) -> None:
        while True:
            self.parent = max(self.parent, _kilobytes(self._root.pid, "status", "VmHWM:"))
            if self._whole:
                with contextlib.suppress(psutil.Error):
                    tree = [self._root, *self._root.children(recursive=True)]
                    sizes = [_kilobytes(process.pid, "smaps_rollup", "Pss:") for process in tree]
                    self.tree = max(self.tree, sum(sizes))
            if self._done.wait(SAMPLE_SECONDS):
                return


def _kilobytes(pid: int, file: str, field: str) -> int:
    """One field of a file of /proc, in bytes."""
    try:
        with open(f"/proc/{pid}/{file}", encoding="ascii") as lines:
            return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(field))
    except (OSError, StopIteration):
        return 0  # it ended meanwhile
