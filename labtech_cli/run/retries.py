"""Which failed tasks run again, and when: exponential back-off with a cap."""

from __future__ import annotations

from collections.abc import Iterable
from heapq import heappop, heappush

from labtech_cli.core.events import Failure
from labtech_cli.core.graph import Graph
from labtech_cli.core.needs import needs_of

MOST_DELAY_SECONDS = 60.0


class Retries:
    """The attempts of a run. `most`: how often a task that says nothing itself is run again after a failure;
    `delay`: seconds before the second attempt, doubled before each further one."""

    def __init__(self, graph: Graph, most: int = 0, delay: float = 1.0) -> None:
        self._graph, self._most, self._delay = graph, most, delay
        self._failed: dict[int, int] = {}  # attempts that failed, of tasks that were given another
        self._due: list[tuple[float, int]] = []
        self._last: dict[int, Failure] = {}  # why the last attempt failed, of tasks that wait

    def attempt(self, number: int) -> int:
        """Which attempt the present, or the next, one of a task is; 1 is the first."""
        return self._failed.get(number, 0) + 1 if self._failed else 1

    def allows(self, number: int, failure: Failure) -> bool:
        """Whether a task that failed is to be tried again."""
        return not failure.final and self.attempt(number) <= self._allowed(number)

    def grant(self, number: int, failure: Failure, now: float) -> float | None:
        """After a failed attempt: the seconds until the next one, or None where there is none."""
        if not self.allows(number, failure):
            return None
        attempt = self.attempt(number)
        delay = min(self._delay * 2.0 ** min(attempt - 1, 30), MOST_DELAY_SECONDS)
        self._wait(number, failure, now + delay)
        return delay

    def again(self, number: int, failure: Failure, now: float) -> None:
        """Give a task another attempt at once, whatever it is allowed: not it was to blame."""
        self._wait(number, failure, now)

    def due(self, now: float) -> list[int]:
        """The tasks whose next attempt may start now; each is named once."""
        ready = []
        while self._due and self._due[0][0] <= now:
            number = heappop(self._due)[1]
            del self._last[number]
            ready.append(number)
        return ready

    def next_due(self) -> float | None:
        """When the next attempt may start, by the same clock as `now`."""
        return self._due[0][0] if self._due else None

    def give_up(self) -> Iterable[tuple[int, Failure]]:
        """The tasks that still wait for an attempt that will not come, and why the last one failed."""
        waiting, self._last, self._due = self._last, {}, []
        return waiting.items()

    def _allowed(self, number: int) -> int:
        said = needs_of(self._graph.tasks[number]).retries
        return self._most if said is None else said

    def _wait(self, number: int, failure: Failure, until: float) -> None:
        self._failed[number] = self.attempt(number)
        self._last[number] = failure
        heappush(self._due, (until, number))
