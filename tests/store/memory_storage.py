"""A storage in memory, whole as to what it promises: rewrites are all or nothing, journalled, and can be undone."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from labtech_cli.errors import StorageError
from labtech_cli.store.blobs import Blob, Stored
from labtech_cli.store.records import Journal, Move, Record, Row
from labtech_cli.store.storage import NullStorage


class MemoryStorage(NullStorage):
    """Results by key; `rows` in the order of their start."""

    keeps = True

    def __init__(self) -> None:
        super().__init__()
        self.tasks: dict[str, Record] = {}
        self._journal: list[Journal] = []
        self._replaced: dict[int, dict[str, Record]] = {}

    def describe(self) -> str:
        return "memory"

    def present(self) -> dict[str, float]:
        return {key: record.duration for key, record in self.tasks.items() if record.stored}

    def commit(self, records: Sequence[Record]) -> None:
        for record in records:
            self.tasks[record.key] = record

    def load(self, keys: Sequence[str]) -> dict[str, Stored]:
        return {key: stored for key in keys if key in self.tasks and (stored := self.tasks[key].stored)}

    def rows(self, keys: Iterable[str] | None = None) -> Iterator[Row]:
        wanted = self.tasks if keys is None else [key for key in keys if key in self.tasks]
        for item in sorted((self.tasks[key] for key in wanted), key=lambda item: item.started_at):
            if item.stored:
                head = item.key, item.type, item.code_version, item.params, item.stored.format, item.started_at
                yield Row(*head, item.duration, item.stored.size, code=item.code)

    def described(self) -> dict[str, tuple[str, str | None, str]]:
        return {item.key: (item.type, item.code_version, item.params) for item in self.tasks.values()}

    def remove(self, keys: Sequence[str]) -> int:
        found = [self.tasks[key] for key in keys if key in self.present()]
        for item in found:
            item.stored = None
        return len(found)

    def rewrite(self, moves: Sequence[Move], title: str) -> int:
        before = tuple([self._as_it_is(move) for move in moves])
        number = 1 + max((item.number for item in self._journal), default=0)
        leaving = {move.key for move in moves}
        targets = [move.new_key for move in moves if move.new_key not in leaving]
        self._replaced[number] = {key: self.tasks[key] for key in targets if key in self.tasks}
        self.tasks = self._moved(moves)
        self._journal.append(Journal(number, 0.0, title, tuple(moves), before))
        return number

    def _as_it_is(self, move: Move) -> Move:
        item = self.tasks.get(move.key)
        if item is None:
            raise StorageError(f"there is no task {move.key}")
        return Move(move.new_key, move.key, item.type, item.code_version, item.params, item.code)

    def _moved(self, moves: Sequence[Move]) -> dict[str, Record]:
        leaving = {move.key for move in moves}
        if len(leaving) < len(moves) or len({move.new_key for move in moves}) < len(moves):
            raise StorageError("a key is moved twice")
        after = {key: item for key, item in self.tasks.items() if key not in leaving}
        for move in moves:
            there = after.get(move.new_key)
            if there is not None and there.stored:
                raise StorageError(f"there is a result {move.new_key}")
            item = copy.copy(self.tasks[move.key])
            item.key, item.type, item.code_version = move.new_key, move.type, move.code_version
            item.params, item.code = move.params, move.code
            after[move.new_key] = item
        return after

    def journal(self) -> list[Journal]:
        return list(self._journal)

    def undo(self, number: int) -> int:
        (entry,) = [item for item in self._journal if item.number == number]
        self.tasks = {**self._replaced.pop(number), **self._moved(entry.before)}
        self._journal.remove(entry)
        return sum(move.new_key in self.present() for move in entry.before)


def remember(storage: Any, made: Any, *, at: float = 0.0, result: bool = True, code: str | None = None) -> None:
    """Commit a task, and what it depends on, with its key as its result; those of `cache=None` without."""
    from labtech_cli.core.codec import encode_params
    from labtech_cli.core.order import dependencies_first
    from labtech_cli.core.task import type_of

    there = storage.described()
    for item in dependencies_first([made]):
        kind = type_of(item)
        blob = Blob("result", 32, "", item.cache_key.encode(), None)
        stored = Stored("pickle", (blob,)) if result and kind.cache is not None else None
        if item.cache_key not in there:
            params = encode_params(item)
            storage.commit([Record(item.cache_key, kind.name, item.code_version, params, 1.0, at, stored, code=code)])
