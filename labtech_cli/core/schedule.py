"""What may start now: numbers in, numbers out, nothing else.

Ready tasks wait in heaps, the longest remaining path first, then in the order of the graph. Tasks
that take part of something scarce wait in a heap of their own group (all that take the same), so
where there is no room for a group it is skipped in one comparison instead of being scanned past.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field
from heapq import heapify, heappop, heappush

from labtech_cli.core.graph import Graph

_FREE = -1
Heap = list[tuple[float, int]]


@dataclass(slots=True)
class Demands:
    """What tasks take while they run, of what there is.

    `groups` gives the group of a number (absent: it takes nothing scarce); `takes` what a task of a group takes, as
    (kind, amount); `totals` how much there is of a kind. One that takes more than there is runs when nothing else takes
    any of it; those of `alone` run when nothing else runs.
    """

    groups: Mapping[int, int] = field(default_factory=dict)
    takes: Sequence[Sequence[tuple[int, float]]] = ()
    totals: Sequence[float] = ()
    alone: Set[int] = frozenset()

    def least_seconds(self, seconds: Sequence[float]) -> float:
        """How long the tasks take at least, however many workers there are: each of what is scarce can only be used
        as much as there is of it. `seconds`: what each task takes, by number."""
        used = [0.0] * len(self.totals)
        for number, group in self.groups.items():
            for kind, amount in self.takes[group]:
                used[kind] += seconds[number] * min(amount, self.totals[kind])
        return max([spent / total for spent, total in zip(used, self.totals, strict=True) if total], default=0.0)


class Schedule:
    """The state of a run's tasks. `take` what can start; tell it what `succeeded` or `failed`.

    - `runs`: marks the tasks that are to run; all other dependencies count as available.
    - `priority`: larger starts earlier, by number.
    """

    def __init__(
        self,
        graph: Graph,
        runs: Sequence[bool] | bytearray,
        priority: Sequence[float],
        demands: Demands | None = None,
    ) -> None:
        self._priority = priority
        self._lonely: set[int] = set()  # those that run while nothing else does
        self._solo: int | None = None  # the one of them that runs now
        self._admit(demands or Demands())
        self._dependents = graph.dependents(runs)
        self._missing = [sum(1 for dep in deps if runs[dep]) if deps else 0 for deps in graph.deps]
        self._runs = runs
        self._open = bytearray(runs)  # 1: not ended yet
        self._taken = bytearray(len(graph))  # 1: counts as running
        self._flying = [0] * len(graph)  # how many of a task's missing dependencies are running
        self._candidates: list[int] = []
        self._deps = graph.deps
        self.remaining = sum(self._open)
        self.running = 0
        self.stopped = False
        self._fill([number for number in range(len(graph)) if runs[number] and not self._missing[number]])

    def _admit(self, demands: Demands) -> None:
        """Begin with nothing ready and nothing taken."""
        self._groups = demands.groups
        self._room = list(demands.totals)
        self._takes = [
            tuple([(kind, min(amount, self._room[kind])) for kind, amount in takes]) for takes in demands.takes
        ]
        self._lonely.update(demands.alone)
        self._free: Heap = []
        self._limited: list[Heap] = [[] for _ in self._takes]
        self._alone: Heap = []
        self._ready_count = 0

    def _fill(self, ready: Iterable[int]) -> None:
        for number in ready:
            self._heap(number).append((-self._priority[number], number))
            self._ready_count += 1
        for heap in (self._free, *self._limited, self._alone):
            heapify(heap)

    def readmit(self, demands: Demands) -> None:
        """From now on tasks take other amounts, also those that run: what is too much then is not taken back, but
        nothing more starts until it fits."""
        ready = [number for heap in (self._free, *self._limited, self._alone) for _, number in heap]
        self._admit(demands)
        for number, taken in enumerate(self._taken):
            if taken and number != self._solo:
                self._use(number, -1)
        self._fill(ready)

    def _heap(self, number: int) -> Heap:
        if self._lonely and number in self._lonely:
            return self._alone
        group = self._groups.get(number, _FREE) if self._groups else _FREE
        return self._free if group == _FREE else self._limited[group]

    @property
    def done(self) -> bool:
        """Nothing runs, and nothing more will start."""
        return self.running == 0 and (self.stopped or self.remaining == 0)

    def take(self) -> int | None:
        """The most urgent task that may start now, which then counts as running; None if there is none."""
        if self.stopped or not self._ready_count or self._solo is not None:
            return None
        best, group = self._free, _FREE
        for place, heap in enumerate(self._limited):
            if heap and (not best or heap[0] < best[0]) and self._fits(place):
                best, group = heap, place
        if not best:
            if self.running or not self._alone:
                return None
            best = self._alone
            self._solo = best[0][1]
        self._ready_count -= 1
        number = heappop(best)[1]
        if group != _FREE:
            self._use(number, -1)
        self._start(number)
        return number

    def _use(self, number: int, sign: int) -> None:
        """Take what a task takes (-1), or give it back (1)."""
        group = self._groups.get(number, _FREE) if self._groups else _FREE
        if group != _FREE:
            for kind, amount in self._takes[group]:
                self._room[kind] += sign * amount

    def _fits(self, group: int) -> bool:
        return all([self._room[kind] >= amount for kind, amount in self._takes[group]])

    def followers(self) -> Iterator[tuple[int, list[int]]]:
        """Tasks that wait for running ones alone, and those they wait for, each offered once.

        Where one place runs all of these, it may be given the task now: `follow` makes it running.
        """
        while self._candidates and not self.stopped:
            number = self._candidates.pop()
            missing = self._missing[number]
            if number in self._groups:
                continue  # since a moment ago
            if self._open[number] and not self._taken[number] and 0 < missing == self._flying[number]:
                yield number, [dep for dep in self._deps[number] if self._open[dep]]

    def follow(self, number: int) -> None:
        """A task offered by `followers` counts as running from now on."""
        self._start(number)

    def put_back(self, number: int) -> None:
        """A task that was taken did not start after all: it is ready again, once its dependencies are."""
        if self._open[number]:  # else it is lost meanwhile: a task it was to follow failed
            self._leave(number)
            self.resume([number])

    def hold(self, number: int) -> None:
        """A task that was taken waits for something outside: it is not offered until `resume`."""
        self._leave(number)

    def resume(self, numbers: Iterable[int]) -> None:
        """What was held may be taken again, once its dependencies are there."""
        for number in numbers:
            if self._open[number] and not self._missing[number]:
                self._push(number)

    def isolate(self, number: int) -> None:
        """From now on this task, which is held or running, runs only while nothing else does."""
        self._lonely.add(number)

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
        """A task that runs or is held failed; the tasks that can now never run, in the order of the graph."""
        lost = {number}
        stack = [number]
        while stack:
            for dependent in self._dependents[stack.pop()]:
                if self._open[dependent] and dependent not in lost:
                    lost.add(dependent)
                    stack.append(dependent)
        for each in lost:
            if self._taken[each]:
                self._leave(each)
            self._end(each)
        return sorted(lost - {number})

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
        if number == self._solo:
            self._solo = None
        elif self._groups:
            self._use(number, 1)

    def _end(self, number: int) -> None:
        self._open[number] = 0
        self.remaining -= 1

    def _push(self, number: int) -> None:
        heappush(self._heap(number), (-self._priority[number], number))
        self._ready_count += 1
