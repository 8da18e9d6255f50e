"""What worker processes and all they started use of the machine, sampled now and then."""

from __future__ import annotations

import contextlib
import time
from collections import defaultdict
from collections.abc import Iterable
from typing import Any, NamedTuple

SAMPLE_EVERY = 0.5  # seconds
MOST_EFFORT = 0.05  # of the time of the thread that samples: on a machine with very many processes, less often


class Use(NamedTuple):
    """What one worker uses; `cpu` needs two samples."""

    cpu: float | None
    """Per cent of one CPU."""
    memory: int
    """Bytes, of the whole tree of processes."""


class Usage:
    """Samples process trees. Processes may vanish at any time; then there are no numbers for them."""

    def __init__(self) -> None:
        self._due = 0.0
        self._uses: dict[int, Use] = {}
        self._before: dict[int, tuple[float, float]] = {}  # by pid: when, CPU seconds so far

    def of(self, pid: int | None) -> Use | None:
        """The last sample of the tree under `pid`."""
        return self._uses.get(pid) if pid is not None else None

    def sample(self, now: float, pids: Iterable[int]) -> None:
        """Look again, if it is time to. What is known of other processes than `pids` is forgotten."""
        if now < self._due < now + 60:  # unless the clock was set back
            return
        started = time.perf_counter()
        self._look(now, set(pids))
        self._due = now + max(SAMPLE_EVERY, (time.perf_counter() - started) / MOST_EFFORT)

    def _look(self, now: float, pids: set[int]) -> None:
        trees = _trees(pids) if pids else {}
        totals = {pid: _total(tree) for pid, tree in trees.items()}
        self._uses = {pid: self._use(pid, now, *total) for pid, total in totals.items() if total is not None}
        self._before = {pid: (now, total[0]) for pid, total in totals.items() if total is not None}

    def _use(self, pid: int, now: float, seconds: float, memory: int) -> Use:
        before = self._before.get(pid)
        if before is None or now <= before[0]:
            return Use(None, memory)
        return Use(max(0.0, 100 * (seconds - before[1]) / (now - before[0])), memory)


def _trees(pids: set[int]) -> dict[int, list[Any]]:
    """The processes under each of `pids`, itself included. Workers are this process or its descendants."""
    import psutil

    me = psutil.Process()
    family = [me, *me.children(recursive=True)]  # one look at the machine, whatever the number of workers
    children: dict[int, list[Any]] = defaultdict(list)
    for process in family:
        with contextlib.suppress(psutil.Error, OSError):
            children[process.ppid()].append(process)
    found = {process.pid: [process] for process in family if process.pid in pids}
    for tree in found.values():
        for process in tree:  # grows as it is walked
            tree.extend(children.get(process.pid, ()))
    return found


def _total(tree: list[Any]) -> tuple[float, int] | None:
    """CPU seconds and bytes of all of `tree` that is still there; None when its root is gone.

    The time of children that ended counts too, so that the sum does not fall when one does.
    """
    import psutil

    seconds, memory = 0.0, 0
    for position, process in enumerate(tree):
        try:
            with process.oneshot():
                seconds += sum(process.cpu_times()[:4])
                memory += process.memory_info().rss
        except (psutil.Error, OSError):
            if position == 0:
                return None
    return seconds, memory
