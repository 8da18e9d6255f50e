"""Tasks shown to people and programs: `repr`, short labels, JSON and flat columns.

All of it is linear in the number of distinct tasks and free of recursion over dependencies. In a `repr`, a shared
dependency is written out again while that stays cheap; past `MOST_EXPANDED` nested tasks, one that
was written out before is shown by its type alone. In JSON, which there is a row of for each task, only the
nearest nested tasks are written out.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from enum import Enum
from typing import Any

from frozendict import frozendict

from labtech_cli.core.key import member_name

MOST_EXPANDED = 1_000
MOST_BITS = 2_000  # of whole numbers written in decimal: at most 602 digits, the least limit Python can have is 640
NESTED_IN_JSON = 3  # levels of dependencies whose parameters are shown inline
MOST_IN_JSON = 32  # of them: 250 us a row where each task has many (with 1,000, rows cost more than the tasks)


def render(task: Any, limit: int | None = None) -> str:
    """`Type(parameter=value, ...)`; with a `limit`, at most that many characters, cut with an ellipsis."""
    pieces: list[str] = []
    length = 0
    for piece in _pieces(task):
        pieces.append(piece)
        length += len(piece)
        if limit is not None and length > limit:
            return "".join(pieces)[: max(limit - 1, 0)] + "…"
    return "".join(pieces)


def _pieces(task: Any) -> Iterator[str]:
    expanded = _Expanded()
    stack: list[Iterator[Any]] = [iter([task])]
    while stack:
        for part in stack[-1]:
            if type(part) is _Text:
                yield str(part)
                continue
            kind = type(part)
            if "__labtech__" in kind.__dict__:
                if not expanded.may(part._labtech_key):
                    yield f"{kind.__labtech__.label}(…)"
                    continue
                stack.append(_task_parts(part))
            elif kind is tuple or kind is frozendict:
                stack.append(_tuple_parts(part) if kind is tuple else _dict_parts(part))
            else:
                yield _atom_text(part)
                continue
            break
        else:
            stack.pop()


class _Expanded:
    """The nested tasks that were written out: each may be once, and again while that stays cheap."""

    def __init__(self) -> None:
        self._keys: set[str] = set()
        self._count = 0

    def may(self, key: str) -> bool:
        """Whether to write out the task of `key` now, which then counts."""
        if self._count >= MOST_EXPANDED and key in self._keys:
            return False
        self._keys.add(key)
        self._count += 1
        return True


def _atom_text(value: Any) -> str:
    if isinstance(value, Enum):
        return f"{type(value).__qualname__}.{member_name(value)}"
    if type(value) is int:
        return str(json_int(value))
    return repr(value)


def json_int(value: int) -> int | str:
    """The number, or its hexadecimal digits where Python refuses to write that many decimal ones."""
    return value if value.bit_length() <= MOST_BITS else hex(value)


class _Text(str):
    """Punctuation, as against a string value."""


def _task_parts(task: Any) -> Iterator[Any]:
    kind = type(task).__labtech__
    shown = type(task).__dataclass_fields__
    yield _Text(kind.label + "(")
    first = True
    for name in kind.parameters:
        if shown[name].repr:
            yield _Text(f"{name}=" if first else f", {name}=")
            yield getattr(task, name)
            first = False
    yield _Text(")")


def _tuple_parts(values: tuple[Any, ...]) -> Iterator[Any]:
    yield _Text("(")
    for position, value in enumerate(values):
        if position:
            yield _Text(", ")
        yield value
    yield _Text(",)" if len(values) == 1 else ")")


def _dict_parts(values: Any) -> Iterator[Any]:
    yield _Text("frozendict({")
    for position, (name, value) in enumerate(values.items()):
        yield _Text(f", {name!r}: " if position else f"{name!r}: ")
        yield value
    yield _Text("})")


def params_json(task: Any, levels: int = NESTED_IN_JSON) -> dict[str, Any]:
    """The parameters as JSON values: enum members by name, tasks as `{"type", "key", "params"}`.

    Nested tasks have their `params` to `levels`, the nearest first, `MOST_IN_JSON` of them: a row stays small
    in a graph of any shape. Of the others their key says which they are. Numbers JSON does not have are the
    strings "nan", "inf" and "-inf"; very large ones are hexadecimal.
    """
    nested: list[_Nested] = []
    shown = _params_json(task, nested)
    _fill(nested, levels, _params_json)
    return shown


def value_json(value: Any, levels: int = NESTED_IN_JSON) -> Any:
    """One frozen parameter value as a JSON value (see `params_json`)."""
    nested: list[_Nested] = []
    shown = _value_json(value, nested)
    _fill(nested, levels, _params_json)
    return shown


_Nested = tuple[dict[str, Any], Any]  # what is shown of a nested task, and the task, or its parameters


def _fill(nested: list[_Nested], levels: int, show: Callable[[Any, list[_Nested]], Any]) -> None:
    """Add `params` to what is shown of nested tasks, level by level, as `show` makes them."""
    left = MOST_IN_JSON
    for _ in range(levels):
        below: list[_Nested] = []
        for shown, task in nested[:left]:
            shown["params"] = show(task, below)
        left -= len(nested)
        nested = below
        if left <= 0:
            return


def _params_json(task: Any, nested: list[_Nested]) -> dict[str, Any]:
    return {name: _value_json(getattr(task, name), nested) for name in type(task).__labtech__.parameters}


def _value_json(value: Any, nested: list[_Nested]) -> Any:
    kind = type(value)
    if kind is tuple:
        return [_value_json(item, nested) for item in value]
    if kind is frozendict:
        return {name: _value_json(item, nested) for name, item in value.items()}
    if isinstance(value, Enum):
        return member_name(value)
    if kind is int:
        return json_int(value)
    if kind is float:
        return value if math.isfinite(value) else str(value)
    if "__labtech__" in kind.__dict__:
        shown = {"type": kind.__labtech__.label, "key": value._labtech_key}
        nested.append((shown, value))
        return shown
    return value


def params_inline(params: dict[str, Any], find: Callable[[str], dict[str, Any] | None]) -> dict[str, Any]:
    """`params_json(task)`, made of `params_json(task, 0)` and what `find` gives as such by key."""

    def copied(value: Any, nested: list[_Nested]) -> Any:
        if type(value) is list:
            return [copied(item, nested) for item in value]
        if type(value) is not dict:
            return value
        shown = {name: copied(item, nested) for name, item in value.items()}
        found = find(value["key"]) if type(value.get("type")) is type(value.get("key")) is str else None
        if found is not None:
            nested.append((shown, found))
        return shown

    nested: list[_Nested] = []
    shown: dict[str, Any] = copied(params, nested)
    _fill(nested, NESTED_IN_JSON, copied)
    return shown


def flatten(params: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """JSON parameters as dotted columns: `classifier_task.n_estimators`; a nested task's own column is its type."""
    flat: dict[str, Any] = {}
    for name, value in params.items():
        if isinstance(value, dict) and "type" in value and "key" in value:
            flat[prefix + name] = value["type"]
            flat.update(flatten(value.get("params", {}), f"{prefix}{name}."))
        elif isinstance(value, dict):
            flat.update(flatten(value, f"{prefix}{name}."))
        else:
            flat[prefix + name] = value
    return flat
