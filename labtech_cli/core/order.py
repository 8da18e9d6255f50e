"""The order of tasks: which comes first when sorted, and which must come first when run."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from enum import Enum
from typing import Any

from frozendict import frozendict

from labtech_cli.core.key import enum_name


def dependencies_first(tasks: Iterable[Any]) -> Iterator[Any]:
    """Each distinct task reachable from `tasks` once, after all its dependencies. No recursion."""
    done: set[str] = set()
    for root in tasks:
        if root._labtech_key in done:
            continue
        if not root._labtech_deps:
            done.add(root._labtech_key)
            yield root
            continue
        stack = [(root, iter(root._labtech_deps))]
        open_keys = {root._labtech_key}
        while stack:
            item, rest = stack[-1]
            for child in rest:
                key = child._labtech_key
                if key not in done and key not in open_keys:
                    open_keys.add(key)
                    stack.append((child, iter(child._labtech_deps)))
                    break
            else:
                stack.pop()
                done.add(item._labtech_key)
                open_keys.discard(item._labtech_key)
                yield item


def compare(left: Any, right: Any) -> int:
    """-1, 0 or 1: a total order over all tasks, by type, then version, then parameters in field order.

    Values of different types are ordered by type. It follows one path down the first difference, in
    a loop, so deep and shared dependencies cost nothing extra.
    """
    while left is not right:
        ranks = _rank(left), _rank(right)
        if ranks[0] != ranks[1]:
            return -1 if ranks[0] < ranks[1] else 1
        if ranks[0] < _CONTAINER:
            break
        pair = _first_difference(left, right)
        if isinstance(pair, int):
            return pair
        left, right = pair
    else:
        return 0
    a, b = _plain(left), _plain(right)
    return int(a > b) - int(a < b)


_CONTAINER = 6


def _rank(value: Any) -> int:
    kind = type(value)
    if "__labtech__" in kind.__dict__:
        return 8
    if isinstance(value, Enum):
        return 5
    ranks = {type(None): 0, bool: 1, int: 2, float: 3, str: 4, tuple: _CONTAINER, frozendict: 7}
    return int(ranks[kind])


def _plain(value: Any) -> Any:
    """An atom as something its own kind can be ordered by; nan comes last, -0.0 before 0.0."""
    if value is None:
        return 0
    if isinstance(value, Enum):
        return (
            enum_name(type(value)),
            list(type(value).__members__).index(value.name) if value.name in type(value).__members__ else -1,
            repr(value.value),
        )
    if isinstance(value, float):
        return (value != value, 0.0 if value != value else value, not str(value).startswith("-"))
    return value


def _first_difference(left: Any, right: Any) -> tuple[Any, Any] | int:
    """The first pair of parts that differ, or the order itself when one is a prefix of the other."""
    if type(left) is tuple:
        parts: list[tuple[Any, Any]] = list(zip(left, right, strict=False))
        sizes = len(left), len(right)
    elif type(left) is frozendict:
        names = sorted(left), sorted(right)
        parts = [pair for a, b in zip(*names, strict=False) for pair in ((a, b), (left.get(a), right.get(b)))]
        sizes = len(left), len(right)
    else:
        return _task_difference(left, right)
    for a, b in parts:
        if not same(a, b):
            return a, b
    return (sizes[0] > sizes[1]) - (sizes[0] < sizes[1])


def _task_difference(left: Any, right: Any) -> tuple[Any, Any] | int:
    if left._labtech_key == right._labtech_key:
        return 0
    kinds = type(left).__labtech__, type(right).__labtech__
    if kinds[0].name != kinds[1].name:
        return kinds[0].name, kinds[1].name
    for name in kinds[0].parameters:
        a, b = getattr(left, name), getattr(right, name, None)
        if not same(a, b):
            return a, b
    return left._labtech_version, right._labtech_version


def same(left: Any, right: Any) -> bool:
    """Whether two frozen values are the same, typed; tasks are compared by key."""
    if left is right:
        return True
    if type(left) is not type(right):
        return False
    if type(left) is tuple:
        return len(left) == len(right) and all(map(same, left, right))
    if type(left) is frozendict:
        return left.keys() == right.keys() and all(same(item, right[name]) for name, item in left.items())
    if isinstance(left, float):
        return bool(_plain(left) == _plain(right))
    return bool(left == right)
