"""Which tasks this run computes, where other runs use the storage at the same time.

A task is claimed before it is handed to a worker and given back when it is committed or has failed.
A claim is never held by a task that waits, so two runs cannot wait for each other.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from labtech_cli.core.graph import Graph
from labtech_cli.store.records import Claim
from labtech_cli.store.storage import Claiming, Storage


def keeps(storage: Storage, task: Any) -> bool:
    """Whether the storage keeps the result of a task: others have no use for those it does not."""
    return storage.keeps and not type(task).__labtech__.keeps_nothing


class Claims:
    """The claims of one run. `replaces` marks the tasks that run though they had a result."""

    def __init__(self, graph: Graph, storage: Storage, replaces: Sequence[int] | bytearray) -> None:
        self._graph, self._storage, self._replaces = graph, storage, replaces
        self._held: set[int] = set()

    def keeps(self, number: int) -> bool:
        """See `keeps`."""
        return keeps(self._storage, self._graph.tasks[number])

    def ask(self, number: int, claim: Claiming) -> Claim:
        """Who computes a task that may start now."""
        task = self._graph.tasks[number]
        if not keeps(self._storage, task):
            return Claim.MINE
        answer = claim(task._labtech_key, not self._replaces[number])
        if answer is Claim.MINE:
            self._held.add(number)
        return answer

    def committed(self, numbers: Iterable[int]) -> None:
        """These claims went with the commit of their results."""
        self._held.difference_update(numbers)

    def release(self, numbers: Iterable[int]) -> None:
        """Give claims back: of tasks that failed, or were not started."""
        held = [number for number in numbers if number in self._held]
        if held:
            self._held.difference_update(held)
            self._storage.release([self._graph.tasks[number]._labtech_key for number in held])
