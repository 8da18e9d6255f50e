"""Results on their way from one task to the next, kept as long as a task of the run needs them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from labtech_cli.core.graph import Graph
from labtech_cli.core.present import render
from labtech_cli.errors import TaskNotFound
from labtech_cli.run.worker import Input
from labtech_cli.store.blobs import Stored
from labtech_cli.store.signing import Trust
from labtech_cli.store.storage import Storage

MEMORY_BYTES = 256 << 20  # what is in the storage anyway is dropped and read again beyond this


class Shelf:
    """Inputs by number. Small results stay in memory while they are needed, large ones are paths.

    `reads` marks the tasks that will read their dependencies' results.
    """

    def __init__(
        self,
        graph: Graph,
        storage: Storage,
        reads: Sequence[bool] | bytearray,
        keep: Iterable[int],
        trust: Trust | None = None,
    ) -> None:
        self._graph, self._storage, self._trust = graph, storage, trust or Trust()
        self._readers = [0] * len(graph)
        for number, deps in enumerate(graph.deps):
            if deps and reads[number]:
                for dep in deps:
                    self._readers[dep] += 1
        for number in keep:
            self._readers[number] += 1
        self._inputs: dict[int, Input] = {}
        self._in_storage: dict[int, int] = {}
        self._bytes = 0

    def wants(self, number: int) -> bool:
        """Whether anything will read this task's result."""
        return self._readers[number] > 0

    def put(self, number: int, given: Input, *, in_storage: bool) -> None:
        """A result that exists now."""
        if not self._readers[number]:
            return
        self._inputs[number] = given
        if in_storage and given.stored is not None:
            size = sum([len(blob.data) for blob in given.stored.blobs if blob.data is not None])
            self._in_storage[number] = size
            self._bytes += size
            while self._bytes > MEMORY_BYTES and self._in_storage:
                oldest = next(iter(self._in_storage))
                self._bytes -= self._in_storage.pop(oldest)
                del self._inputs[oldest]

    def take(self, number: int, without: Sequence[int] = ()) -> dict[int, Input]:
        """The inputs of a task that is about to run; `without` those that are not there yet."""
        deps: Sequence[int] = self._graph.deps[number]
        if without:
            deps = [dep for dep in deps if dep not in without]
        if not deps:
            return {}
        found = {dep: self._inputs[dep] for dep in deps if dep in self._inputs}
        if len(found) < len(deps):
            found.update(self._fetch([dep for dep in deps if dep not in found]))
        return found

    def get(self, number: int) -> Input | None:
        """One result, where it is at hand."""
        return self._inputs.get(number)

    def done(self, number: int) -> None:
        """A task will not read its inputs again."""
        for dep in self._graph.deps[number]:
            self._readers[dep] -= 1
            if not self._readers[dep] and dep in self._inputs:
                self._bytes -= self._in_storage.pop(dep, 0)
                del self._inputs[dep]

    def _fetch(self, numbers: list[int]) -> dict[int, Input]:
        keys = {self._graph.tasks[number]._labtech_key: number for number in numbers}
        meta = {row.key: row for row in self._storage.rows(keys)}
        stored: dict[str, Stored] = self._storage.load(list(keys))
        found = {}
        for key, number in keys.items():
            if key not in meta or key not in stored:
                raise TaskNotFound(f"the result of {render(self._graph.tasks[number], 100)} was removed meanwhile")
            self._trust.check(key, stored[key])
            found[number] = Input(stored[key], None, meta[key].started_at, meta[key].duration, True)
            self.put(number, found[number], in_storage=True)
        return found
