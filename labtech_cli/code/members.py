"""The Enum types that occur in a task's parameters, whatever the annotations of its fields say.

Members are the only values with code of their own that a parameter can hold; `Any`, `object` or `dict`
as an annotation does not tell which. The values do, at the cost of looking at each once.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import Enum
from typing import Any

from frozendict import frozendict

_NONE: frozenset[type] = frozenset()
_PLAIN = frozenset((str, int, float, bool, type(None)))


def enums_of(task: Any) -> frozenset[type]:
    """The Enum types of the members in the parameters of `task`; those in tasks it depends on are theirs."""
    found: set[type] = set()
    todo: list[Iterable[Any]] = [[getattr(task, name) for name in type(task).__labtech__.parameters]]
    while todo:
        values = todo.pop()
        kinds = {*map(type, values)} - _PLAIN
        if not kinds:
            continue
        found.update(kind for kind in kinds if issubclass(kind, Enum))
        if tuple in kinds:
            todo += [value for value in values if type(value) is tuple]
        if frozendict in kinds:
            todo += [value.values() for value in values if type(value) is frozendict]
    return frozenset(found) if found else _NONE
