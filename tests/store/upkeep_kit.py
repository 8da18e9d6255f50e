"""Storages with tasks' own keys and descriptions, and one that counts what is asked of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from storage_kit import LARGE
from store_tasks import Plain

from labtech_cli.core.codec import encode_params
from labtech_cli.store import formats
from labtech_cli.store.local import LocalStorage
from labtech_cli.store.records import Record
from labtech_cli.store.storage import Storage


def record(storage: Storage, task: Any, value: Any, *, kept: bool = True, **others: Any) -> Record:
    """What a worker makes of a task whose result is `value`."""
    stored = formats.save(task, value, storage.spool()) if kept else None
    name = type(task).__labtech__.name
    started = others.pop("at", 1.0)
    return Record(task.cache_key, name, task.code_version, encode_params(task), 0.5, started, stored, **others)


def filled(folder: Path, many: int = 6) -> tuple[LocalStorage, list[Any]]:
    """A storage with results: every third one is large, the last holds a task whose result is not there."""
    storage = LocalStorage(folder)
    tasks: list[Any] = [Plain(number) for number in range(many - 1)]
    tasks.append(Plain([Plain("inner"), tasks[0]]))
    storage.keep({"c0de": "the code", "0r1g": "the origin"})
    made = {"code": "c0de", "origin": "0r1g", "peak_memory": 1 << 20}
    storage.commit([record(storage, Plain("inner"), None, kept=False)])
    for start in range(0, many, 500):
        storage.commit(
            [
                record(storage, tasks[number], value_of(number), at=float(number), **made)
                for number in range(start, min(many, start + 500))
            ]
        )
    return storage, tasks


def value_of(number: int) -> Any:
    return (LARGE.decode() + str(number)) if number % 3 == 1 and number < 10 else f"value {number}"


class Counting:
    """A storage, and how often each of its methods was called."""

    def __init__(self, storage: Storage) -> None:
        self.storage, self.calls = storage, Counter[str]()

    def __getattr__(self, name: str) -> Any:
        found = getattr(self.storage, name)
        if not callable(found):
            return found
        return self._counted(name, found)

    def _counted(self, name: str, method: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any) -> Any:
            self.calls[name] += 1
            return method(*arguments)

        return call
