"""Parameter values with their nested tasks taken out, and put back.

A task's values hold other tasks to any depth. Taken out (`pack`), what is left is plain data of
bounded depth that any serialiser can carry, and the graph becomes a flat list. The hole is Ellipsis:
no parameter can hold it, and it is the smallest thing pickle knows.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from frozendict import frozendict


def pack(values: Iterable[Any]) -> tuple[tuple[Any, ...], list[Any]]:
    """The values with `...` in place of each task, and the tasks in the order of their holes."""
    found: list[Any] = []
    return tuple([_pack(value, found) for value in values]), found


def unpack(values: Iterable[Any], tasks: Iterable[Any]) -> tuple[Any, ...]:
    """The reverse of `pack`."""
    rest = iter(tasks)
    return tuple([_unpack(value, rest) for value in values])


def _pack(value: Any, found: list[Any]) -> Any:
    kind = type(value)
    if kind is tuple:
        if value and all(["__labtech__" in inner.__dict__ for inner in set(map(type, value))]):
            found.extend(value)  # aggregates hold many tasks and nothing else
            return (...,) * len(value)
        return tuple([_pack(item, found) for item in value])
    if kind is frozendict:
        return frozendict({name: _pack(item, found) for name, item in value.items()})
    if "__labtech__" in kind.__dict__:
        found.append(value)
        return ...
    return value


def _unpack(value: Any, rest: Iterator[Any]) -> Any:
    kind = type(value)
    if value is ...:
        return next(rest)
    if kind is tuple:
        return tuple([_unpack(item, rest) for item in value])
    if kind is frozendict:
        return frozendict({name: _unpack(item, rest) for name, item in value.items()})
    return value
