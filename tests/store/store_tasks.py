"""Task types for the tests of the store."""

from __future__ import annotations

from enum import Enum
from typing import Any

from labtech_cli import BaseCache, JoblibCache, NullCache, task


class Color(Enum):
    RED = 1
    BLUE = 2


class Reversed(BaseCache):
    KEY_PREFIX = "reversed__"

    def save_result(self, storage: Any, task: Any, result: Any) -> None:
        with storage.file_handle(task.cache_key, "text", mode="w") as file:
            file.write(result[::-1])

    def load_result(self, storage: Any, task: Any) -> Any:
        with storage.file_handle(task.cache_key, "text", mode="r") as file:
            return file.read()[::-1]


class Empty(BaseCache):
    def save_result(self, storage: Any, task: Any, result: Any) -> None:
        return None


@task
class Plain:
    value: Any = 0

    def run(self) -> None: ...


@task(cache=JoblibCache(compress=3))
class Squeezed:
    def run(self) -> None: ...


@task(cache=Reversed())
class Backwards:
    def run(self) -> None: ...


@task(cache=Empty())
class WritesNothing:
    def run(self) -> None: ...


@task(cache=NullCache())
class Kept:
    def run(self) -> None: ...


class Own:
    def __init__(self, value: int) -> None:
        self.value = value

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Own) and other.value == self.value

    __hash__ = None  # type: ignore[assignment]
