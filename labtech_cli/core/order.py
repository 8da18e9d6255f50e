"""The order of tasks: which comes first when sorted, and which must come first when run."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from enum import Enum, Flag
from typing import Any

from frozendict import frozendict

from labtech_cli.core.key import enum_name, member_name


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
    """-1, 0 or 1: a total order over all tasks, by type, then parameters in field order, then version.

    Values of different types are ordered by type. It follows one path down the first difference, in
    a loop, so deep and shared dependencies cost nothing extra.
    """
    while not same(left, right):
        a, b = _rank(left), _rank(right)
        if a == b and a >= _CONTAINER:
            left, right = next(pair for pair in _pairs(left, right) if not same(*pair))
            continue
        if a == b:
            a, b = _plain(left), _plain(right)
        return -1 if a < b else 1
    return 0


def same(left: Any, right: Any) -> bool:
    """Whether two frozen values are the same, typed: whether they have the same encoding in a key."""
    if left is right:
        return True
    if _rank(left) != _rank(right):
        return False
    if type(left) is tuple:
        return len(left) == len(right) and all(map(same, left, right))
    if type(left) is frozendict:
        return left.keys() == right.keys() and all(same(item, right[name]) for name, item in left.items())
    return bool(_plain(left) == _plain(right))


_RANKS = {type(None): 0, bool: 1, int: 2, float: 3, str: 4, tuple: 6, frozendict: 7}
_ENUM, _CONTAINER, _TASK = 5, 6, 8


def _rank(value: Any) -> int:
    kind = type(value)
    rank = _RANKS.get(kind)
    if rank is not None:
        return rank
    return _TASK if "__labtech__" in kind.__dict__ else _ENUM


def _plain(value: Any) -> Any:
    """What tells values of one rank apart and orders them; of containers, tasks only."""
    if value is None:
        return 0
    if isinstance(value, Enum):
        return _plain_member(value)
    if isinstance(value, float):  # nan comes last, -0.0 before 0.0
        return (True, 0.0, 0.0) if math.isnan(value) else (False, value, math.copysign(1.0, value))
    return value._labtech_key if _rank(value) == _TASK else value


def _plain_member(member: Enum) -> tuple[str, int, str]:
    """Enum members come in the order of their definition, flags by the bits they set."""
    kind, name = type(member), member_name(member)
    position = int(member.value) if isinstance(member, Flag) else list(kind.__members__).index(name)
    return enum_name(kind), position, name


def _pairs(left: Any, right: Any) -> Iterator[tuple[Any, Any]]:
    """What to compare of two containers or two tasks, in this order; what is not the same differs in one of them."""
    if type(left) is tuple:
        yield from zip(left, right, strict=False)
        yield len(left), len(right)
    elif type(left) is frozendict:
        for a, b in zip(sorted(left), sorted(right), strict=False):
            yield a, b
            yield left[a], right[b]
        yield len(left), len(right)
    else:
        a, b = type(left).__labtech__, type(right).__labtech__
        yield a.name, b.name
        yield a.parameters, b.parameters  # they differ where a class was defined twice
        for name in a.parameters:
            yield getattr(left, name), getattr(right, name)
        yield left._labtech_version, right._labtech_version
        yield left._labtech_key, right._labtech_key
