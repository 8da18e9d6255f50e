"""What the tasks of a run take of what is scarce: what they declare, what memory they are known to take.

Only what can bind counts. A dimension in which even the `workers` largest demands fit together is left out, so that
tasks which take little of everything are handed out as if there were no limits.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from heapq import nlargest
from typing import Any, NamedTuple

from labtech_cli.core.graph import Graph
from labtech_cli.core.needs import NOTHING, Needs, needs_of
from labtech_cli.core.present import render
from labtech_cli.core.schedule import Demands
from labtech_cli.core.units import size
from labtech_cli.errors import LabError

CPUS, MEMORY, GPUS = range(3)
PER_CPU = 1000
"""Parts of a CPU are counted in thousandths."""
_FEW = 64  # so many different sizes are told apart exactly; more are rounded up
_STEPS = 40  # sizes between a power of two and the next, at most: an error of 5 %
_OCTAVES = 12  # below the least of them, sizes are so small a part of all that no more are told apart
_GROWN = 1.05  # a type whose tasks are seen to take less than this much more is left as it is
_SLACK = 20  # peaks that cannot make more than one part in so many, together, are not looked at


class Totals(NamedTuple):
    """What there is."""

    cpus: int
    memory: int
    """Bytes."""
    gpus: int = 0


class Past(NamedTuple):
    """The most memory that tasks took in past runs."""

    by_key: Mapping[str, int] = {}
    by_type: Mapping[str, int] = {}


def declared(graph: Graph, runs: Sequence[int] | bytearray) -> dict[int, Needs]:
    """What the tasks that run say they need, by number; those that say nothing are left out."""
    kinds: set[Any] = set(map(type, graph.tasks))
    talkative = {kind for kind in kinds if kind.__labtech__.computes_needs or kind.__labtech__.needs != NOTHING}
    if not talkative:
        return {}
    found = {
        number: needs_of(task) for number, task in enumerate(graph.tasks) if runs[number] and type(task) in talkative
    }
    return {number: needs for number, needs in found.items() if needs != NOTHING}


class Admission:
    """Tells what tasks take, and learns while they run. `workers`: how many tasks run at a time at most."""

    def __init__(
        self,
        graph: Graph,
        runs: Sequence[int] | bytearray,
        totals: Totals,
        workers: int,
        needs: Mapping[int, Needs] | None = None,
        past: Past = Past(),
    ) -> None:
        self._graph, self._runs, self._totals, self._workers = graph, runs, totals, workers
        self._needs = declared(graph, runs) if needs is None else needs
        self._check()
        self._own = {number: needs.memory for number, needs in self._needs.items() if needs.memory is not None}
        if past.by_key:  # what a task itself took is known best, unless it says more
            for number, task in enumerate(graph.tasks):
                if runs[number] and (peak := past.by_key.get(task._labtech_key)):
                    self._own.setdefault(number, peak)
        self._of_type = {kind: past.by_type.get(kind.__labtech__.name, 0) for kind in self._kinds()}
        self.watched = max(1, totals.memory // (_SLACK * max(1, workers)))
        """Peaks below this can be kept from `saw`."""

    def _check(self) -> None:
        """Raise `LabError` for a task that can never run."""
        for number, needs in self._needs.items():
            if needs.memory is not None and needs.memory > self._totals.memory:
                raise self._too_much(number, "memory", "is not enough memory", needs.memory, size)
            if needs.gpus is not None and needs.gpus > self._totals.gpus:
                raise self._too_much(number, "gpus", "are not enough GPUs", needs.gpus, str)

    def _too_much(self, number: int, key: str, what: str, wanted: int, shown: Callable[[int], str]) -> LabError:
        task, there = render(self._graph.tasks[number], 100), getattr(self._totals, key)
        return LabError(
            f"there {what} for {task}: it needs {shown(wanted)}, and this run has {shown(there)}",
            hint=f"let the task need less, or say what there is: {key} under [resources]",
        )

    def greedy(self) -> list[int]:
        """The tasks that want more CPUs than there are: each runs alone."""
        return [number for number, needs in self._needs.items() if (needs.cpus or 0) > self._totals.cpus]

    def saw(self, number: int, peak: int) -> bool:
        """A task took so much memory; whether tasks of its type that are still to run may be admitted with more."""
        kind = type(self._graph.tasks[number])
        said = self._needs.get(number, NOTHING).memory
        if said is not None or peak <= self._of_type[kind] * _GROWN:
            return False
        self._of_type[kind] = peak
        return True

    def demands(self) -> Demands:
        """What tasks take of what can bind."""
        takes = self._dimensions()
        limits = {kind: most for kind in self._kinds() if (most := kind.__labtech__.max_parallel) is not None}
        if not takes and not limits:
            return Demands()
        slots = {kind: place for place, kind in enumerate(limits, len(self._totals))}
        vectors: dict[tuple[tuple[int, float], ...], int] = {}
        groups: dict[int, int] = {}
        for number, task in enumerate(self._graph.tasks):
            if not self._runs[number]:
                continue
            vector = [(place, amounts[number]) for place, amounts in takes.items() if number in amounts]
            if type(task) in slots:
                vector.append((slots[type(task)], 1))
            if vector:
                groups[number] = vectors.setdefault(tuple(vector), len(vectors))
        totals = [self._totals.cpus * PER_CPU, *self._totals[1:], *limits.values()]
        memory = takes.get(MEMORY, {})
        alone = [number for number, amount in memory.items() if amount > self._totals.memory]
        return Demands(groups, list(vectors), totals, frozenset(alone))

    def _kinds(self) -> Iterable[Any]:
        return dict.fromkeys(map(type, self._graph.tasks))

    def _dimensions(self) -> dict[int, dict[int, int]]:
        """The amounts by number, for each dimension that can bind."""
        found: dict[int, dict[int, int]] = {}
        cpus = {number: math.ceil(needs.cpus * PER_CPU) for number, needs in self._needs.items() if needs.cpus}
        others = [PER_CPU] * min(self._workers, sum(self._runs) - len(cpus))
        if sum(nlargest(self._workers, [*cpus.values(), *others])) > self._totals.cpus * PER_CPU:
            found[CPUS] = {n: cpus.get(n, PER_CPU) for n in range(len(self._runs)) if self._runs[n]}
        memory = self._memory()
        if sum(nlargest(self._workers, memory.values())) > self._totals.memory:
            found[MEMORY] = rounded(memory, self._totals.memory)
        gpus = {number: needs.gpus for number, needs in self._needs.items() if needs.gpus is not None}
        if any(gpus.values()):
            found[GPUS] = gpus  # always counted: more tasks than workers may wait in their queues
        return found

    def _memory(self) -> dict[int, int]:
        """The bytes each task is admitted with, where anything is known."""
        found = dict(self._own)
        if any(self._of_type.values()):
            for number, task in enumerate(self._graph.tasks):
                if self._runs[number] and (peak := self._of_type[type(task)]):
                    found.setdefault(number, peak)
        return found


def rounded(amounts: dict[int, int], total: int) -> dict[int, int]:
    """Where there are many different amounts: rounded up by 5 % at most, to few. Simple shares of `total` stay."""
    if len(set(amounts.values())) <= _FEW:
        return amounts
    steps: dict[int, int] = {}
    for amount in set(amounts.values()):
        octave = float(total)
        for _ in range(_OCTAVES):
            octave = octave / 2 if amount <= octave / 2 else octave
        part = math.ceil(_STEPS * amount / octave)
        steps[amount] = max(amount, math.floor(octave * part / _STEPS))
    return {number: steps[amount] for number, amount in amounts.items()}
