"""How much memory a task takes: its process and all it started, less what the process was born with.

What a process is born with it shares with the one it was forked from, so it costs the machine nothing. Pages of
mapped files (inputs, libraries) are shared too, and given up when memory is short: they do not count either.

A task of any length is measured by the process's high-water mark, which is set back when a task has raised it: for a
tiny one that costs a microsecond. While a long task runs, the worker's pulse looks at the tree of processes.
"""

from __future__ import annotations

import os
import resource
import sys
import time

from labtech_cli.run.family import below

_PAGE = os.sysconf("SC_PAGE_SIZE")
_KILO = 1 if sys.platform == "darwin" else 1024  # the unit of `ru_maxrss`
_SLACK = 1 << 20
_MOST_EFFORT = 0.03  # of the time of one CPU: large or wide trees are looked at less often
_LEAST_OFTEN = 2.0  # seconds
_RESET = b"5"  # what sets the high-water mark back, see proc(5)


class Gauge:
    """Measures the tasks of one process, which run one after the other. `resets`: whether the process is ours, so
    that its high-water mark may be set back."""

    def __init__(self, *, resets: bool = True) -> None:
        self._statm = _open("/proc/self/statm", os.O_RDONLY)
        self._status = _open("/proc/self/status", os.O_RDONLY)
        self._clear = _open("/proc/self/clear_refs", os.O_WRONLY) if resets else -1
        self._own_process = resets
        self._seen = -1  # the high-water mark when it was last looked at
        self._peak = 0  # what it meant
        self._sampled = self._shared = 0  # the most that was seen of the running task, and of pages of files
        self._turn = 0  # grows with each task: what was sampled of the last one is not the next one's
        self._next_look = 0.0
        self._set_back()
        self._exact = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * _KILO <= self._field(b"VmHWM") + _SLACK
        self._born = self._anonymous()
        self._raised = False  # whether the mark is above what the process holds now

    def begin(self) -> None:
        """A task starts."""
        self._turn += 1
        self._sampled = self._shared = 0
        if self._raised:
            self._set_back()
        if not self._own_process:
            self._seen, self._born = self._mark(), self._anonymous()

    def peak(self) -> int:
        """The most the task that ends now has held, in bytes."""
        mark = self._mark()
        if mark != self._seen or self._clear < 0:
            resident, shared = self._sizes()
            shared = max(shared, self._shared)
            known = mark > self._seen or self._clear >= 0  # else it is the mark of an earlier task
            self._peak = max(0, (mark if known else resident) - shared - self._born)
            self._raised = mark > resident + _SLACK
            self._seen = mark
        return max(self._peak, self._sampled)

    def sample(self) -> int:
        """What the running task holds now, in bytes: its whole tree of processes. The last answer, when it is too early
        to look again."""
        if time.monotonic() < self._next_look:
            return self._sampled
        began, turn = time.thread_time(), self._turn
        tree, (resident, shared) = list(below(os.getpid())), self._sizes()
        if tree:  # they share pages: each counts its part of them
            mine = _proportional(os.getpid()) - (0 if self._own_process else self._born)
            now = max(0, mine) + sum([_proportional(pid) for pid in tree])
        else:
            now = max(0, resident - shared - self._born)
        if turn == self._turn:
            self._sampled, self._shared = max(self._sampled, now), max(self._shared, shared)
        self._next_look = time.monotonic() + min(_LEAST_OFTEN, (time.thread_time() - began) / _MOST_EFFORT)
        return now

    def close(self) -> None:
        """Let go of the files; a process that ends need not."""
        for fd in (self._statm, self._status, self._clear):
            if fd >= 0:
                os.close(fd)

    def _mark(self) -> int:
        """The most the process has held since its mark was set back, shared pages included."""
        if self._exact:
            return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * _KILO
        return self._field(b"VmHWM")  # what the process was before exec() counts in the other, and is not ours

    def _set_back(self) -> None:
        if self._clear >= 0:
            os.write(self._clear, _RESET)

    def _sizes(self) -> tuple[int, int]:
        """The bytes it holds now, and how many of them are pages of files."""
        if self._statm < 0:
            return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * _KILO, 0
        fields = os.pread(self._statm, 128, 0).split()
        return int(fields[1]) * _PAGE, int(fields[2]) * _PAGE

    def _anonymous(self) -> int:
        resident, shared = self._sizes()
        return resident - shared

    def _field(self, name: bytes) -> int:
        if self._status < 0:
            return sys.maxsize
        return _field(os.pread(self._status, 4096, 0), name)


def _open(path: str, flags: int) -> int:
    try:
        return os.open(path, flags | os.O_CLOEXEC)
    except OSError:
        return -1  # there is no such file on this system, or it is not ours to write


def _proportional(pid: int) -> int:
    """The bytes of a process's own pages, and its part of those that it shares with others."""
    try:
        with open(f"/proc/{pid}/smaps_rollup", "rb") as file:
            text = file.read()
    except OSError:  # it has ended meanwhile, is another user's now, or this system has no such files
        return resident(pid)
    return _field(text, b"Pss_Anon") + _field(text, b"Pss_Shmem")


def resident(pid: int) -> int:
    """The bytes of a process's own pages; 0 when it has ended."""
    try:
        with open(f"/proc/{pid}/statm", "rb") as file:
            fields = file.read().split()
    except OSError:
        return 0 if os.path.exists("/proc/self/statm") else _resident_without_proc(pid)
    return (int(fields[1]) - int(fields[2])) * _PAGE


def _resident_without_proc(pid: int) -> int:
    import psutil

    try:
        return int(psutil.Process(pid).memory_info().rss)
    except psutil.Error:
        return 0  # it has ended meanwhile


def _field(text: bytes, name: bytes) -> int:
    """The number of a line such as `VmHWM:   13564 kB`, in bytes."""
    start = text.find(name + b":")
    return 0 if start < 0 else int(text[start + len(name) + 1 :].split(None, 1)[0]) * 1024
