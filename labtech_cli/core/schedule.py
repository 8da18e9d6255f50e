"""What may start now: numbers in, numbers out, nothing else.

Ready tasks wait in heaps, the longest remaining path first, then in the order of the graph. Tasks of
a limited type wait in a heap of their own type, so a full limit is skipped in one comparison instead
of being scanned past.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from heapq import heapify, heappop, heappush

from labtech_cli.core.graph import Graph

_FREE = -1


class Schedule:
    """The state of a run's tasks. `take` what can start; tell it what `succeeded` or `failed`.

    - `runs`: marks the tasks that are to run; all other dependencies count as available.
    - `priority`: larger starts earlier, by number.
    - `limits`: for a group of tasks, how many of it may run at a time; `groups` gives the group of
      each number (absent: unlimited).
    """

    def __init__(
        self,
        graph: Graph,
        runs: Sequence[bool] | bytearray,
        priority: Sequence[float],
        groups: Mapping[int, int] | None = None,
        limits: Mapping[int, int] | None = None,
    ) -> None:
        self._priority = priority
        self._groups = groups or {}
        self._room = dict(limits or {})
        self._dependents = graph.dependents(runs)
        self._missing = [sum(1 for dep in deps if runs[dep]) if deps else 0 for deps in graph.deps]
        self._runs = runs
        self._free: list[tuple[float, int]] = []
        self._limited: dict[int, list[tuple[float, int]]] = {group: [] for group in self._room}
        self._ready_count = 0
        self._open = bytearray(runs)  # 1: not ended yet
        self.remaining = sum(self._open)
        self.running = 0
        self.stopped = False
        ready = [number for number in range(len(graph)) if runs[number] and not self._missing[number]]
        self._fill(ready)

    def _fill(self, ready: Iterable[int]) -> None:
        for number in ready:
            heap = self._heap(number)
            heap.append((-self._priority[number], number))
            self._ready_count += 1
        heapify(self._free)
        for heap in self._limited.values():
            heapify(heap)

    def _heap(self, number: int) -> list[tuple[float, int]]:
        if not self._groups:
            return self._free
        group = self._groups.get(number, _FREE)
        return self._free if group == _FREE else self._limited[group]

    @property
    def done(self) -> bool:
        """Nothing runs, and nothing more will start."""
        return self.running == 0 and (self.stopped or self.remaining == 0)

    def take(self) -> int | None:
        """The most urgent task that may start now, which then counts as running; None if there is none."""
        if self.stopped or not self._ready_count:
            return None
        best, room = self._free, _FREE
        for group, heap in self._limited.items():
            if heap and self._room[group] > 0 and (not best or heap[0] < best[0]):
                best, room = heap, group
        if not best:
            return None
        if room != _FREE:
            self._room[room] -= 1
        self._ready_count -= 1
        self.running += 1
        return heappop(best)[1]

    def put_back(self, number: int) -> None:
        """A task that was taken did not start after all: it is ready again."""
        self._leave(number)
        self._push(number)

    def succeeded(self, number: int) -> list[int]:
        """A running task ended well; the tasks that became ready thereby."""
        self._leave(number)
        self._end(number)
        ready = []
        for dependent in self._dependents[number]:
            self._missing[dependent] -= 1
            if not self._missing[dependent] and self._open[dependent]:
                self._push(dependent)
                ready.append(dependent)
        return ready

    def failed(self, number: int) -> list[int]:
        """A running task failed; the tasks that can now never run, in the order of the graph."""
        self._leave(number)
        self._end(number)
        lost: set[int] = set()
        stack = [number]
        while stack:
            for dependent in self._dependents[stack.pop()]:
                if self._open[dependent] and dependent not in lost:
                    lost.add(dependent)
                    stack.append(dependent)
        for dependent in lost:
            self._end(dependent)
        return sorted(lost)

    def stop(self) -> None:
        """Start nothing more; what runs may end."""
        self.stopped = True

    def unfinished(self) -> list[int]:
        """The tasks that have not ended, running ones included."""
        return [number for number, still in enumerate(self._open) if still]

    def _leave(self, number: int) -> None:
        self.running -= 1
        group = self._groups.get(number, _FREE) if self._groups else _FREE
        if group != _FREE:
            self._room[group] += 1

    def _end(self, number: int) -> None:
        self._open[number] = 0
        self.remaining -= 1

    def _push(self, number: int) -> None:
        heappush(self._heap(number), (-self._priority[number], number))
        self._ready_count += 1
