"""What may start now: numbers in, numbers out, nothing else.

Ready tasks wait in heaps, the longest remaining path first, then in the order of the graph. Tasks of
a limited type wait in a heap of their own type, so a full limit is skipped in one comparison instead
of being scanned past.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
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
        self._taken = bytearray(len(graph))  # 1: counts as running
        self._flying = [0] * len(graph)  # how many of a task's missing dependencies are running
        self._candidates: list[int] = []
        self._deps = graph.deps
        self.remaining = sum(self._open)
        self.running = 0
        self._parked: list[int] = []
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
        number = heappop(best)[1]
        self._start(number)
        return number

    def followers(self) -> Iterator[tuple[int, list[int]]]:
        """Tasks that wait for running ones alone, and those they wait for, each offered once.

        Where one place runs all of these, it may be given the task now: `follow` makes it running.
        """
        while self._candidates and not self.stopped:
            number = self._candidates.pop()
            missing = self._missing[number]
            if self._open[number] and not self._taken[number] and 0 < missing == self._flying[number]:
                yield number, [dep for dep in self._deps[number] if self._open[dep]]

    def follow(self, number: int) -> None:
        """A task offered by `followers` counts as running from now on."""
        self._start(number)

    def put_back(self, number: int) -> None:
        """A task that was taken did not start after all: it is ready again, once its dependencies are."""
        if not self._open[number]:
            return  # it is lost meanwhile: a task it was to follow failed
        self._leave(number)
        if not self._missing[number]:
            self._push(number)

    def park(self, number: int) -> None:
        """A task that was taken waits for somebody else to compute it: it is not offered until `unpark`."""
        self._leave(number)
        self._parked.append(number)

    def unpark(self) -> None:
        """What was parked may be taken again."""
        parked, self._parked = self._parked, []
        for number in parked:
            if self._open[number]:
                self._push(number)

    @property
    def parked(self) -> int:
        """How many tasks wait for somebody else."""
        return len(self._parked)

    def is_open(self, number: int) -> bool:
        """Whether a task has not ended."""
        return bool(self._open[number])

    def succeeded(self, number: int) -> list[int]:
        """A running task ended well; the tasks that became ready thereby."""
        self._leave(number)
        self._end(number)
        ready = []
        for dependent in self._dependents[number]:
            self._missing[dependent] -= 1
            if not self._missing[dependent] and self._open[dependent] and not self._taken[dependent]:
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
            if self._taken[dependent]:
                self._leave(dependent)
            self._end(dependent)
        return sorted(lost)

    def stop(self) -> None:
        """Start nothing more; what runs may end."""
        self.stopped = True

    def unfinished(self) -> list[int]:
        """The tasks that have not ended, running ones included."""
        return [number for number, still in enumerate(self._open) if still]

    def _start(self, number: int) -> None:
        self.running += 1
        self._taken[number] = 1
        for dependent in self._dependents[number]:
            self._flying[dependent] += 1
            if self._flying[dependent] == self._missing[dependent] and dependent not in self._groups:
                self._candidates.append(dependent)

    def _leave(self, number: int) -> None:
        self.running -= 1
        self._taken[number] = 0
        for dependent in self._dependents[number]:
            self._flying[dependent] -= 1
        group = self._groups.get(number, _FREE) if self._groups else _FREE
        if group != _FREE:
            self._room[group] += 1

    def _end(self, number: int) -> None:
        self._open[number] = 0
        self.remaining -= 1

    def _push(self, number: int) -> None:
        heappush(self._heap(number), (-self._priority[number], number))
        self._ready_count += 1
