"""How two tasks differ, and which of the results is nearest to a task: arithmetic on descriptions.

No code of the user is needed. Differences are followed into nested tasks, a pair of tasks once, without
recursion over dependencies: the cost is linear in what the two tasks do not share.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from heapq import heapify, heappop
from operator import ne
from typing import Any, NamedTuple, TypeAlias

from labtech_cli.core.codec import encode_params, read_params, write_params
from labtech_cli.core.rekey import UNREADABLE, references, rewritten, stored_key
from labtech_cli.store.records import Row

Description: TypeAlias = tuple[str, str | None, dict[str, Any]]
"""A task's type, `code_version` and encoded parameters."""
_MARKS = ("$task", "$enum", "$float", "$int")
_STEPS = 50_000
"""Pairs of tasks that one search for the nearest result looks into; after that the best so far has to do."""


class Difference(NamedTuple):
    """One thing in which a task is not as another one."""

    path: str
    """Of the parameter, dotted into nested tasks; empty for the tasks themselves."""
    kind: str
    """`value`, `added`, `removed`, `type`, `code_version`, or `task` for one that is not known."""
    before: Any = None
    """An encoded value (see `core.codec`), or the name of a type."""
    after: Any = None


class Descriptions:
    """What is known of tasks by key: those that a storage has described, and those that are at hand."""

    def __init__(
        self, described: Mapping[str, tuple[str, str | None, str]], at_hand: Callable[[str], Any] = lambda key: None
    ) -> None:
        self._described, self._at_hand = described, at_hand
        self._known: dict[str, Description | None] = {}

    def __call__(self, key: str) -> Description | None:
        """The description of a task; None for one that is unknown or unreadable."""
        if key not in self._known:
            task, stored = self._at_hand(key), self._described.get(key)
            if task is not None:
                stored = type(task).__labtech__.name, task._labtech_version, encode_params(task)
            self._known[key] = _read(stored)
        return self._known[key]


def _read(stored: tuple[str, str | None, str] | None) -> Description | None:
    if stored is None:
        return None
    try:
        values = read_params(stored[2])
        if '"$' in stored[2]:
            references(values)  # whether it can be walked
    except UNREADABLE:
        return None
    return stored[0], stored[1], values


def differences(known: Descriptions, before: str, after: str, most: int | None = None) -> list[Difference]:
    """How the task `after` differs from `before`, by key: nothing if they are the same. Stops at `most`."""
    return _Comparison(known).differences(before, after, most)


class _Comparison:
    """Compares tasks, and counts the pairs it has looked into."""

    def __init__(self, known: Descriptions) -> None:
        self._known = known
        self.steps = 0

    def differences(self, before: str, after: str, most: int | None = None) -> list[Difference]:
        found: list[Difference] = []
        todo = deque([("", before, after)])
        seen: set[tuple[str, str]] = set()
        while todo and (most is None or len(found) < most):
            path, one, other = todo.popleft()
            if one == other or (one, other) in seen:
                continue
            seen.add((one, other))
            self.steps += 1
            for item in self._tasks(path, one, other):
                if item.kind == "task" and item.before != one:
                    todo.append((item.path, item.before, item.after))
                else:
                    found.append(item)
        return found

    def _tasks(self, path: str, one: str, other: str) -> Iterator[Difference]:
        """The differences of two tasks; of kind `task` and with other keys, those of nested ones to look into."""
        a, b = self._known(one), self._known(other)
        if a is None or b is None:
            yield Difference(path, "task", one, other)
        elif a[0] != b[0]:
            yield Difference(path, "type", a[0], b[0])
        else:
            if a[1] != b[1]:
                yield Difference(_under(path, "code_version"), "code_version", a[1], b[1])
            yield from _fields(path, a[2], b[2])


def _fields(path: str, before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[Difference]:
    for name, value in after.items():
        if name in before:
            yield from _values(_under(path, name), before[name], value)
        else:
            yield Difference(_under(path, name), "added", None, value)
    for name, value in before.items():
        if name not in after:
            yield Difference(_under(path, name), "removed", value)


def _values(path: str, before: Any, after: Any) -> Iterator[Difference]:
    if isinstance(before, list) and isinstance(after, list):
        yield from _items(path, before, after)
        return
    marks = _mark(before), _mark(after)
    if marks == ("$task", "$task"):
        if before["$task"] != after["$task"]:
            yield Difference(path, "task", before["$task"], after["$task"])
    elif marks == ("$dict", "$dict"):
        yield from _fields(path, before.get("$dict", before), after.get("$dict", after))
    elif repr(before) != repr(after):  # tells 1 from 1.0 and True, 0.0 from -0.0
        yield Difference(path, "value", before, after)


def _items(path: str, before: list[Any], after: list[Any]) -> Iterator[Difference]:
    """Items that both lists begin or end with are passed over; the others are compared in their order."""
    start, one, other = 0, len(before), len(after)
    while start < min(one, other) and repr(before[start]) == repr(after[start]):
        start += 1
    while start < min(one, other) and repr(before[one - 1]) == repr(after[other - 1]):
        one, other = one - 1, other - 1
    for place in range(start, min(one, other)):
        yield from _values(f"{path}[{place}]", before[place], after[place])
    for place in range(min(one, other), other):
        yield Difference(f"{path}[{place}]", "added", None, after[place])
    for place in range(min(one, other), one):
        yield Difference(f"{path}[{place}]", "removed", before[place])


def _mark(value: Any) -> str:
    if not isinstance(value, dict):
        return ""
    return next((mark for mark in _MARKS if mark in value), "$dict")


def _under(path: str, name: str) -> str:
    step = name if name.isidentifier() else f"[{name!r}]"
    return f"{path}.{step}" if path and step == name else path + step


class Nearest:
    """Finds the result that is nearest to a task: of its type, with the fewest differences, then the newest.

    `search` gives results of a type, those first in whose parameters most of some texts occur (`Storage.alike`):
    a text that does not occur is a parameter that differs.
    """

    def __init__(self, known: Descriptions, search: Callable[[str, Sequence[str]], Iterable[Row]]) -> None:
        self._known, self._search = known, search

    def to(self, key: str) -> str | None:
        """The key of the result nearest to the task `key`; None where its type has no other result.

        Compares parameters with each result that was found once, and looks into nested tasks of those only
        that can be the nearest, as long as that stays cheap.
        """
        mine = self._known(key)
        if mine is None:
            return None
        texts = [write_params({name: value})[1:-1] for name, value in mine[2].items()]
        candidates = _candidates(self._search(mine[0], texts))
        bounds = [(item.bound(mine), -item.at, item.key) for item in candidates if item.key != key]
        comparison = _Comparison(self._known)
        best: tuple[int, float, str] | None = None
        heapify(bounds)  # few of them are looked at, as a rule
        while bounds:
            bound, at, candidate = heappop(bounds)
            if best is not None and ((bound, at) >= best[:2] or comparison.steps > _STEPS):
                break  # no other one can be nearer, or it would take too long to find it
            most = best[0] + 1 if best is not None else None
            many = len(comparison.differences(candidate, key, most))
            if best is None or (many, at) < best[:2]:
                best = many, at, candidate
        return best[2] if best is not None else None


def _candidates(rows: Iterable[Row]) -> Iterator[_Candidate]:
    shapes: dict[tuple[str, ...], tuple[str, ...]] = {}
    for row in rows:
        read = _read((row.type, row.code_version, row.params))
        if read is not None:
            names = tuple(read[2])
            values = tuple(read[2].values())
            yield _Candidate(row.key, row.started_at, read[1], shapes.setdefault(names, names), values)


class _Candidate(NamedTuple):
    """A result that may be the nearest one."""

    key: str
    at: float
    version: str | None
    names: tuple[str, ...]
    values: tuple[Any, ...]

    def bound(self, mine: Description) -> int:
        """At least how many differences there are: those of parameters, none looked into. Equal is not yet the same."""
        many = 0 if self.version == mine[1] else 1
        if self.names == tuple(mine[2]):
            return many + sum(map(bool, map(ne, self.values, mine[2].values())))
        theirs = dict(zip(self.names, self.values, strict=True))
        both = theirs.keys() & mine[2].keys()
        return many + len(theirs.keys() ^ mine[2].keys()) + sum(bool(theirs[name] != mine[2][name]) for name in both)


class Versionless:
    """What tasks would be called if no type had a `code_version`: alike for tasks that differ in nothing else."""

    def __init__(self, known: Descriptions) -> None:
        self._known = known
        self._names: dict[str, str] = {}

    def name(self, key: str) -> str:
        """The name of the task `key`; its key where it is not known. Linear, without recursion."""
        stack, opened = [key], set[str]()
        while stack:
            item = stack[-1]
            found = self._known(item)
            if item in self._names or found is None:
                self._names.setdefault(item, item)
                stack.pop()
                continue
            waits = [inner for inner in references(found[2])[0] if inner not in self._names and inner not in opened]
            if waits:
                opened.add(item)
                stack.extend(waits)
                continue
            names = {name: rewritten(value, self._name, _same_member) for name, value in found[2].items()}
            self._names[item] = stored_key(found[0], None, names)
            stack.pop()
        return self._names[key]

    def _name(self, key: str) -> str:
        return self._names.get(key, key)


def _same_member(kind: str, name: str) -> tuple[str, str]:
    return kind, name


def path_to(known: Descriptions, key: str, kind: str) -> str | None:
    """The parameters that lead from a task to one of the type `kind`, by the shortest way; empty for its own type."""
    todo, seen = deque([("", key)]), {key}
    while todo:
        path, item = todo.popleft()
        found = known(item)
        if found is None:
            continue
        if found[0] == kind:
            return path
        for name, value in found[2].items():
            for where, inner in _nested(_under(path, name), value):
                if inner not in seen:
                    seen.add(inner)
                    todo.append((where, inner))
    return None


def _nested(path: str, value: Any) -> Iterator[tuple[str, str]]:
    """The tasks in an encoded value, with the paths to them."""
    if isinstance(value, list):
        for place, item in enumerate(value):
            if isinstance(item, (list, dict)):
                yield from _nested(f"{path}[{place}]", item)
    elif _mark(value) == "$task":
        yield path, value["$task"]
    elif _mark(value) == "$dict":
        for name, item in value.get("$dict", value).items():
            yield from _nested(_under(path, name), item)
