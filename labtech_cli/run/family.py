"""The processes below this one: found, adopted, and ended with all they started."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator

_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36
_LINUX = sys.platform == "linux"
_LOOK_SECONDS = 0.002
_TELLS_CHILDREN = os.path.exists("/proc/thread-self/children")

own_process = False
"""Whether this process is a labtech command, so that nobody but tasks starts processes while tasks run."""


def die_with_parent() -> None:
    """Linux ends this process when its parent ends, whatever it is doing."""
    if _LINUX:
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def adopt_orphans() -> None:
    """From now on, Linux makes this process the parent of every orphan below it, whatever session that is in."""
    if _LINUX:
        ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1)


def children() -> list[int]:
    """The processes whose parent is this one, those that ended and were not waited for included."""
    return _children_of(os.getpid())


def below(pid: int) -> Iterator[int]:
    """All processes that `pid` started, and those that these started."""
    stack = [pid]
    while stack:
        for child in _children_of(stack.pop()):
            stack.append(child)
            yield child


def _children_of(pid: int) -> list[int]:
    if not _TELLS_CHILDREN:
        return _children_without_proc(pid)
    while True:
        found: list[int] = []
        try:
            for thread in os.listdir(f"/proc/{pid}/task"):
                with open(f"/proc/{pid}/task/{thread}/children", "rb") as file:
                    found.extend(map(int, file.read().split()))
            return found
        except PermissionError:  # it is not ours to look at
            return []
        except OSError:  # a thread has ended meanwhile, and others have its children now; or the whole process has
            if not os.path.exists(f"/proc/{pid}/task"):
                return []


def _children_without_proc(pid: int) -> list[int]:
    import psutil

    try:
        return [child.pid for child in psutil.Process(pid).children()]
    except psutil.Error:
        return []  # it has ended meanwhile


def is_tracker(pid: int) -> bool:
    """Whether a process is one of those that multiprocessing and joblib start to remove shared memory and semaphores
    once all who use them have ended: they end by themselves, and killing one leaves its charges behind."""
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            return b"resource_tracker" in file.read()
    except OSError:
        return False


def end_children(which: Callable[[int], bool], *, seconds: float = 2.0, reap: bool = True) -> None:
    """Kill the children for which `which` holds, and so what becomes a child by that, until there are no more.

    The others are left alone, their statuses included: somebody else waits for those.

    Without `reap` their statuses are left for whoever asks for them: these may be known to a `Popen` object.
    """
    deadline = time.monotonic() + seconds
    while left := [pid for pid in children() if which(pid) and not _has_ended(pid, reap)]:
        for pid in left:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
        if time.monotonic() > deadline:  # in the hands of the kernel: it ends when that lets go of it
            return
        time.sleep(_LOOK_SECONDS)


def wait_for_children(seconds: float) -> None:
    """Wait until this process has no children."""
    deadline = time.monotonic() + seconds
    while [pid for pid in children() if not _has_ended(pid, True)] and time.monotonic() < deadline:
        time.sleep(_LOOK_SECONDS)


def end_tree(pid: int) -> None:
    """Kill a process, its group, and whatever it started elsewhere, all that can be found."""
    import psutil

    try:
        found = psutil.Process(pid).children(recursive=True)
    except psutil.Error:
        found = []
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.kill(pid, signal.SIGKILL)
    for process in found:
        if not is_tracker(process.pid):
            with contextlib.suppress(psutil.Error):
                process.kill()


def _has_ended(pid: int, reap: bool) -> bool:
    try:
        return os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | (0 if reap else os.WNOWAIT)) is not None
    except ChildProcessError:
        return True
