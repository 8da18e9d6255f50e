"""A task, or tasks in containers, made into one flat list."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from labtech_cli.core.task import is_task, is_task_type
from labtech_cli.errors import TargetError


def collect(value: Any, text: str) -> list[Any]:
    """The tasks in `value`: a task, or an iterable or a mapping's values of tasks, nested, generators too.

    `text` is the target that named it. Raises `TargetError` for anything that is not a task, with its
    position. A set is sorted, since its own order differs from process to process.
    """
    if is_task(value):
        return [value]
    found: list[Any] = []
    path: list[str] = []
    holders = [value]
    stack = [_items(value, text, path)]
    while stack:
        for step, item in stack[-1]:
            if is_task(item):
                found.append(item)
                continue
            path.append(step)
            if any(item is holder for holder in holders):
                raise TargetError(f"'{text}'{''.join(path)} contains itself", hint="give a list of tasks")
            holders.append(item)
            stack.append(_items(item, text, path))
            break
        else:
            stack.pop()
            holders.pop()
            if path:
                path.pop()
    return found


def _items(value: Any, text: str, path: list[str]) -> Iterator[tuple[str, Any]]:
    """The members of a container, each with its position in it."""
    if isinstance(value, Mapping):
        return ((f"[{key!r}]", item) for key, item in value.items())
    if isinstance(value, Iterable) and not isinstance(value, (str, bytes, bytearray, type)):
        ordered = sorted(value) if _is_set_of_tasks(value) else value
        return ((f"[{position}]", item) for position, item in enumerate(ordered))
    where = f"'{text}' holds, at {''.join(path)}," if path else f"'{text}' is"
    raise TargetError(f"{where} {_described(value)}, not a task", hint=_why(value))


def _is_set_of_tasks(value: Any) -> bool:
    return isinstance(value, (set, frozenset)) and all(is_task(item) for item in value)


def _described(value: Any) -> str:
    if is_task_type(value):
        return f"the task type {value.__qualname__}"
    if isinstance(value, type):
        return f"the class {value.__qualname__}"
    return f"a value of type {type(value).__qualname__}"


def _why(value: Any) -> str:
    if is_task_type(value):
        return f"call it to make a task: {value.__qualname__}(...)"
    if callable(value):
        return "call it to get what it returns"
    return "name a task, or a list or dict of tasks"
